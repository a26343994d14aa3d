//! A file that calls itself ELF: its tables and symbols are read within limits, whatever they say.
#![no_main]

use std::os::unix::fs::MetadataExt;

use hotfire_core::symbolize::Symbolizer;
use hotfire_core::unwind::{Mappings, Memory, Registers, Unwinder};
use hotfire_sys::TraceRegisters;
use hotfire_sys::procfs::MapLine;
use libfuzzer_sys::fuzz_target;

const CODE: u64 = 0x7000_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;

/// The same word everywhere, a place in the code, so that each rule finds its registers.
struct Words;

impl Memory for Words {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let bytes = (CODE + 0x1234).to_le_bytes();
        for (place, byte) in (address % 8..).zip(buffer.iter_mut()) {
            *byte = bytes[(place % 8) as usize];
        }
        buffer.len()
    }
}

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("hotfire-fuzz-{}", std::process::id()));
    std::fs::write(&path, data).expect("the folder for temporary files takes files");
    let metadata = std::fs::metadata(&path).expect("it was just written");
    let device = metadata.dev();
    let line = MapLine {
        start: CODE,
        end: CODE + 0x100_0000,
        permissions: "r-xp".into(),
        offset: 0,
        // As the kernel splits it (makedev(3)).
        device: (((device >> 8) & 0xfff) as u32, ((device & 0xff) | ((device >> 12) & 0xf_ff00)) as u32),
        inode: metadata.ino(),
        path: path.display().to_string(),
    };
    let stack = MapLine {
        start: STACK,
        end: STACK + 0x10_0000,
        permissions: "rw-p".into(),
        inode: 0,
        path: "[stack]".into(),
        ..line.clone()
    };
    let maps = [line, stack];
    let mut symbolizer = Symbolizer::default();
    for place in [0, 0x1000, 0x1234, 0x4000, 0xff_ffff] {
        let _ = symbolizer.locate(&maps, &mut Words, CODE + place);
        let registers =
            TraceRegisters { rip: CODE + place, rsp: STACK, rbp: STACK + 64, general: [0; 14] };
        let mut unwinder = Unwinder::default();
        unwinder.process(Mappings::from(&maps[..]), Words).unwind(Registers::from(&registers));
    }
    std::fs::remove_file(&path).expect("it was just written");
});
