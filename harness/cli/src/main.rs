//! The command. Hidden verbs first: a child that hosts an engine, a supervisor and a launcher are
//! this same program, and must run nothing else.
//!
//! Deliberately absent: everything that a verb does (see the modules).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod answer;
mod args;
mod check;
mod completions;
mod demo;
mod doctor;
mod doctor_checks;
mod error;
mod internal;
mod list;
mod present;
mod reports;
mod run;
mod scenarios;
mod show;
mod soak;
mod store;
mod subjects;

use args::{Cli, Verb};
use present::Presenter;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(status) = internal::run(&arguments) {
        return status;
    }
    let cli = Cli::parse();
    // A panic of ours must not look like a verdict (Rust's own status for it is 101).
    std::panic::catch_unwind(|| perform(&cli)).unwrap_or_else(|_| {
        Presenter::new(&cli).error(
            "hotfire itself failed; this is a fault of hotfire\n\
             help: please report it with the message above and the command line",
        );
        ExitCode::from(error::status::INTERNAL)
    })
}

fn perform(cli: &Cli) -> ExitCode {
    let mut presenter = Presenter::new(cli);
    let mut out = std::io::stdout().lock();
    let done = match &cli.verb {
        Verb::Run(args) => {
            reports::check(&args.shared).and_then(|()| run::run(args, &mut presenter))
        }
        Verb::Replay(args) => {
            reports::check(&args.shared).and_then(|()| run::replay(args, &mut presenter))
        }
        Verb::List(args) => list::list(args, &mut out),
        Verb::Show(args) => show::show(args, &presenter, &mut out),
        Verb::Explain { code } => show::explain(code.as_deref(), &mut out),
        Verb::Demo(args) => demo::demo(args, &presenter, &mut out),
        Verb::Doctor(args) => doctor::doctor(args, &mut out),
        Verb::Completions { shell } => completions::completions(*shell, &mut out),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            presenter.error(&error.to_string());
            ExitCode::from(error.status())
        }
    }
}
