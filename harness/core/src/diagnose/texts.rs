//! Well-known lines that runtimes print before they abort: glibc (malloc/malloc.c, assert/assert.c,
//! debug/stack_chk_fail.c), libstdc++ (libsupc++/vterminate.cc, pure.cc), libc++abi, Rust's std.
//!
//! Deliberately absent: any package's own lines.

use super::calls::{self, Aborter, aborter};
use super::facts::Facts;
use super::printed::{is_assertion, last_said, panic_line};
use super::rule::{Question, Seen};
use super::signs::line;

/// Lines that tell an aborting cause, each by a test of its own.
type LineTest = fn(&str) -> bool;

fn is_exception(line: &str) -> bool {
    line.contains("terminate called after throwing an instance of")
        || line.contains("terminating due to uncaught exception")
        || line.contains("terminating with uncaught exception")
}

/// glibc says "double free or corruption" of whatever makes a block look free: its neighbour, too,
/// if it was written over. Only where it finds the very block in a list, it was freed before.
fn is_double_free(line: &str) -> bool {
    line.contains("double free or corruption (fasttop)")
        || line.contains("free(): double free detected in tcache")
}

fn is_heap_corruption(line: &str) -> bool {
    const LINES: &[&str] = &[
        "double free or corruption (!prev)",
        "double free or corruption (top)",
        "double free or corruption (out)",
        "free(): invalid pointer",
        "free(): invalid size",
        "free(): invalid next size",
        "free(): corrupted unsorted chunks",
        "free(): too many chunks detected in tcache",
        "free(): unaligned chunk detected",
        "munmap_chunk(): invalid pointer",
        "malloc(): ",
        "malloc_consolidate(): ",
        "realloc(): invalid",
        "corrupted size vs. prev_size",
        "corrupted double-linked list",
    ];
    LINES.iter().any(|known| line.contains(known))
}

fn is_stack_smashing(line: &str) -> bool {
    line.contains("*** stack smashing detected ***")
}

fn is_buffer_overflow(line: &str) -> bool {
    line.contains("*** buffer overflow detected ***")
}

/// glibc, where a handler has kept a thread from being ended (nptl/unwind.c).
fn is_kept_from_ending(line: &str) -> bool {
    line.contains("FATAL: exception not rethrown")
}

fn is_pure_virtual(line: &str) -> bool {
    line.contains("pure virtual method called")
}

/// libstdc++ and libc++abi end the process so; which of several causes it was, they do not say.
fn is_bare_terminate(line: &str) -> bool {
    line.contains("terminate called")
}

/// A line and whose it is.
#[derive(Clone, Copy)]
enum Line {
    /// Of a runtime that calls `abort` itself: where the program called it, or nobody, the line
    /// tells of something else, such as another process's end.
    Runtime(LineTest),
    /// Of a panic of the thread that died.
    Panic,
    /// Of a program that calls `abort` right after it.
    Assertion,
}

use Line::{Assertion, Panic, Runtime};

/// All lines that tell something.
const ABORT_LINES: &[Line] = &[
    Panic,
    Runtime(is_exception),
    Runtime(is_double_free),
    Runtime(is_heap_corruption),
    Runtime(is_stack_smashing),
    Runtime(is_buffer_overflow),
    Runtime(is_kept_from_ending),
    Runtime(is_pure_virtual),
    Assertion,
    Runtime(is_bare_terminate),
];

/// The line, with where it was found: in memory, where only this process's own message stands,
/// or in the output, where all that it made write.
fn said<'a>(facts: &Facts<'a>, line: Line) -> Option<(&'static str, &'a str)> {
    if let Some(message) = facts.abort_message() {
        let is_it = match line {
            Runtime(test) => test(message),
            Panic => false,
            Assertion => is_assertion(message),
        };
        return is_it.then_some(("process memory", message));
    }
    let aborter = aborter(facts);
    let printed = match line {
        Runtime(_) if matches!(aborter, Aborter::Program | Aborter::Nobody) => None,
        Runtime(test) => facts.error_line(test),
        // Where functions have names, the stack shows a panic.
        Panic if matches!(aborter, Aborter::Unseen | Aborter::Unclear) => panic_line(facts),
        Panic => None,
        Assertion => last_said(facts).filter(|line| is_assertion(line)),
    };
    Some(("stderr", printed?))
}

fn says(facts: &Facts<'_>, wanted: Line) -> Option<Seen> {
    let (source, said) = said(facts, wanted)?;
    let who = if source == "stderr" { "the output says" } else { "the C library's last message" };
    Some(line(source, format!("{who}: {}", said.trim())))
}

/// The stack tells it, or else a line.
fn tells(facts: &Facts<'_>, by_stack: Question, line: Line) -> Option<Seen> {
    by_stack(facts).or_else(|| says(facts, line))
}

/// The text of the assertion that failed, as it was said.
pub(crate) fn assertion<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    Some(said(facts, Assertion)?.1.trim())
}

macro_rules! text_signs {
    ($($sign:ident = $by_stack:path, $line:expr;)*) => {
        $(pub(crate) fn $sign(facts: &Facts<'_>) -> Option<Seen> {
            tells(facts, $by_stack, $line)
        })*
    };
}

/// What no stack tells: the allocator's functions have no names.
fn nothing(_: &Facts<'_>) -> Option<Seen> {
    None
}

text_signs! {
    tells_exception = calls::throws, Runtime(is_exception);
    tells_double_free = nothing, Runtime(is_double_free);
    tells_heap_corruption = nothing, Runtime(is_heap_corruption);
    tells_stack_smashing = calls::smashes, Runtime(is_stack_smashing);
    tells_buffer_overflow = calls::overflows_a_buffer, Runtime(is_buffer_overflow);
    tells_forced_unwind = calls::is_unwound_by_force, Runtime(is_kept_from_ending);
    tells_pure_virtual = calls::calls_pure_virtual, Runtime(is_pure_virtual);
    tells_assertion = calls::asserts, Assertion;
    tells_rust_panic = calls::panics, Panic;
}

/// None of the known lines was printed, as far as the output was seen: of a core file, or of a
/// terminal, it is not.
pub(crate) fn says_nothing_known(facts: &Facts<'_>) -> Option<Seen> {
    let none = ABORT_LINES.iter().all(|test| said(facts, *test).is_none());
    none.then(|| match facts.was_output_read() {
        true => Seen::Told,
        false => line("stderr", "no line of its output was seen".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_runtimes_are_told_apart() {
        assert!(is_double_free("free(): double free detected in tcache 2"));
        assert!(is_double_free("double free or corruption (fasttop)"));
        for way in ["(!prev)", "(top)", "(out)"] {
            let line = format!("double free or corruption {way}");
            assert!(!is_double_free(&line) && is_heap_corruption(&line), "{way}");
        }
        assert!(is_heap_corruption("malloc(): unaligned tcache chunk detected"));
        assert!(!is_heap_corruption("free(): double free detected in tcache 2"));
    }
}
