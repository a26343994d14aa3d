//! The unwinder on real stopped processes: held against gdb on the very same process, and against
//! the chains that the fixtures are written to have.
//!
//! A program of its own, because what needs gdb must be reported as ignored where there is none.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "all of this program is tests: what is not as it must be ends the test"
)]

mod agreement;
mod chains;
mod debugger;
mod files;
mod fixture;
mod steps;
mod stopped;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut trials = agreement::trials();
    trials.extend(chains::trials());
    trials.extend(files::trials());
    trials.extend(steps::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that fails by a panic.
pub(crate) fn trial(name: String, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
