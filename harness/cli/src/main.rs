//! The command. Hidden verbs first: a child that hosts an engine, a supervisor and a launcher are
//! this same program, and must run nothing else.
//!
//! Deliberately absent: everything that a verb does (see the modules).

use std::process::ExitCode;

mod internal;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(status) = internal::run(&arguments) {
        return status;
    }
    ExitCode::from(2)
}
