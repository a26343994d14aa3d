//! Memory that calls itself an interpreter: its lists, texts and tables are read within limits.
#![no_main]

use hotfire_core::python::Interpreters;
use hotfire_core::unwind::Memory;
use libfuzzer_sys::fuzz_target;

/// Where the input lies. Its first byte chooses the version.
const BASE: u64 = 0x1_0000;

struct Input<'a>(&'a [u8]);

impl Memory for Input<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let start = address.checked_sub(BASE).and_then(|at| usize::try_from(at).ok());
        let there = start.and_then(|at| self.0.get(at..)).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        length
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let version = match kind % 4 {
        0 => "PyCode_NewWithPosOnlyArgs",
        1 => "PyInterpreterState_Get",
        2 => "PyIter_Send",
        _ => "Py_Version",
    };
    let exports = [
        ("_PyRuntime", BASE + 8),
        (version, BASE),
        ("PyCode_Type", BASE + 16),
        ("PyUnicode_Type", BASE + 24),
        ("PyBytes_Type", BASE + 32),
        ("PyFrame_Type", BASE + 40),
    ];
    let mut memory = Input(data);
    let mut interpreters = Interpreters::at(&exports, &mut memory);
    for pointer in interpreters.thread_pointers() {
        let _ = interpreters.running(pointer);
    }
});
