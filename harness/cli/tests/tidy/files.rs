//! Rules of a file's shape: its header, its length, and what `mod.rs` and `lib.rs` hold.

use crate::rule::{Rule, Violation, numbered, without_tests};

/// Lines of a file without its tests.
const LINES_MAX: usize = 600;

pub(crate) const HEADER: Rule = Rule {
    name: "header",
    check: check_header,
    must_see: &["harness/cli/src/main.rs", "engines/reference/cpp/engine.cc", "scripts/test.sh"],
    breaks: &[
        ("harness/x/src/a.rs", "use std::io;\n"),
        ("harness/x/src/a.rs", "// Not a module's comment.\n"),
        ("harness/x/src/a.rs", ""),
        ("engines/x/cpp/a.cc", "#include <new>\n"),
        ("engines/x/cpp/a.h", "#pragma once\n"),
        ("scripts/a.sh", "#!/usr/bin/env bash\nset -eu\n"),
        ("engines/x/a.py", "import sys\n"),
    ],
    keeps: &[
        ("harness/x/src/a.rs", "//! What it does.\n"),
        ("engines/x/cpp/a.cc", "// What it does.\n"),
        ("scripts/a.sh", "#!/usr/bin/env bash\n# What it does.\n"),
        ("engines/x/a.py", "#!/usr/bin/env python3\n\"\"\"What it does.\"\"\"\n"),
        ("harness/x/Cargo.toml", "[package]\n"),
    ],
};

fn check_header(path: &str, text: &str) -> Vec<Violation> {
    let ending = path.rsplit('.').next().unwrap_or_default();
    let line = text.lines().find(|line| !line.starts_with("#!/")).unwrap_or_default();
    let wanted: &[&str] = match ending {
        "rs" => &["//! "],
        "c" | "cc" | "h" => &["// ", "/* "],
        "sh" => &["# "],
        "py" => &["\"\"\"", "# "],
        _ => return Vec::new(),
    };
    if wanted.iter().any(|start| line.starts_with(start)) {
        return Vec::new();
    }
    vec![Violation::new(
        1,
        format!("begin with `{}` and what the file does", wanted.join("` or `")),
    )]
}

pub(crate) const LENGTH: Rule = Rule {
    name: "length",
    check: check_length,
    must_see: &["harness/cli/src/main.rs"],
    breaks: &[("harness/x/src/a.rs", LONG), ("engines/x/cpp/a.cc", LONG)],
    keeps: &[("harness/x/src/a.rs", "one line\n"), ("harness/x/README.md", LONG)],
};

/// One line too many.
const LONG: &str = match std::str::from_utf8(&[b'\n'; LINES_MAX + 1]) {
    Ok(text) => text,
    Err(_) => "",
};

fn check_length(path: &str, text: &str) -> Vec<Violation> {
    if ![".rs", ".c", ".cc", ".h", ".sh", ".py"].iter().any(|ending| path.ends_with(ending)) {
        return Vec::new();
    }
    let lines = without_tests(text);
    match lines.get(LINES_MAX) {
        None => Vec::new(),
        Some((number, _)) => vec![Violation::new(
            *number,
            format!("{} lines without tests, at most {LINES_MAX}: split the file", lines.len()),
        )],
    }
}

pub(crate) const ONLY_MODULES: Rule = Rule {
    name: "only-modules",
    check: check_only_modules,
    must_see: &["harness/core/src/lib.rs", "harness/core/src/diagnose/mod.rs"],
    breaks: &[
        ("harness/x/src/lib.rs", "//! Docs.\nfn helper() {}\n"),
        ("harness/x/src/a/mod.rs", "//! Docs.\npub const LIMIT: u32 = 1;\n"),
        ("harness/x/src/a/mod.rs", "//! Docs.\nmod inside {\n    struct A;\n}\n"),
        ("harness/x/src/a/mod.rs", "//! Docs.\nuse a::{\n    B,\n};\nstruct A;\n"),
    ],
    keeps: &[
        (
            "harness/x/src/lib.rs",
            "//! Docs.\n#![no_std]\n\nextern crate alloc;\n\n#[cfg(test)]\nmod tests;\n/// A.\npub mod a;\n\n\
             pub use a::{\n    B, C,\n};\npub(crate) use a::D;\n",
        ),
        ("harness/x/src/a.rs", "//! Docs.\nfn helper() {}\n"),
        ("harness/x/tests/common/mod.rs", "//! Docs.\nfn helper() {}\n"),
    ],
};

fn check_only_modules(path: &str, text: &str) -> Vec<Violation> {
    let file = path.rsplit('/').next().unwrap_or_default();
    if !path.contains("/src/") || !["mod.rs", "lib.rs"].contains(&file) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut in_list = false;
    for (number, line) in numbered(text) {
        let item = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let is_comment = line.is_empty() || line.starts_with("//") || line.starts_with('#');
        let is_path = item.starts_with("use ") || item.starts_with("extern crate ");
        let is_module = item.starts_with("mod ") && item.ends_with(';');
        if in_list || is_path {
            in_list = !line.ends_with(';');
        } else if !(is_comment || is_module) {
            violations
                .push(Violation::new(number, "only `mod`, `use` and documentation belong here"));
        }
    }
    violations
}
