//! Anything in the place of `/proc/PID/maps`.
#![no_main]

use hotfire_core::unwind::Mappings;
use hotfire_sys::procfs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = procfs::parse_maps(&String::from_utf8_lossy(data));
    let _ = Mappings::from(&lines[..]);
});
