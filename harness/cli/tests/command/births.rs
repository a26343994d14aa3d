//! `hotfire exec` on programs that make threads by the hundred: those that never end are a leak,
//! pools and threads that end are not.
//!
//! Deliberately absent: leaks from turn to turn of a plan (`census`).

use std::path::PathBuf;

use crate::Case;
use crate::classes::built;
use crate::told::{HEALTHY, Told, check, finding, healthy as lives, told};
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] =
    &[("births-without-end", without_end), ("births-of-healthy-programs", healthy)];

pub(crate) const BIRTHS: &[Told] = &[
    told("leaks", "thread-leak", "threads-without-end", ""),
    lives("pool"),
    lives("ends"),
    lives("served"),
    lives("joined"),
    // Whoever is asked to end has no time for its threads.
    told("killed", "self-kill", "self-kill", "main"),
];

const PROGRAM: (&str, &str) = ("births.c", include_str!("../fixtures/births.c"));

fn program() -> PathBuf {
    built("births", &[PROGRAM], &["cc", "-O0", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"])
}

fn without_end() {
    let (workshop, program) = (Workshop::new(), program());
    let program = program.to_str().unwrap();
    for command in [vec![program, "leaks"], vec!["sh", "-c", "\"$0\" leaks; true", program]] {
        let done = workshop.run(&[&["exec", "--json", "out.json", "--"], &command[..]].concat());
        assert_eq!(done.status, 100, "{}", done.stderr);
        let report = workshop.json("out.json");
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let finding = &findings[0];
        let told = [&finding["code"], &finding["status"], &finding["class"]];
        assert_eq!(told, ["L410", "LEAK", "thread-leak"]);
        assert_eq!(finding["likely_cause"]["rule"], "threads-without-end");
        assert_eq!(finding["left_behind"][0]["count"], 200);
        assert!(finding["culprit"]["module"].as_str().unwrap().starts_with("births"));
        // The maker calls it; `main` may have taken it in.
        let function = finding["culprit"]["function"].as_str().unwrap();
        assert!(["start", "main"].contains(&function), "{function}");
        assert!(done.stderr.contains("whether they would have ended"), "{}", done.stderr);
    }
}

fn healthy() {
    let (workshop, program) = (Workshop::new(), program());
    let program = program.to_str().unwrap();
    for Told { way, .. } in BIRTHS.iter().filter(|case| case.class == HEALTHY) {
        let done = workshop.run(&["exec", "--", program, way]);
        assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{way}");
    }
    for case in BIRTHS {
        check(&finding(&workshop, &[], &[program, case.way]), case);
    }
    let done = workshop.run(&["exec", "--json", "out.json", "--", program, "killed"]);
    let report = workshop.json("out.json");
    let classes: Vec<&serde_json::Value> =
        report["findings"].as_array().unwrap().iter().map(|one| &one["class"]).collect();
    assert_eq!(classes, ["self-kill"], "{}", done.stderr);
}
