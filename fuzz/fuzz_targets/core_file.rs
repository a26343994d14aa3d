//! A file that calls itself a core: headers, notes, memory and stacks are read within limits.
#![no_main]

use hotfire_core::corefile::read_core;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("hotfire-fuzz-core-{}", std::process::id()));
    std::fs::write(&path, data).expect("the folder for temporary files takes files");
    let _ = read_core(&path, None);
    std::fs::remove_file(&path).expect("it was just written");
});
