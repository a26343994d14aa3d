//! `hotfire exec` on programs that hold more and more while they run: descriptors that nobody closes
//! are a leak, others are worth a note, and what is opened once, fills up or goes again is neither.
//!
//! Deliberately absent: threads by their births (`births`), and turns of a plan's loop (`census`).

use std::path::PathBuf;

use crate::Case;
use crate::classes::built;
use crate::workshop::{Done, LIMIT, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("rising-descriptors", descriptors),
    ("rising-of-healthy-programs", healthy),
    ("rising-that-may-be-right", noted),
];

const PROGRAM: (&str, &str) = ("rising.c", include_str!("../fixtures/rising.c"));

fn program() -> PathBuf {
    built("rising", &[PROGRAM], &["cc", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"])
}

/// All ways at once: each mostly sleeps.
fn run(workshop: &Workshop, ways: &[&str]) -> Vec<Done> {
    let program = program();
    let program = program.to_str().unwrap();
    let start = |way: &&str| workshop.start(&["exec", "--json", way, "--", program, way]);
    let started: Vec<_> = ways.iter().map(start).collect();
    started.into_iter().map(|one| one.finish(LIMIT)).collect()
}

fn descriptors() {
    let workshop = Workshop::new();
    let done = run(&workshop, &["leaks"]).remove(0);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = workshop.json("leaks");
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = &findings[0];
    let told = [&finding["code"], &finding["status"], &finding["class"]];
    assert_eq!(told, ["L411", "LEAK", "fd-leak"]);
    assert_eq!(finding["likely_cause"]["rule"], "descriptors-without-end");
    let count = finding["left_behind"][0]["count"].as_u64().unwrap();
    assert!((150..=240).contains(&count), "{count} of 270 were opened after the first quarter");
    assert_eq!(finding["left_behind"][0]["mostly"], "file");
}

fn healthy() {
    let workshop = Workshop::new();
    let ways = ["once", "pool", "serves", "closes"];
    for (way, done) in ways.iter().zip(run(&workshop, &ways)) {
        assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{way}");
    }
}

fn noted() {
    let workshop = Workshop::new();
    let ways = ["sockets", "processes", "killed"];
    let says = ["most are sockets", "more and more processes", "did not exit by itself"];
    let statuses = [0, 0, 137];
    for ((way, done), (says, status)) in
        ways.iter().zip(run(&workshop, &ways)).zip(says.iter().zip(statuses))
    {
        assert_eq!(done.status, status, "{way}: {}", done.stderr);
        let notes: Vec<&str> = done.stderr.lines().filter(|line| line.contains(says)).collect();
        assert_eq!(notes.len(), 1, "{way}: {}", done.stderr);
        assert!(notes[0].starts_with("note: ") && notes[0].contains("Theil-Sen"), "{}", notes[0]);
    }
}
