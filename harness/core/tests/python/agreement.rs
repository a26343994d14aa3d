//! All threads, every function with its file and line, as the interpreter itself tells them.

use std::path::Path;

use hotfire_core::unwind::LiveMemory;

use crate::interpreter::Waiting;

pub(crate) fn test(program: &Path) {
    let waiting = Waiting::start(program);
    assert_eq!(waiting.said.len(), 2, "{:?}", waiting.said);
    let deepest = waiting.said.values().map(Vec::len).max().unwrap();
    assert!(deepest >= 7, "{:?}", waiting.said);
    let found = waiting.read(&mut LiveMemory::new(waiting.pid()));
    let said = waiting.said.iter().map(|(pointer, words)| (*pointer, Ok(words.clone()))).collect();
    assert_eq!(found, said);
}
