//! Well-known lines that runtimes print before they abort: glibc (malloc/malloc.c, assert/assert.c,
//! debug/stack_chk_fail.c), libstdc++ (libsupc++/vterminate.cc, pure.cc), libc++abi, Rust's std.
//!
//! Deliberately absent: any package's own lines.

use super::facts::Facts;
use super::rule::Seen;
use super::signs::line;

/// Lines that tell an aborting cause, each by a test of its own.
type LineTest = fn(&str) -> bool;

fn is_exception(line: &str) -> bool {
    line.contains("terminate called after throwing an instance of")
        || line.contains("terminating due to uncaught exception")
        || line.contains("terminating with uncaught exception")
}

/// "(out)" tells of a chunk that reaches behind the heap: an overwritten size, not a second free.
fn is_double_free(line: &str) -> bool {
    (line.contains("double free or corruption") && !line.contains("(out)"))
        || line.contains("free(): double free detected in tcache")
}

fn is_heap_corruption(line: &str) -> bool {
    const LINES: &[&str] = &[
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

fn is_pure_virtual(line: &str) -> bool {
    line.contains("pure virtual method called")
}

/// `assert` of any library: the word and "failed" in one line, or the "Check failed" of glog.
fn is_assertion(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    (line.contains("assert") && line.contains("fail")) || line.contains("check failed:")
}

fn is_rust_panic(line: &str) -> bool {
    line.starts_with("thread '") && line.contains("panicked at")
}

/// libstdc++ and libc++abi end the process so; which of several causes it was, they do not say.
fn is_bare_terminate(line: &str) -> bool {
    line.contains("terminate called")
}

/// The order matters where one death prints several lines: the first that is found decides.
const ABORT_LINES: &[LineTest] = &[
    is_rust_panic,
    is_exception,
    is_double_free,
    is_heap_corruption,
    is_stack_smashing,
    is_pure_virtual,
    is_assertion,
    is_bare_terminate,
];

fn says(facts: &Facts<'_>, test: LineTest) -> Option<Seen> {
    let said = facts.error_line(test)?;
    Some(line("stderr", format!("the output says: {}", said.trim())))
}

macro_rules! text_signs {
    ($($sign:ident = $test:ident,)*) => {
        $(pub(crate) fn $sign(facts: &Facts<'_>) -> Option<Seen> { says(facts, $test) })*
    };
}

text_signs! {
    says_exception = is_exception,
    says_double_free = is_double_free,
    says_heap_corruption = is_heap_corruption,
    says_stack_smashing = is_stack_smashing,
    says_pure_virtual = is_pure_virtual,
    says_assertion = is_assertion,
    says_rust_panic = is_rust_panic,
}

/// None of the known lines was printed.
pub(crate) fn says_nothing_known(facts: &Facts<'_>) -> Option<Seen> {
    let none = ABORT_LINES.iter().all(|test| facts.error_line(test).is_none());
    none.then(|| line("stderr", "no known line of a runtime precedes it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_runtimes_are_told_apart() {
        assert!(is_double_free("free(): double free detected in tcache 2"));
        assert!(is_double_free("double free or corruption (!prev)"));
        assert!(!is_double_free("double free or corruption (out)"));
        assert!(is_heap_corruption("double free or corruption (out)"));
        assert!(is_heap_corruption("malloc(): unaligned tcache chunk detected"));
        assert!(!is_heap_corruption("free(): double free detected in tcache 2"));
        assert!(is_assertion("a.out: x.c:3: main: Assertion `p != NULL' failed."));
        assert!(is_assertion("/x/array:208: f(): Assertion '__n < this->size()' failed."));
        assert!(is_assertion("/x/ggml.c:99: GGML_ASSERT(n > 0) failed"));
        assert!(!is_assertion("the load failed"));
        assert!(is_rust_panic("thread 'main' (12) panicked at src/main.rs:2:5:"));
        assert!(!is_rust_panic("it panicked at nothing"));
    }
}
