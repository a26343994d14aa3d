//! The command. Hidden verbs first: a child that hosts an engine, a supervisor and a launcher are
//! this same program, and must run nothing else.
//!
//! Deliberately absent: everything that a verb does (see the modules).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod accept;
mod answer;
mod args;
mod attach;
mod attach_refused;
mod baseline;
mod bundle;
mod check;
mod command_files;
mod completions;
mod config;
mod core;
mod culprits;
mod demo;
mod doctor;
mod doctor_checks;
mod error;
mod exec;
mod internal;
mod list;
mod present;
mod proof;
mod replace;
mod reports;
mod run;
mod scenarios;
mod show;
mod soak;
mod store;
mod subjects;

use args::{Cli, Verb};
use config::Profile;
use error::CliError;
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
    let settled = Profile::load(cli).map(|profile| (profile.complete(cli), profile));
    let mut presenter = Presenter::new(settled.as_ref().map_or(cli, |(cli, _)| cli));
    let done = settled.and_then(|(cli, profile)| perform_verb(&cli.verb, &profile, &mut presenter));
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            presenter.error(&error.to_string());
            ExitCode::from(error.status())
        }
    }
}

fn perform_verb(verb: &Verb, profile: &Profile, presenter: &mut Presenter) -> Result<u8, CliError> {
    let mut out = std::io::stdout().lock();
    match verb {
        Verb::Run(args) => {
            reports::check(&args.shared).and_then(|()| run::run(args, profile, presenter))
        }
        Verb::Replay(args) => {
            reports::check(&args.shared).and_then(|()| run::replay(args, profile, presenter))
        }
        Verb::Exec(args) => exec::exec(args, presenter),
        Verb::Core(args) => core::core(args, presenter),
        Verb::Attach(args) => attach::attach(args, presenter, &mut out),
        Verb::List(args) => list::list(args, &mut out),
        Verb::Show(args) => show::show(args, presenter, &mut out),
        Verb::Accept(args) => accept::accept(args, profile, &mut out),
        Verb::Explain { code } => show::explain(code.as_deref(), &mut out),
        Verb::Demo(args) => demo::demo(args, presenter, &mut out),
        Verb::Doctor(args) => doctor::doctor(args, &mut out),
        Verb::Completions { shell } => completions::completions(*shell, &mut out),
    }
}
