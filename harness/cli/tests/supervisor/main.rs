//! The supervisor against real processes: small C fixtures, each in both launch modes. Every one
//! gives the right observation in time, leaves nothing, and does not harm the next run.
//!
//! Deliberately absent: diagnosis; an observation holds facts alone.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests; their helpers fail as tests do"
)]

#[path = "../common/mod.rs"]
mod common;

mod endings;
mod front;
mod handlers;
mod hangs;
mod processes;
mod streams;
mod threads;

use std::collections::BTreeSet;

/// A fixture that nobody runs proves nothing.
#[test]
fn every_fixture_has_a_case() {
    let output = std::process::Command::new(common::build::host()).arg("list").output();
    let text = String::from_utf8(output.expect("it runs").stdout).expect("names are text");
    let fixtures: BTreeSet<&str> = text.lines().collect();
    let plans = [
        endings::plans(),
        handlers::plans(),
        hangs::plans(),
        processes::plans(),
        streams::plans(),
        threads::plans(),
    ]
    .concat();
    let run: BTreeSet<&str> =
        plans.iter().filter_map(|plan| plan.split_ascii_whitespace().next()).collect();
    assert_eq!(run, fixtures);
}
