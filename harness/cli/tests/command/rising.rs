//! `hotfire exec` on programs that hold more and more while they run: descriptors that nobody closes
//! are a leak, others are worth a note, and what is opened once, fills up or goes again is neither.
//!
//! Deliberately absent: threads by their births (`births`), and turns of a plan's loop (`census`).

use std::path::PathBuf;

use crate::Case;
use crate::classes::built;
use crate::told::{Told, check, healthy as lives, told};
use crate::workshop::{Done, LIMIT, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("rising-descriptors", descriptors),
    ("rising-of-healthy-programs", healthy),
    ("rising-that-may-be-right", noted),
];

pub(crate) const LEAKS: Told = told("leaks", "fd-leak", "descriptors-without-end", "");
pub(crate) const HEALTHY: &[Told] =
    &[lives("once"), lives("pool"), lives("serves"), lives("closes")];
/// Worth a note, no finding.
pub(crate) const NOTED: &[Told] = &[
    lives("sockets").though("fd-leak", "sockets may be its clients': a note tells of them"),
    lives("processes"),
    lives("killed").though(
        "fd-leak",
        "it did not exit by itself, and may have closed them else: a note tells of them",
    ),
];

fn ways(cases: &[Told]) -> Vec<&'static str> {
    cases.iter().map(|case| case.way).collect()
}

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
    let done = run(&workshop, &[LEAKS.way]).remove(0);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = workshop.json("leaks");
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = &findings[0];
    check(finding, &LEAKS);
    assert_eq!([&finding["code"], &finding["status"]], ["L411", "LEAK"]);
    let count = finding["left_behind"][0]["count"].as_u64().unwrap();
    assert!((150..=240).contains(&count), "{count} of 270 were opened after the first quarter");
    assert_eq!(finding["left_behind"][0]["mostly"], "file");
}

fn healthy() {
    let workshop = Workshop::new();
    let ways = ways(HEALTHY);
    for (way, done) in ways.iter().zip(run(&workshop, &ways)) {
        assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{way}");
    }
}

fn noted() {
    let workshop = Workshop::new();
    let ways = ways(NOTED);
    let says = ["many are sockets", "more and more processes", "did not exit by itself"];
    let statuses = [0, 0, 137];
    for ((way, done), (says, status)) in
        ways.iter().zip(run(&workshop, &ways)).zip(says.iter().zip(statuses))
    {
        assert_eq!(done.status, status, "{way}: {}", done.stderr);
        assert_eq!(workshop.json(way)["findings"], serde_json::json!([]), "{way}");
        let notes: Vec<&str> = done.stderr.lines().filter(|line| line.contains(says)).collect();
        assert_eq!(notes.len(), 1, "{way}: {}", done.stderr);
        assert!(notes[0].starts_with("note: ") && notes[0].contains("Theil-Sen"), "{}", notes[0]);
    }
}
