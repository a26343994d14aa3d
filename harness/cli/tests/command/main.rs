//! The command from outside: real processes, their exit status, their output, and what is left
//! of them afterwards.
//!
//! A program of its own, because a test that needs an engine that is not fetched must be reported
//! as ignored, not as passed. `HOTFIRE_TEST_KILLS` says how many times processes of ours are
//! killed (default 5).
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "all of this program is tests: what is not as it must be ends the test"
)]

mod attach;
mod births;
mod census;
mod classes;
mod core;
mod defects;
mod errors;
mod exec;
mod files;
mod first;
mod gate;
mod github;
mod hangs;
mod healthy;
#[path = "../../../core/tests/python/find.rs"]
mod interpreters;
mod interrupt;
mod junit;
mod keep;
mod kill;
mod leftovers;
mod lines;
mod llama;
mod moment;
mod oom;
mod output;
mod python;
mod races;
mod refusals;
mod replay;
mod rising;
mod runs;
mod soak;
mod source;
mod stages;
mod told;
mod twins;
mod usage;
mod workshop;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test's name and what it does; it fails by a panic.
pub(crate) type Case = (&'static str, fn());

fn main() -> ExitCode {
    let cases = [
        replay::CASES,
        errors::CASES,
        files::CASES,
        first::CASES,
        soak::CASES,
        gate::CASES,
        refusals::CASES,
        interrupt::CASES,
        kill::CASES,
        output::CASES,
        keep::CASES,
        moment::CASES,
        lines::CASES,
        github::CASES,
        census::CASES,
        classes::CASES,
        hangs::CASES,
        attach::CASES,
        races::CASES,
        runs::CASES,
        births::CASES,
        rising::CASES,
        exec::CASES,
        leftovers::CASES,
        source::CASES,
        stages::CASES,
        twins::CASES,
        usage::CASES,
    ];
    let mut trials: Vec<Trial> = cases.concat().into_iter().map(trial).collect();
    trials.extend(defects::trials());
    trials.extend(junit::trials());
    trials.extend(llama::trials());
    trials.extend(healthy::trials());
    trials.extend(core::trials());
    trials.extend(python::trials());
    trials.extend(oom::trials());
    trials.extend(runs::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

pub(crate) fn trial((name, test): Case) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
