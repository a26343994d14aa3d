//! What a program itself prints before it aborts, among the lines that all its processes print.
//!
//! Deliberately absent: lines of runtimes (`texts.rs`), and any trust in a line that others follow:
//! programs live on failed checks and caught panics, and log them.

use super::facts::Facts;
use super::handlers::FAULTHANDLER_ABORT;

/// Fewer hexadecimal digits may be a number; an address of code has more.
const ADDRESS_DIGITS_MIN: usize = 6;

/// A check that failed, with the place where it stands in the source: `assert` of any library, or
/// the "Check failed" of glog. Logs of tests speak of such checks, too, but not of that place.
pub(crate) fn is_assertion(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let failed =
        (lower.contains("assert") && lower.contains("fail")) || lower.contains("check failed:");
    // glibc's own wording; musl's and the BSDs' name the place behind it.
    let is_worded = line.contains("Assertion `") && line.contains("' failed");
    let begins = line.trim_start_matches(['#', ' ']);
    let leads = begins.starts_with("Assertion failed") || begins.starts_with("Check failed:");
    failed && (is_worded || leads || names_a_place(line))
}

/// `file:line`, of which the file has a letter; a time of day has none.
fn names_a_place(line: &str) -> bool {
    line.split([' ', '\t', '[', ']', '(', ')']).any(|word| {
        let Some((file, rest)) = word.split_once(':') else { return false };
        file.contains(|letter: char| letter.is_ascii_alphabetic())
            && rest.starts_with(|digit: char| digit.is_ascii_digit())
    })
}

/// The last thing that the program said, but for the stack that it, or a handler of its abort, then
/// printed.
pub(crate) fn last_said<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let lines: Vec<&str> = facts.printed().into_iter().flat_map(str::lines).collect();
    let end = lines.iter().rposition(|line| line.starts_with(FAULTHANDLER_ABORT));
    let lines = lines.get(..end.unwrap_or(lines.len()))?;
    let says = |line: &&&str| !line.trim().trim_matches('#').is_empty() && !is_of_stack(line);
    lines.iter().rev().find(says).copied()
}

/// A line of a printed stack.
fn is_of_stack(line: &str) -> bool {
    let is_address =
        |rest: &str| rest.chars().take_while(char::is_ascii_hexdigit).count() >= ADDRESS_DIGITS_MIN;
    let has_address = line.split("0x").skip(1).any(is_address);
    has_address || (line.starts_with("***") && line.contains("stack trace"))
}

/// The line of a panic of the thread that died, as Rust's standard library prints it: with the
/// thread's name, and in newer ones with its tid.
pub(crate) fn panic_line<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let victim = &facts.crash?.victim;
    let is_own = |line: &str| {
        let panicked = line.strip_prefix("thread '").and_then(|rest| rest.split_once('\''));
        let Some((name, rest)) = panicked.filter(|(_, rest)| rest.contains("panicked at")) else {
            return false;
        };
        let tid = rest.strip_prefix(" (").and_then(|rest| rest.split_once(')'));
        match tid.and_then(|(tid, _)| tid.parse::<i32>().ok()) {
            Some(tid) => tid == victim.tid,
            None if name == "main" => victim.tid == victim.pid,
            None if name == "<unnamed>" => victim.tid != victim.pid,
            // The kernel cuts names.
            None => !victim.thread.is_empty() && name.starts_with(victim.thread.as_str()),
        }
    };
    facts.error_line(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_checks_are_told_from_talk_of_them() {
        for line in [
            "a.out: x.c:3: main: Assertion `p != NULL' failed.",
            "a.out: Assertion `p != NULL' failed.",
            "/x/array:208: f(): Assertion '__n < this->size()' failed.",
            "/x/ggml.c:99: GGML_ASSERT(n > 0) failed",
            "F0102 10:20:30.405060  7 session.cc:12] Check failed: n > 0 (0 vs. 0)",
            "Assertion failed: n > 0 (x.c: main: 3)",
            "# Check failed: n > 0.",
        ] {
            assert!(is_assertion(line), "{line}");
        }
        for line in [
            "the load failed",
            "test_login: assert login_ok failed, retry 1",
            "2026-01-02 10:20:30 assertion of the user failed",
            "x.c:3: the load failed",
        ] {
            assert!(!is_assertion(line), "{line}");
        }
    }

    #[test]
    fn lines_of_stacks_are_known_by_their_addresses() {
        assert!(is_of_stack("/x/libggml.so(ggml_abort+0x12)[0x7f1234567890]"));
        assert!(is_of_stack("    @     0x55d1c0a0b1c2  main"));
        assert!(is_of_stack("*** Check failure stack trace: ***"));
        assert!(!is_of_stack("flags 0x12 failed") && !is_of_stack("*** stack smashing ***"));
    }
}
