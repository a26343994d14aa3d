//! Files that are not there any more, or are others now: the tables come from memory.

use std::ops::Range;

use hotfire_core::unwind::{LiveMemory, Mappings, Memory, Stack, Unwinder};
use hotfire_sys::procfs::{self, MapLine};
use libtest_mimic::Trial;

use crate::fixture::{C, Program};
use crate::stopped::Stopped;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a-deleted-file-is-read-from-memory".into(), deleted),
        trial("a-replaced-file-is-not-believed".into(), replaced),
        trial("files-are-enough-where-memory-has-no-code".into(), without_code),
    ]
}

fn unwind(unwinder: &mut Unwinder, stopped: &Stopped, lines: &[MapLine]) -> Stack {
    let memory = LiveMemory::new(stopped.crashed);
    unwinder.process(Mappings::from(lines), memory).unwind(stopped.crashed_registers())
}

fn deleted() {
    let program = Program::compile(C[2]);
    let stopped = Stopped::crash(&program.path(), "plain", 8_192);
    let lines = procfs::maps(stopped.crashed).unwrap();
    let whole = unwind(&mut Unwinder::default(), &stopped, &lines);
    std::fs::remove_file(program.path()).unwrap();
    let lines = procfs::maps(stopped.crashed).unwrap();
    assert!(lines[0].path.ends_with(" (deleted)"));
    assert_eq!(unwind(&mut Unwinder::default(), &stopped, &lines), whole);
    assert!(whole.frames.iter().all(|frame| frame.function_start.is_some()));
}

fn replaced() {
    let (program, other) = (Program::compile(C[2]), Program::compile(C[0]));
    let stopped = Stopped::crash(&program.path(), "plain", 8_192);
    let mut lines = procfs::maps(stopped.crashed).unwrap();
    let whole = unwind(&mut Unwinder::default(), &stopped, &lines);
    // As in another mount namespace: the path names another file.
    let path = lines[0].path.clone();
    for line in lines.iter_mut().filter(|line| line.path == path) {
        line.path = other.path().display().to_string();
    }
    assert_eq!(unwind(&mut Unwinder::default(), &stopped, &lines), whole);
}

/// A stack and nothing else, as core files have it.
struct Only {
    memory: LiveMemory,
    stack: Range<u64>,
}

impl Memory for Only {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        if self.stack.contains(&address) { self.memory.read(address, buffer) } else { 0 }
    }
}

fn without_code() {
    let program = Program::compile(C[2]);
    let stopped = Stopped::crash(&program.path(), "plain", 8_192);
    let lines = procfs::maps(stopped.crashed).unwrap();
    let stack = lines.iter().find(|line| line.path == "[stack]").unwrap();
    let only = Only { memory: LiveMemory::new(stopped.crashed), stack: stack.start..stack.end };
    let mut unwinder = Unwinder::default();
    let mut process = unwinder.process(Mappings::from(&lines[..]), only);
    let from_files = process.unwind(stopped.crashed_registers());
    assert_eq!(from_files, unwind(&mut Unwinder::default(), &stopped, &lines));
    assert!(from_files.frames.len() > 5);
}
