//! Rules of what must not be written: at all, or in some crates.

use crate::rule::{Rule, Violation, numbered, without_tests, words};

/// Each with its reason. Split, so that this file keeps the rule.
const FORBIDDEN_TEXTS: [(&str, &str); 7] = [
    (concat!("#[", "allow("), "use #[expect(lint, reason = \"…\")]"),
    (concat!("#![", "allow("), "use #![expect(lint, reason = \"…\")]"),
    (concat!("to", "do!"), "what does not work is not there"),
    (concat!("unimplemen", "ted!"), "what does not work is not there"),
    (concat!("db", "g!("), "left from debugging"),
    (concat!("thread::", "sleep"), "waits belong to the poll loops, with a deadline"),
    (concat!("#[", "ignore]"), "say why: #[ignore = \"…\"]"),
];
/// Words for something that is left to do: what follows from it must stand behind.
const OPEN: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Shorter than that is no consequence.
const CONSEQUENCE_LETTERS_MIN: usize = 20;

pub(crate) const FORBIDDEN: Rule = Rule {
    name: "forbidden-texts",
    check: check_forbidden,
    must_see: &["harness/cli/src/main.rs", "harness/cli/tests/tidy/texts.rs"],
    breaks: &[
        ("harness/x/src/a.rs", concat!("#[", "allow(dead_code)]")),
        ("harness/x/src/a.rs", concat!("#![", "allow(dead_code)]")),
        ("harness/x/src/a.rs", concat!("to", "do!()")),
        ("harness/x/src/a.rs", concat!("unimplemen", "ted!()")),
        ("harness/x/src/a.rs", concat!("db", "g!(x)")),
        ("harness/x/tests/a.rs", concat!("std::thread::", "sleep(pause)")),
        ("harness/x/tests/a.rs", concat!("#[", "ignore]")),
        ("harness/x/src/a.rs", concat!("// TO", "DO")),
        ("engines/x/cpp/a.cc", concat!("// FIX", "ME: later")),
        ("scripts/a.sh", concat!("# XX", "X")),
    ],
    keeps: &[
        ("harness/x/src/a.rs", "#[expect(dead_code, reason = \"…\")]"),
        (
            "harness/x/src/a.rs",
            concat!("// TO", "DO: without it a second reader sees half of a record"),
        ),
        ("scripts/a.sh", "work=$(mktemp -d folder.XXXXXX)"),
    ],
};

fn check_forbidden(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in numbered(text) {
        if path.ends_with(".rs") {
            let found = FORBIDDEN_TEXTS.iter().filter(|(forbidden, _)| line.contains(forbidden));
            violations.extend(
                found.map(|(forbidden, why)| Violation::new(number, format!("{forbidden} {why}"))),
            );
        }
        for word in OPEN.iter().filter(|word| words(line).any(|it| it == **word)) {
            let behind = line.split(word).last().unwrap_or_default();
            if behind.chars().filter(|sign| sign.is_alphabetic()).count() < CONSEQUENCE_LETTERS_MIN
            {
                violations.push(Violation::new(number, format!("{word} without its consequence")));
            }
        }
    }
    violations
}

const UNSAFE: &str = concat!("un", "safe");
const UNSAFE_ROOMS: [&str; 3] = ["harness/sys/", "harness/host/", "engines/"];
const FORBID: &str = concat!("#![forbid(un", "safe_code)]");
const FORBIDDING: [&str; 4] = [
    "harness/plan/src/lib.rs",
    "harness/recorder/src/lib.rs",
    "harness/core/src/lib.rs",
    "harness/cli/src/main.rs",
];

pub(crate) const UNSAFE_PLACES: Rule = Rule {
    name: "memory-safety",
    check: check_unsafe,
    must_see: &FORBIDDING,
    breaks: &[
        ("harness/core/src/lib.rs", "//! Docs.\n"),
        ("harness/cli/src/main.rs", concat!("//! Docs.\n// #![forbid(un", "safe_code)]\n")),
        ("harness/core/tests/a.rs", concat!("un", "safe { call() }")),
        ("xtask/src/main.rs", concat!("pub un", "safe fn a() {}")),
        ("harness/cli/build.rs", concat!("un", "safe impl Send for A {}")),
    ],
    keeps: &[
        ("harness/core/src/lib.rs", concat!("//! Docs.\n#![forbid(un", "safe_code)]\n")),
        ("harness/sys/src/a.rs", concat!("un", "safe { call() }")),
        ("harness/core/src/a.rs", concat!("// What is un", "safe stands in sys.\n")),
    ],
};

fn check_unsafe(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if FORBIDDING.contains(&path) && !text.lines().any(|line| line == FORBID) {
        violations.push(Violation::new(1, format!("{FORBID} is missing")));
    }
    if path.ends_with(".rs") && !UNSAFE_ROOMS.iter().any(|room| path.starts_with(room)) {
        let code = numbered(text).filter(|(_, line)| !line.trim_start().starts_with("//"));
        let found = code.filter(|(_, line)| words(line).any(|word| word == UNSAFE));
        violations.extend(found.map(|(number, _)| {
            Violation::new(number, format!("{UNSAFE} belongs to sys, host and engines alone"))
        }));
    }
    violations
}

/// Stages without an outside world, and what would let it in.
const PURE_FOLDERS: [&str; 4] = [
    "harness/plan/src/",
    "harness/core/src/observe/",
    "harness/core/src/diagnose/",
    "harness/core/src/judge/",
];
const OUTSIDE: [&str; 9] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time",
    "hotfire_sys::",
];

pub(crate) const PURE: Rule = Rule {
    name: "pure",
    check: check_pure,
    must_see: &["harness/plan/src/lib.rs", "harness/core/src/judge/mod.rs"],
    breaks: &[
        ("harness/plan/src/a.rs", "use std::fs;\n"),
        ("harness/core/src/diagnose/a.rs", "let now = std::time::Instant::now();\n"),
        ("harness/core/src/judge/a.rs", "use hotfire_sys::Scratch;\n"),
        ("harness/core/src/observe/a.rs", "#[cfg(test)]\nmod tests;\nuse std::env;\n"),
        ("harness/plan/src/a.rs", "#[cfg(test)]\nmod tests {\n    use a;\n}\nuse std::fs;\n"),
    ],
    keeps: &[
        (
            "harness/plan/src/a.rs",
            "use std::fmt;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ),
        ("harness/core/src/symbolize/a.rs", "use std::fs;\n"),
    ],
};

fn check_pure(path: &str, text: &str) -> Vec<Violation> {
    if !PURE_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (number, line) in without_tests(text) {
        for outside in OUTSIDE.iter().filter(|outside| line.contains(**outside)) {
            violations.push(Violation::new(number, format!("{outside} in a pure stage")));
        }
    }
    violations
}
