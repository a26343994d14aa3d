//! The reader of Python frames on real interpreters: held against what `faulthandler` of the very
//! same process says of all its threads.
//!
//! A program of its own, because an interpreter that is not here must be reported as ignored.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this program is tests: what is not as it must be ends the test"
)]

mod agreement;
mod find;
mod interpreter;
mod offsets;
mod wrong;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for minor in 8..=14 {
        let program = find::find(minor);
        let is_missing = program.is_none();
        let tests: [(&str, Test); 2] = [
            ("agrees-with-faulthandler", agreement::test),
            ("offsets-are-of-headers", offsets::test),
        ];
        for (name, test) in tests {
            // From 3.14 on there is no table that is made from headers.
            if minor == 14 && name == "offsets-are-of-headers" {
                continue;
            }
            trials.push(trial(format!("{name}-3.{minor}"), program.clone(), test, is_missing));
        }
        if minor >= 13 {
            let name = format!("wrong-offsets-give-no-garbage-3.{minor}");
            trials.push(trial(name, program, wrong::test, is_missing));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What a test does with an interpreter.
type Test = fn(&Path);

/// A test that fails by a panic; ignored where its interpreter is not here.
fn trial(name: String, program: Option<PathBuf>, test: Test, is_missing: bool) -> Trial {
    let run = move || {
        test(&program.unwrap());
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(is_missing)
}
