//! Rules of who imports whom: between crates, and between the stages of core.

use crate::rule::{Rule, Violation, numbered, without_tests, words};

/// Each package file with the Hotfire crates that it may depend on; a folder ends with `/`.
const MAY_IMPORT: [(&str, &[&str]); 8] = [
    ("harness/plan/Cargo.toml", &[]),
    ("harness/recorder/Cargo.toml", &[]),
    ("harness/sys/Cargo.toml", &[]),
    ("harness/host/Cargo.toml", &["hotfire-plan", "hotfire-recorder"]),
    ("harness/core/Cargo.toml", &["hotfire-plan", "hotfire-recorder", "hotfire-sys"]),
    // It reads what others write, as the harness does.
    ("fuzz/Cargo.toml", &["hotfire-core", "hotfire-fuzz", "hotfire-recorder", "hotfire-sys"]),
    // Of plan: the types of arguments that the host hands on.
    ("engines/", &["hotfire-host", "hotfire-plan"]),
    (
        "harness/cli/Cargo.toml",
        &[
            "hotfire-core",
            "hotfire-host",
            "hotfire-llama",
            "hotfire-plan",
            "hotfire-recorder",
            "hotfire-reference",
            "hotfire-sys",
        ],
    ),
];
/// What tests of engines may use beyond: they read what the engine recorded.
const ENGINE_TESTS_MAY_IMPORT: &str = "hotfire-recorder";

pub(crate) const CRATES: Rule = Rule {
    name: "crate-imports",
    check: check_crates,
    must_see: &[
        "harness/plan/Cargo.toml",
        "harness/recorder/Cargo.toml",
        "harness/sys/Cargo.toml",
        "harness/host/Cargo.toml",
        "harness/core/Cargo.toml",
        "harness/cli/Cargo.toml",
        "engines/reference/Cargo.toml",
    ],
    breaks: &[
        ("harness/plan/Cargo.toml", "[dependencies]\nhotfire-sys.workspace = true\n"),
        ("harness/recorder/Cargo.toml", "[dev-dependencies]\nhotfire-plan.workspace = true\n"),
        ("harness/sys/Cargo.toml", "[dependencies.hotfire-recorder]\nworkspace = true\n"),
        (
            "harness/host/Cargo.toml",
            "[target.'cfg(unix)'.dependencies]\nhotfire-sys = { path = \"../sys\" }\n",
        ),
        ("harness/core/Cargo.toml", "[dependencies]\nhost = { package = \"hotfire-host\" }\n"),
        ("engines/x/Cargo.toml", "[dependencies]\nhotfire-core.workspace = true\n"),
        ("engines/x/Cargo.toml", "[dependencies]\nhotfire-recorder.workspace = true\n"),
        ("harness/core/Cargo.toml", "[build-dependencies]\nhotfire.workspace = true\n"),
        ("harness/new/Cargo.toml", "[package]\nname = \"hotfire-new\"\n"),
    ],
    keeps: &[
        (
            "harness/plan/Cargo.toml",
            "[package]\nname = \"hotfire-plan\"\n[dependencies]\nserde = \"1\"\n",
        ),
        ("harness/host/Cargo.toml", "[dependencies]\nhotfire-plan.workspace = true\n"),
        ("engines/x/Cargo.toml", "[dev-dependencies]\nhotfire-recorder.workspace = true\n"),
        ("harness/cli/Cargo.toml", "[dependencies]\nhotfire-core.workspace = true\n"),
    ],
};

fn check_crates(path: &str, text: &str) -> Vec<Violation> {
    if !path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let known = MAY_IMPORT
        .iter()
        .find(|(place, _)| path == *place || (place.ends_with('/') && path.starts_with(place)));
    let Some((place, allowed)) = known else {
        return vec![Violation::new(1, "a crate without a place in the order of imports")];
    };
    let mut violations = Vec::new();
    let (mut of_dependencies, mut of_tests) = (false, false);
    for (number, line) in numbered(text) {
        if line.starts_with('[') {
            of_dependencies = line.contains("dependencies");
            of_tests = line.contains("dev-dependencies");
        }
        if !of_dependencies || line.starts_with('#') {
            continue;
        }
        let forbidden = packages(line).filter(|name| {
            let of_test = of_tests && *place == "engines/" && *name == ENGINE_TESTS_MAY_IMPORT;
            !allowed.contains(name) && !of_test
        });
        violations.extend(
            forbidden.map(|name| Violation::new(number, format!("must not depend on {name}"))),
        );
    }
    violations
}

/// The Hotfire packages that a line names.
fn packages(line: &str) -> impl Iterator<Item = &str> {
    line.split(|sign: char| !sign.is_alphanumeric() && sign != '-' && sign != '_')
        .filter(|word| *word == "hotfire" || word.starts_with("hotfire-"))
}

pub(crate) const LINTS: Rule = Rule {
    name: "lints",
    check: check_lints,
    must_see: &["harness/cli/Cargo.toml"],
    breaks: &[
        ("harness/x/Cargo.toml", "[package]\nname = \"a\"\n"),
        ("harness/x/Cargo.toml", "[lints]\n[dependencies]\na.workspace = true\n"),
    ],
    keeps: &[
        ("harness/x/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"),
        ("fuzz/Cargo.toml", "[package]\nname = \"a\"\n\n[workspace]\n"),
    ],
};

fn check_lints(path: &str, text: &str) -> Vec<Violation> {
    // A workspace of its own, for another compiler, has no lints to take over.
    let is_own = path.starts_with("fuzz/") && text.contains("\n[workspace]\n");
    let takes_over = is_own || text.contains("[lints]\nworkspace = true\n");
    if path.ends_with("/Cargo.toml") && !takes_over {
        return vec![Violation::new(1, "the workspace's lints are not taken over")];
    }
    Vec::new()
}

/// The stages of core: each imports only from its left.
const STAGES: [&str; 10] = [
    "observe",
    "unwind",
    "symbolize",
    "python",
    "supervise",
    "corefile",
    "diagnose",
    "judge",
    "campaign",
    "report",
];
const CORE: &str = "harness/core/src/";

pub(crate) const STAGES_RULE: Rule = Rule {
    name: "stage-imports",
    check: check_stages,
    must_see: &["harness/core/src/lib.rs", "harness/core/src/judge/verdict.rs"],
    breaks: &[
        ("harness/core/src/judge/a.rs", "use crate::report::Report;\n"),
        ("harness/core/src/observe/mod.rs", "pub use crate::symbolize::Symbolizer;\n"),
        ("harness/core/src/supervise/a.rs", "    let found = crate::diagnose::diagnose();\n"),
        (
            "harness/core/src/judge/a.rs",
            "use crate::{\n    diagnose::Finding,\n    report::Report,\n};\n",
        ),
        ("harness/core/src/judge/a.rs", "use crate::{diagnose::{Finding, Code}, campaign};\n"),
        ("harness/core/src/judge/a.rs", "use crate::*;\n"),
        ("harness/core/src/judge/a.rs", "use super::super::report::Report;\n"),
        ("harness/core/src/judge/mod.rs", "use super::report::Report;\n"),
        ("harness/core/src/judge/a.rs", "use hotfire_core::report::Report;\n"),
        ("harness/core/src/guess/a.rs", "//! A stage without a place.\n"),
        ("harness/core/src/guess.rs", "//! A stage without a place.\n"),
        ("harness/core/src/lib.rs", "//! Docs.\npub mod guess;\n"),
    ],
    keeps: &[
        (
            "harness/core/src/judge/a.rs",
            "use crate::diagnose::{Finding, Status};\nuse super::exit;\n",
        ),
        (
            "harness/core/src/judge/a.rs",
            "use crate::{diagnose::{self, Code}, judge::Rate, observe};\n",
        ),
        ("harness/core/src/report/a.rs", "use crate::campaign::CampaignReport;\n"),
        ("harness/core/src/lib.rs", "//! Docs.\npub mod observe;\nmod judge;\n"),
        ("harness/core/src/judge/a.rs", "pub(crate) fn rate() {}\n"),
        ("harness/cli/src/a.rs", "use crate::args;\n"),
    ],
};

fn check_stages(path: &str, text: &str) -> Vec<Violation> {
    let Some(inside) = path.strip_prefix(CORE) else { return Vec::new() };
    if inside == "lib.rs" {
        return check_stage_list(text);
    }
    let stage = inside.split(['/', '.']).next().unwrap_or_default();
    let Some(place) = STAGES.iter().position(|it| *it == stage) else {
        return vec![Violation::new(1, format!("{stage} has no place in the order of stages"))];
    };
    let is_stage_root = inside == format!("{stage}/mod.rs") || inside == format!("{stage}.rs");
    let mut violations = Vec::new();
    for (number, line) in without_tests(text) {
        let climbs = line.contains("super::super::") || line.contains("hotfire_core::");
        if climbs || (is_stage_root && line.contains("super::")) {
            violations.push(Violation::new(number, "name the stage: `crate::STAGE`"));
        }
    }
    for (number, name) in crate_paths(text) {
        match STAGES.iter().position(|it| *it == name) {
            Some(other) if other <= place => {}
            Some(_) => violations.push(Violation::new(
                number,
                format!("{stage} must not import {name}: it stands to its right"),
            )),
            None => {
                violations.push(Violation::new(number, format!("`crate::{name}` names no stage")))
            }
        }
    }
    violations
}

fn check_stage_list(text: &str) -> Vec<Violation> {
    let modules = without_tests(text).into_iter().filter_map(|(number, line)| {
        let name = line.trim_start_matches("pub ").strip_prefix("mod ")?.trim_end_matches(';');
        (!STAGES.contains(&name))
            .then(|| Violation::new(number, format!("{name} has no place in the order of stages")))
    });
    modules.collect()
}

/// What follows each `crate::`, with its line; of a group `crate::{…}` each first word.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut begin = 0;
    while let Some(at) = text.get(begin..).and_then(|rest| rest.find("crate::")) {
        begin += at + "crate::".len();
        let number = text.get(..begin).unwrap_or_default().lines().count();
        let rest = text.get(begin..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).map(|head| (number, head))),
            None => found.push((
                number,
                words(rest).next().filter(|word| rest.starts_with(word)).unwrap_or("*").to_owned(),
            )),
        }
    }
    found
}

/// The first words of a group's members: `a::{b, c}, d}` has `a` and `d`.
fn group_heads(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_i32;
    let members: String = group
        .chars()
        .take_while(|sign| {
            depth += match sign {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth >= 0
        })
        .collect();
    let mut depth = 0_i32;
    let flat: String = members
        .chars()
        .filter(|sign| {
            depth += i32::from(*sign == '{') - i32::from(*sign == '}');
            depth == 0
        })
        .collect();
    let heads = flat.split(',').filter_map(|member| words(member).next().map(str::to_owned));
    heads.collect::<Vec<_>>().into_iter()
}
