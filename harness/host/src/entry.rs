//! The host's main: three ways to be told what to run.
//!
//! - `HOTFIRE_RECORDER=FD`: one plan, from the recorder behind that descriptor (spawn mode);
//! - `HOTFIRE_FORKSERVER=FD`, `HOTFIRE_PREPARE=kind,kind`: a plan per forked child (fork mode);
//! - `--plan TEXT`: one plan in a plain shell, without a supervisor.

use std::env;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;

use hotfire_plan::Plan;
use hotfire_recorder::{Gating, Stage, Writer};

use crate::attach;
use crate::engine::EngineKind;
use crate::error::HostError;
use crate::forkserver::{self, Service};
use crate::ledger::Ledger;
use crate::os;
use crate::run::{self, Settings};

/// The exit status of a host that could not run its plan.
pub const STATUS_REFUSED: u8 = 96;
/// Names the recorder's descriptor, in spawn mode.
pub const RECORDER_VARIABLE: &str = "HOTFIRE_RECORDER";
/// Names the socket's descriptor, in fork mode.
pub const FORKSERVER_VARIABLE: &str = "HOTFIRE_FORKSERVER";
/// Names the engine kinds that a forkserver loads, joined by commas.
pub const PREPARE_VARIABLE: &str = "HOTFIRE_PREPARE";

const USAGE: &str = "usage: --plan TEXT|@FILE [--seed N] [-v]";

/// Runs a host; `arguments` are those behind the program's name and the hidden verb.
///
/// To be called first thing in main, before any thread, and its result to be returned from main:
/// a forked child comes back through here too, with its engines alive. The status is 0 when the
/// plan ran to its end, [`STATUS_REFUSED`] when it could not be run, else what its `exit` says;
/// in a plain shell 1 when a step failed that the lifecycle model says must succeed.
pub fn host_main(arguments: &[String], kinds: Vec<Arc<dyn EngineKind>>) -> ExitCode {
    // What Rust's runtime set up before main would hide what the engine's own program would do.
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGPIPE] {
        os::default_action(signal, 0);
    }
    let status = match (take_variable(RECORDER_VARIABLE), take_variable(FORKSERVER_VARIABLE)) {
        (Some(fd), _) => descriptor(&fd).and_then(|recorder| run_recorded(recorder, false, kinds)),
        (None, Some(fd)) => descriptor(&fd).and_then(|socket| fork_mode(socket, kinds)),
        (None, None) => run_standalone(arguments, kinds),
    };
    status.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(STATUS_REFUSED)
    })
}

fn complain(error: &HostError) {
    // Nobody may be reading; the status tells it too.
    let _ = writeln!(std::io::stderr(), "hotfire host: {error}");
}

/// A variable of ours, taken out of the environment that the engine sees.
fn take_variable(name: &str) -> Option<String> {
    let value = env::var(name).ok()?;
    // SAFETY: main has just begun, no other thread runs (see `host_main`).
    unsafe { env::remove_var(name) };
    Some(value)
}

fn descriptor(text: &str) -> Result<OwnedFd, HostError> {
    let usage = || HostError::Usage(format!("`{text}` is no open descriptor"));
    let fd: RawFd = text.parse().map_err(|_| usage())?;
    // SAFETY: no memory is passed; a number that is no descriptor gives an error.
    if fd < 3 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(usage());
    }
    // SAFETY: it is open, and the variable that names it hands it over to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn fork_mode(socket: OwnedFd, kinds: Vec<Arc<dyn EngineKind>>) -> Result<ExitCode, HostError> {
    let prepare = take_variable(PREPARE_VARIABLE).unwrap_or_default();
    match forkserver::serve(socket, &prepare, &kinds)? {
        Service::Child(recorder) => run_recorded(recorder, true, kinds),
        Service::Over => Ok(ExitCode::SUCCESS),
    }
}

/// Runs the plan that stands in a recorder.
fn run_recorded(
    recorder: OwnedFd,
    is_forked: bool,
    kinds: Vec<Arc<dyn EngineKind>>,
) -> Result<ExitCode, HostError> {
    let recorder = attach::attach(recorder)?;
    recorder.stage(Stage::Attached);
    run_brief(recorder, is_forked, kinds).inspect_err(|error| recorder.refuse(&error.to_string()))
}

fn run_brief(
    recorder: Writer<'static>,
    is_forked: bool,
    kinds: Vec<Arc<dyn EngineKind>>,
) -> Result<ExitCode, HostError> {
    let brief = recorder.brief().ok_or(HostError::Recorder("the recorder has no plan"))?;
    let plan = Plan::parse(&brief.plan)?;
    if is_forked && !plan.env.is_empty() {
        return Err(HostError::Misplaced("a plan with `env` needs a fresh process, not a fork"));
    }
    let settings = Settings {
        recorder: Some(recorder),
        ledger: if brief.ledger { Ledger::new(recorder) } else { Ledger::off() },
        seed: brief.seed,
        beat_period_us: brief.beat_period_us,
        gating: brief.gating,
        is_verbose: false,
    };
    run::run(&plan, kinds, settings)
}

fn run_standalone(
    arguments: &[String],
    kinds: Vec<Arc<dyn EngineKind>>,
) -> Result<ExitCode, HostError> {
    let usage = |what: String| HostError::Usage(format!("{what}; {USAGE}"));
    let (mut text, mut seed, mut is_verbose) = (None, 0, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value =
            || rest.next().ok_or_else(|| usage(format!("`{argument}` without a value")));
        match argument.as_str() {
            "--plan" => text = Some(value()?.clone()),
            "--seed" => seed = number(value()?).ok_or_else(|| usage("a bad seed".to_owned()))?,
            "-v" => is_verbose = true,
            _ => return Err(usage(format!("unknown argument `{argument}`"))),
        }
    }
    let text = text.ok_or_else(|| usage("nothing to run".to_owned()))?;
    let plan = Plan::parse(&plan_text(text)?)?;
    for (key, value) in &plan.env {
        // SAFETY: main has just begun, no other thread runs (see `host_main`).
        unsafe { env::set_var(key, value) };
    }
    let ledger = Ledger::off();
    let settings = Settings {
        recorder: None,
        ledger,
        seed,
        beat_period_us: 0,
        gating: Gating::Off,
        is_verbose,
    };
    run::run(&plan, kinds, settings)
}

/// `@FILE` stands for the file's text.
fn plan_text(text: String) -> Result<String, HostError> {
    match text.strip_prefix('@') {
        // A plan may begin with a schedule, which is no file.
        Some(path) if !path.starts_with("order(") => std::fs::read_to_string(path)
            .map_err(|source| HostError::File { path: path.to_owned(), source }),
        _ => Ok(text),
    }
}

/// A number, decimal or hexadecimal behind `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
