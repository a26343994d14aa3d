//! What a process was about to say: the message with which the C library aborts, and the C++
//! exception that nobody caught. Both are read from its memory, which nothing but the process
//! itself vouches for: each word is checked, and each text is cut.
//!
//! Deliberately absent: other C++ runtimes than libstdc++, whose exceptions look otherwise.

use std::collections::BTreeSet;

use hotfire_sys::procfs::MapLine;
use hotfire_sys::signal;

use super::capture::mapping;
use super::dynamic::symbol;
use super::heap::heap_facts;
use crate::observe::{Crash, Exception, Fact, LastWords, Pointer, Registers};
use crate::symbolize::demangle;
use crate::unwind::Memory;

/// The longest text that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// How far down the stack an exception is looked for: the runtime's own frames take up to 3 KiB.
const STACK_BYTES_MAX: usize = 16 * 1024;
/// Words of the stack that are followed.
const CANDIDATES_MAX: usize = 512;
/// Classes between a type and the one that keeps its text.
const BASES_MAX: usize = 8;

/// The symbol of glibc's message (assert/assert.c, `struct abort_msg_s`: a length of 4 bytes, then
/// the text).
const MESSAGE_SYMBOL: &str = "__abort_msg";
/// `exception_class` of libstdc++ (libsupc++/unwind-cxx.h, `__gxx_primary_exception_class`).
const EXCEPTION_CLASS: u64 = u64::from_be_bytes(*b"GNUCC++\0");
/// Lengths of `_Unwind_Exception`, and of all that stands before the thrown object
/// (`__cxa_refcounted_exception`), in bytes; its `exceptionType` is the third word.
const HEADER_BYTES: u64 = 32;
const BEFORE_OBJECT_BYTES: u64 = 128;
/// Handlers and `exception_ptr`s that may hold one exception.
const HOLDERS_MAX: u64 = 64;
/// The mangled names of the classes that keep a text, right behind the pointer to their table of
/// virtual functions.
const KEEPS_TEXT: [&str; 2] = ["St13runtime_error", "St11logic_error"];

/// Adds what the memory of the dying process tells, as far as its signal asks for it.
pub(crate) fn add_memory_facts(crash: &mut Crash, maps: &[MapLine], memory: &mut dyn Memory) {
    let Some(registers) = crash.registers.known() else { return };
    let siginfo = crash.siginfo.known();
    let signal = siginfo.map_or(crash.signal, |info| info.signal);
    crash.pointers = pointers(maps, registers);
    if signal::is_fault(signal) {
        let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid);
        let stack = own.and_then(|own| own.stack.known());
        let saved = stack.map(|stack| stack.saved.as_slice()).unwrap_or_default();
        crash.heap = heap_facts(memory, maps, (registers, saved), siginfo);
    }
    if signal == signal::SIGABRT {
        crash.last_words = last_words(memory, maps, registers);
    }
}

/// The last words of an aborting process, of which this thread aborts.
fn last_words(memory: &mut dyn Memory, maps: &[MapLine], registers: &Registers) -> LastWords {
    LastWords {
        message: fact(message(memory, maps), "the C library holds no message"),
        exception: fact(exception(memory, maps, registers.rsp), "none was found on the stack"),
    }
}

fn message(memory: &mut dyn Memory, maps: &[MapLine]) -> Option<String> {
    let library = maps.iter().find(|map| map.offset == 0 && is_c_library(&map.path))?;
    let pointer = symbol(memory, library.start, MESSAGE_SYMBOL)?;
    let place = word(memory, pointer)?;
    holds(maps, place).then_some(())?;
    let message = text(memory, place.checked_add(4)?)?;
    let message = message.trim();
    (!message.is_empty()).then(|| message.to_owned())
}

fn fact<T>(found: Option<T>, otherwise: &str) -> Fact<T> {
    found.map_or_else(|| Fact::Unavailable(otherwise.to_owned()), Fact::Known)
}

pub(super) fn is_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("libc.so") || name.starts_with("libc-2")
}

/// A word of 8 bytes.
pub(super) fn word(memory: &mut dyn Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (memory.read(address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
}

/// A text that ends with a zero byte.
fn text(memory: &mut dyn Memory, address: u64) -> Option<String> {
    let mut bytes = vec![0; TEXT_BYTES_MAX];
    let length = memory.read(address, &mut bytes);
    let read = bytes.get(..length)?;
    let end = read.iter().position(|byte| *byte == 0).unwrap_or(length);
    Some(String::from_utf8_lossy(read.get(..end)?).into_owned())
}

fn at(maps: &[MapLine], address: u64) -> Option<&MapLine> {
    maps.iter().find(|map| (map.start..map.end).contains(&address))
}

fn holds(maps: &[MapLine], address: u64) -> bool {
    at(maps, address).is_some_and(|map| map.permissions.starts_with("rw"))
}

/// The exception nearest to the top of the stack: what throws it keeps a pointer to it there.
fn exception(memory: &mut dyn Memory, maps: &[MapLine], sp: u64) -> Option<Exception> {
    let mut bytes = vec![0; STACK_BYTES_MAX];
    let length = memory.read(sp & !7, &mut bytes);
    bytes.truncate(length);
    let (words, _) = bytes.as_chunks::<8>();
    let mut seen = BTreeSet::new();
    words
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .filter(|address| address % 16 == 0 && holds(maps, *address) && seen.insert(*address))
        .take(CANDIDATES_MAX)
        // A pointer to the object, or to the header in front of it.
        .flat_map(|address| [Some(address), address.checked_add(HEADER_BYTES)])
        .find_map(|object| thrown(memory, object?))
}

/// The exception whose object lies here. The words in front of a living one are zero but for the
/// number of those who hold it; the allocator writes there when it is freed.
fn thrown(memory: &mut dyn Memory, object: u64) -> Option<Exception> {
    if word(memory, object.checked_sub(HEADER_BYTES)?)? != EXCEPTION_CLASS {
        return None;
    }
    let start = object.checked_sub(BEFORE_OBJECT_BYTES)?;
    let living = (1..=HOLDERS_MAX).contains(&word(memory, start)?) && word(memory, start + 8)? == 0;
    let kind = word(memory, start + 16).filter(|_| living)?;
    let name = type_name(memory, kind)?;
    let mut base = (kind, name.clone());
    let keeps_text = (0..BASES_MAX).any(|_| {
        if KEEPS_TEXT.contains(&base.1.as_str()) {
            return true;
        }
        // `__si_class_type_info`: the only base, at the same address, stands behind the name.
        let next = word(memory, base.0.wrapping_add(16));
        let next = next.and_then(|next| Some((next, type_name(memory, next)?)));
        base = next.unwrap_or_default();
        false
    });
    let place = object.checked_add(8).filter(|_| keeps_text);
    let what = place.and_then(|place| word(memory, place));
    let what = what.and_then(|place| text(memory, place));
    Some(Exception { kind: demangled(&name), what })
}

/// The mangled name in a `std::type_info`.
fn type_name(memory: &mut dyn Memory, kind: u64) -> Option<String> {
    let place = word(memory, kind.checked_add(8)?)?;
    let name = text(memory, place)?;
    let name = name.trim_start_matches('*');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_owned())
}

fn demangled(name: &str) -> String {
    const MEANS: &str = "typeinfo name for ";
    let words = demangle(&format!("_ZTS{name}"));
    words.strip_prefix(MEANS).unwrap_or(name).to_owned()
}

/// The mappings that registers point into, without asking for the files behind them.
fn pointers(maps: &[MapLine], registers: &Registers) -> Vec<Pointer> {
    let own = [registers.rsp, registers.rbp];
    let values: BTreeSet<u64> = registers.general.iter().copied().chain(own).collect();
    let pointer = |value: u64| Some(Pointer { value, mapping: mapping(at(maps, value)?, None) });
    values.into_iter().filter_map(pointer).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Words by address.
    pub(in super::super) struct Words(pub(in super::super) BTreeMap<u64, u64>);

    impl Memory for Words {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let mut done = 0;
            for (place, byte) in (address..).zip(buffer.iter_mut()) {
                let Some(word) = self.0.get(&(place & !7)) else { break };
                *byte = word.to_le_bytes()[(place % 8) as usize];
                done += 1;
            }
            done
        }
    }

    fn name(text: &[u8; 8]) -> u64 {
        u64::from_le_bytes(*text)
    }

    const HEAP: u64 = 0x5000;
    const OBJECT: u64 = HEAP + BEFORE_OBJECT_BYTES;

    /// A stack at 0x1000 with a pointer to an exception of the type `5Error`.
    fn process() -> Words {
        Words(BTreeMap::from([
            (0x1000, 0x77),
            (0x1008, OBJECT),
            (HEAP, 1),
            (HEAP + 8, 0),
            (HEAP + 16, 0x9000),
            (OBJECT - HEADER_BYTES, EXCEPTION_CLASS),
            (0x9000, 0x1234),
            (0x9008, 0x9100),
            (0x9100, name(b"5Error\0\0")),
        ]))
    }

    fn found(words: &mut Words) -> Option<String> {
        let heap = MapLine {
            start: HEAP,
            end: HEAP + 0x1000,
            permissions: "rw-p".into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: "[heap]".into(),
        };
        Some(exception(words, &[heap], 0x1000)?.kind)
    }

    #[test]
    fn a_living_exception_is_found_through_the_stack() {
        assert_eq!(found(&mut process()).as_deref(), Some("Error"));
        let mut by_header = process();
        by_header.0.insert(0x1008, OBJECT - HEADER_BYTES);
        assert_eq!(found(&mut by_header).as_deref(), Some("Error"));
    }

    #[test]
    fn a_short_name_of_a_long_type_is_cut_in_time() {
        let begun = std::time::Instant::now();
        // Each class has the one before it as both of its arguments: the text doubles with each.
        let digit = |number| char::from_digit(number, 36).unwrap().to_ascii_uppercase();
        let pairs: String = (1..30).map(|last| format!("S0_IS{0}_S{0}_E", digit(last))).collect();
        let long = demangled(&format!("1PI1AIiiE{pairs}E"));
        assert!(long.starts_with("P<A<int, int>, A<") && long.ends_with('…'), "{long}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(demangled("St13runtime_error"), "std::runtime_error");
        assert_eq!(demangled("no name of a type"), "no name of a type");
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for (place, value) in [
            // Another language's, freed, held by nobody, without a name.
            (OBJECT - HEADER_BYTES, u64::from_be_bytes(*b"MOZ\0RUST")),
            (HEAP + 8, 0x5555),
            (HEAP, 0),
            (0x9100, name(b"\x01\x02\0\0\0\0\0\0")),
        ] {
            let mut words = process();
            words.0.insert(place, value);
            assert_eq!(found(&mut words), None, "{place:#x}");
        }
    }
}
