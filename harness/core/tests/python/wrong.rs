//! An interpreter that tells wrong offsets of itself: one word of its table is moved at a time.

use std::path::Path;

use hotfire_core::unwind::{LiveMemory, Memory};
use hotfire_sys::procfs;

use crate::interpreter::Waiting;

/// Words of the table that are moved; those behind the texts' are not read.
const FIRST_AT: u64 = 24;
const WORDS: u64 = 80;

/// The memory of a process with one word of it changed.
struct Moved {
    inner: LiveMemory,
    place: u64,
    by: u64,
}

impl Memory for Moved {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let length = self.inner.read(address, buffer);
        let mut word = [0; 8];
        self.inner.read(self.place, &mut word);
        let moved = u64::from_le_bytes(word).wrapping_add(self.by).to_le_bytes();
        for (at, byte) in (self.place..).zip(moved) {
            let there = at.checked_sub(address).and_then(|at| usize::try_from(at).ok());
            if let Some(slot) = there.filter(|at| *at < length).and_then(|at| buffer.get_mut(at)) {
                *slot = byte;
            }
        }
        length
    }
}

/// Where the table lies: it begins the interpreter's state, and says so.
fn table(pid: i32) -> u64 {
    let maps = procfs::maps(pid).unwrap();
    let written = maps.iter().filter(|map| map.inode != 0 && map.permissions.contains('w'));
    written
        .flat_map(|map| (map.start..map.end).step_by(8))
        .find(|place| {
            let mut cookie = [0; 12];
            LiveMemory::new(pid).read(*place, &mut cookie);
            // A text in the program's code is not followed by a version.
            cookie.starts_with(b"xdebugpy") && cookie[11] == 3
        })
        .unwrap()
}

pub(crate) fn test(program: &Path) {
    let waiting = Waiting::start(program);
    let table = table(waiting.pid());
    let without_lines = |words: &[String]| -> Vec<String> {
        let names = words.iter().map(|word| word.rsplit_once(':').unwrap().0.to_owned());
        names.collect()
    };
    let mut told = 0;
    for word in 0..WORDS {
        for by in [8_u64, 4, 8_u64.wrapping_neg(), 0x1000] {
            let place = table + FIRST_AT + 8 * word;
            let inner = LiveMemory::new(waiting.pid());
            let found = waiting.read(&mut Moved { inner, place, by });
            for (pointer, found) in found {
                match found {
                    // A number has no type: it may be another line, of the right function.
                    Ok(words) => assert!(
                        without_lines(&waiting.said[&pointer]).starts_with(&without_lines(&words)),
                        "word {word} by {by:#x}: {words:?}"
                    ),
                    Err(reason) => told += usize::from(!reason.is_empty()),
                }
            }
        }
    }
    assert!(told > 80, "{told}");
}
