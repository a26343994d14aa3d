//! `hotfire exec --runs N` on a program whose threads share what they must not share, and on its
//! twin, whose threads do the same wrong thing each for itself.
//!
//! Deliberately absent: deaths that show in one run alone.

use std::path::PathBuf;

use serde_json::Value;

use crate::Case;
use crate::classes::built;
use crate::told::{Told, check, told};
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("race-of-several-runs-is-one-finding", race),
    ("race-is-not-what-happens-each-time", each_for_itself),
    ("race-is-not-what-a-lock-keeps-in-order", locked),
];

pub(crate) const RACES: &[Told] = &[
    told("shared", "data-race", "data-race", "churn"),
    told("own", "null-dereference", "null-dereference", "use_null"),
    told("locked", "null-dereference", "null-dereference", "use_null"),
];

const LIBRARY: (&str, &str) = ("shared.c", include_str!("../fixtures/races/shared.c"));
const PROGRAM: (&str, &str) = ("main.c", include_str!("../fixtures/races/main.c"));
const RUNS: u32 = 10;

fn programs() -> [PathBuf; 2] {
    let warnings = ["-Wall", "-Wextra", "-Werror"];
    let library = [&["cc", "-O0", "-g", "-shared", "-fPIC"][..], &warnings].concat();
    let program = [&["cc", "-O0", "-g", "-pthread"][..], &warnings].concat();
    [built("main", &[PROGRAM], &program), built("libshared.so", &[LIBRARY], &library)]
}

/// The report of all runs, and what was said.
fn report(way: &str) -> (Value, String) {
    let (workshop, [program, library]) = (Workshop::new(), programs());
    let (program, library) = (program.to_str().unwrap(), library.to_str().unwrap());
    let runs = RUNS.to_string();
    let options = ["exec", "--runs", &runs, "--json", "out.json", "--"];
    let done = workshop.run(&[&options[..], &[program, library, way]].concat());
    assert_eq!(done.status, 100, "{}", done.stderr);
    (workshop.json("out.json"), done.stderr)
}

fn race() {
    let (report, said) = report("shared");
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = &findings[0];
    check(finding, &RACES[0]);
    let module = finding["culprit"]["module"].as_str().unwrap();
    assert!(module.starts_with("libshared.so"), "{module}");
    let reproduced = &finding["reproduced"];
    assert_eq!(reproduced["of"], RUNS);
    assert_eq!(reproduced["failed"], report["summary"]["failed"]);
    assert!(said.contains("threads use the same data at the same time"), "{said}");
    assert!(!said.contains("also:"), "{said}");
}

fn each_for_itself() {
    each_time(&RACES[1]);
}

fn locked() {
    each_time(&RACES[2]);
}

fn each_time(told: &Told) {
    let (report, said) = report(told.way);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    check(&findings[0], told);
    assert_eq!(findings[0]["reproduced"]["failed"], RUNS);
    assert!(said.contains(&format!("shown by {RUNS} of {RUNS} runs")), "{said}");
}
