//! Lifecycles and misuse of the real llama.cpp, each in a child process: this program, started
//! again with [`CHILD_VARIABLE`].
//!
//! Where llama.cpp is not fetched the tests are reported as ignored, and why on stderr; with
//! `HOTFIRE_REQUIRE_ENGINES=1` they fail instead. Deliberately absent: plan text and the harness.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program with its own main, which clippy does not take for a test"
)]

mod cases;
mod child;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use hotfire_llama::{FOLDER_VARIABLE, folder};
use libtest_mimic::{Arguments, Failed, Trial};

use cases::{CASES, Case, Ending};

/// Names the case that a child runs.
const CHILD_VARIABLE: &str = "HOTFIRE_LLAMA_TEST_CASE";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CHILD_VARIABLE) {
        return child::main(&name);
    }
    let here = folder().map_err(|error| error.to_string());
    let required = std::env::var_os("HOTFIRE_REQUIRE_ENGINES").is_some_and(|value| value == "1");
    let trials = CASES
        .iter()
        .map(|case| {
            let skip = here.as_ref().err().filter(|_| case.needs_libraries);
            if let Some(reason) = skip.filter(|_| !required) {
                eprintln!("SKIP llama-{}: {reason}", case.name);
            }
            let reason = skip.cloned();
            Trial::test(format!("llama-{}", case.name), move || match reason {
                Some(reason) => Err(Failed::from(reason)),
                None => run(case),
            })
            .with_ignored_flag(skip.is_some() && !required)
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a case in a child and compares how it ended.
fn run(case: &Case) -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    for attempt in 1..=case.attempts {
        let mut command = Command::new(&program);
        command.env(CHILD_VARIABLE, case.name).stdin(Stdio::null());
        if !case.needs_libraries {
            command.env(FOLDER_VARIABLE, "/nonexistent");
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        match judge(case, output.status, &said, &complained) {
            Judgement::Right => return Ok(()),
            Judgement::NotYet if attempt < case.attempts => {}
            Judgement::NotYet | Judgement::Wrong => {
                return Err(Failed::from(format!(
                    "attempt {attempt} of {}: expected {:?}, got {}\n{said}{complained}",
                    case.attempts, case.ending, output.status
                )));
            }
        }
    }
    Ok(())
}

enum Judgement {
    Right,
    /// A race that did not happen this time.
    NotYet,
    Wrong,
}

fn judge(case: &Case, status: ExitStatus, said: &str, complained: &str) -> Judgement {
    match case.ending {
        Ending::Healthy if status.success() && said.ends_with("done\n") => Judgement::Right,
        Ending::Signal { signals, during } => match status.signal() {
            Some(signal) if signals.contains(&signal) && said.lines().last() == Some(during) => {
                Judgement::Right
            }
            None if status.success() => Judgement::NotYet,
            // A torn context may also spin; the child gave itself a time.
            Some(libc::SIGALRM) if case.attempts > 1 => Judgement::NotYet,
            _ => Judgement::Wrong,
        },
        Ending::Complaint(words) if status.success() && complained.contains(words) => {
            Judgement::Right
        }
        _ => Judgement::Wrong,
    }
}
