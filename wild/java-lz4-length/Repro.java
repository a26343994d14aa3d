import java.nio.ByteBuffer;
import net.jpountz.lz4.LZ4Factory;

public class Repro {
    public static void main(String[] arguments) {
        // A block of one run of literals that says it is 200 MB long, and is 800 kB.
        int lengthBytes = 800_000;
        ByteBuffer source = ByteBuffer.allocateDirect(lengthBytes + 2);
        source.put((byte) 0xf0);
        while (source.remaining() > 1) source.put((byte) 0xff);
        source.put((byte) 0).flip();
        ByteBuffer target = ByteBuffer.allocateDirect(15 + 255 * lengthBytes);
        LZ4Factory.nativeInstance().fastDecompressor().decompress(source, target);
        System.out.println(target.position());
    }
}
