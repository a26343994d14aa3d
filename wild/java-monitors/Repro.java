import java.util.concurrent.CountDownLatch;

public class Repro {
    public static void main(String[] arguments) throws InterruptedException {
        Object accounts = new Object();
        Object journal = new Object();
        CountDownLatch bothHold = new CountDownLatch(2);
        new Thread(() -> lock(journal, accounts, bothHold)).start();
        lock(accounts, journal, bothHold);
    }

    static void lock(Object first, Object second, CountDownLatch bothHold) {
        synchronized (first) {
            bothHold.countDown();
            try {
                bothHold.await();
            } catch (InterruptedException interrupted) {
                return;
            }
            synchronized (second) {
                System.out.println("both");
            }
        }
    }
}
