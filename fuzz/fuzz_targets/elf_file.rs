//! A file that calls itself ELF: its tables and symbols are read within limits, whatever they say.
#![no_main]

use std::os::unix::fs::MetadataExt;

use hotfire_core::symbolize::Symbolizer;
use hotfire_core::unwind::{Mappings, Memory, Registers, Unwinder};
use hotfire_sys::TraceRegisters;
use hotfire_sys::procfs::MapLine;
use libfuzzer_sys::fuzz_target;

const CODE: u64 = 0x7000_0000_0000;

struct Nothing;

impl Memory for Nothing {
    fn read(&mut self, _: u64, _: &mut [u8]) -> usize {
        0
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
    let maps = [line];
    let mut symbolizer = Symbolizer::default();
    for place in [0, 0x1000, 0x1234, 0x4000, 0xff_ffff] {
        let _ = symbolizer.locate(&maps, &mut Nothing, CODE + place);
        let registers =
            TraceRegisters { rip: CODE + place, rsp: 0x1000, rbp: 0x2000, general: [0; 14] };
        let mut unwinder = Unwinder::default();
        unwinder.process(Mappings::from(&maps[..]), Nothing).unwind(Registers::from(&registers));
    }
});
