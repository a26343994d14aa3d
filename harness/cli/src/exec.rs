//! `hotfire exec`: any command as it is, under watch.
//!
//! Deliberately absent: how it is watched (hotfire-core), scenarios, the baseline.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use hotfire_core::campaign::{CommandReport, Leftovers, run_command};
use hotfire_core::diagnose::Finding;
use hotfire_core::judge::{Verdict, wilson};
use hotfire_core::observe::{Ending, Observation};
use hotfire_core::report::{
    FindingView, RenderContext, Whole, render_finding, render_registers, render_stacks,
};
use hotfire_core::supervise::Watched;
use hotfire_core::symbolize::LineReader;
use hotfire_plan::shell_word;
use hotfire_sys::signal::{SIGINT, end_by};
use hotfire_sys::{SysError, own_executable};

use crate::args::{ExecArgs, LeftoversArg, Trace};
use crate::command_files::CommandFiles;
use crate::culprits;
use crate::error::{CliError, status};
use crate::present::Presenter;
use crate::store::write_text;

/// As shells, `timeout` and `env` say it: the command is not there; it is, and cannot be run.
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;
/// A shell's status of a death by a signal is this and the signal's number.
const SIGNALLED: i32 = 128;

/// `hotfire exec`.
pub(crate) fn exec(args: &ExecArgs, presenter: &mut Presenter) -> Result<u8, CliError> {
    let files = CommandFiles::new("exec", args.json.as_deref(), args.bundle.as_deref())?;
    let watched = Watched {
        words: args.command.clone(),
        search_path: std::env::var_os("PATH"),
        timeout_ms: args.timeout,
        grace_ms: grace_ms(args),
        keeps_leftovers: args.leftovers == LeftoversArg::Allow,
        traced: args.trace == Trace::On,
    };
    let leftovers = match args.leftovers {
        LeftoversArg::Allow => Leftovers::Allow,
        LeftoversArg::Fail => Leftovers::Fail,
        LeftoversArg::Kill => Leftovers::Kill,
    };
    let stages = culprits::load(args.culprits.as_deref())?;
    let mut lines = LineReader::new(own_executable()?.to_string_lossy().into_owned());
    let command = match run_command(&watched, leftovers, args.runs, &mut lines, &stages) {
        Ok(command) => command,
        Err(error) => return Ok(not_run(&error, args, presenter)),
    };
    let status = status_of(&command, args);
    tell(&command, args, presenter);
    if args.crash_dump {
        dump(&command, args, presenter)?;
    }
    files.write(&command, status, &reproduce(args), presenter)?;
    if i32::from(status) == SIGNALLED + SIGINT && command.ending == Ending::Signaled(SIGINT) {
        end_by_interrupt();
    }
    Ok(status)
}

/// Helpers that clean up behind their program end by themselves, but not at once: whoever would end
/// them waits for longer. That takes time only where something is left.
fn grace_ms(args: &ExecArgs) -> u64 {
    args.grace.unwrap_or(match args.leftovers {
        LeftoversArg::Allow => 300,
        LeftoversArg::Fail | LeftoversArg::Kill => 5_000,
    })
}

/// A shell that was interrupted, too, ends its loop only when its child died of the interrupt.
fn end_by_interrupt() {
    // Where either fails, the status says it.
    let _ = std::io::stdout().flush();
    let _ = end_by(SIGINT);
}

/// The command could not be started or watched.
fn not_run(error: &SysError, args: &ExecArgs, presenter: &Presenter) -> u8 {
    let name = args.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    if error.is_refused_trace() {
        presenter.error(&format!(
            "`{name}` may not be traced here: {error}\n\
             help: `hotfire doctor` tells what refuses it; --trace off watches it without"
        ));
        return status::BLIND;
    }
    presenter.error(&format!("`{name}` cannot be started: {error}"));
    if error.is_not_found() { NOT_FOUND } else { CANNOT_RUN }
}

fn status_of(command: &CommandReport, args: &ExecArgs) -> u8 {
    match command.verdict.verdict {
        Verdict::Blind => return status::BLIND,
        _ if command.verdict.failed > 0 => return args.error_exitcode,
        _ => {}
    }
    let own = match command.ending {
        Ending::Exited(status) => status,
        Ending::Signaled(signal) => SIGNALLED + signal,
        _ => i32::from(status::INTERNAL),
    };
    u8::try_from(own).unwrap_or(status::INTERNAL)
}

/// The findings, then what is worth a note. A command without either is not spoken of.
fn tell(command: &CommandReport, args: &ExecArgs, presenter: &Presenter) {
    let shown = shell_command(args);
    if let Some((_, finding)) = command.main_finding() {
        let tried = command.reproduced(&finding.id);
        let rate = tried.map(|tried| wilson(tried.failed, tried.of));
        let also: Vec<String> = others(command, finding);
        let reproduce = Some(reproduce(args));
        let view = FindingView {
            finding: &Finding { reproduce, reproduced: tried, ..finding.clone() },
            scenario: &shown,
            place: None,
            engine: "",
            steps: Vec::new(),
            tried,
            rate: rate.as_ref(),
            also: &also,
            whole: Whole::Nowhere,
        };
        presenter.page(&render_finding(&view, presenter.context()));
    }
    if command.kept().any(|run| run.kill.is_some_and(|kill| kill.by_itself)) {
        presenter.note("the command sent SIGKILL to itself, which is no finding");
    }
    if args.trace == Trace::On && command.kept().any(refuses_to_be_traced) {
        presenter.note(
            "LeakSanitizer does not work traced\nhelp: hotfire exec --trace off -- … watches without",
        );
    }
    for line in command.leftovers.iter().chain(&command.rising) {
        presenter.note(line);
    }
    let unseen: BTreeSet<_> = command.attempts.iter().flat_map(|attempt| &attempt.unseen).collect();
    for (what, reason) in unseen {
        presenter.note(&format!("{what} not seen: {reason}"));
    }
}

/// What LeakSanitizer says when it finds a tracer (sanitizer_stoptheworld_linux_libcdep.cpp): there is
/// nothing else to know it by.
fn refuses_to_be_traced(run: &Observation) -> bool {
    let printed = &run.output.stderr;
    let says_so = |text: &String| text.contains("LeakSanitizer does not work under ptrace");
    [&printed.head, &printed.tail].into_iter().any(says_so)
}

/// The finding whole, in a file of its own.
fn dump(command: &CommandReport, args: &ExecArgs, presenter: &Presenter) -> Result<(), CliError> {
    let Some((observation, finding)) = command.main_finding() else { return Ok(()) };
    let plain = RenderContext::default();
    let view = FindingView {
        finding: &Finding { reproduce: Some(reproduce(args)), ..finding.clone() },
        scenario: &shell_command(args),
        place: None,
        engine: "",
        steps: Vec::new(),
        tried: None,
        rate: None,
        also: &[],
        whole: Whole::Here,
    };
    let mut text = render_finding(&view, &plain) + &render_stacks(finding, &plain);
    let pid = finding.victim.as_ref().map_or(0, |victim| victim.pid);
    text.extend(observation.crash_of(pid).map(render_registers));
    let path = PathBuf::from(format!("crash_dump_{pid}.log"));
    write_text(&path, &text)?;
    presenter.note(&format!("the whole finding is in {}", path.display()));
    Ok(())
}

fn others(command: &CommandReport, main: &Finding) -> Vec<String> {
    let others = command.first_findings().filter(|(_, finding)| finding.id != main.id);
    let line = |finding: &Finding| {
        let tried = command.reproduced(&finding.id);
        let rate = tried.map(|tried| format!(", in {} of {} runs", tried.failed, tried.of));
        let rate = rate.unwrap_or_default();
        format!("{} {}: {}{rate}", finding.code, finding.status, finding.title)
    };
    others.map(|(_, finding)| line(finding)).collect()
}

fn shell_command(args: &ExecArgs) -> String {
    let words = args.command.iter().map(|word| shell_word(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// The command line that shows it again.
fn reproduce(args: &ExecArgs) -> String {
    let runs = if args.runs > 1 { format!(" --runs {}", args.runs) } else { String::new() };
    let trace = if args.trace == Trace::Off { " --trace off" } else { "" };
    let timeout = args.timeout.map(|ms| format!(" --timeout {ms}ms")).unwrap_or_default();
    let leftovers = match args.leftovers {
        LeftoversArg::Allow => "",
        LeftoversArg::Fail => " --leftovers fail",
        LeftoversArg::Kill => " --leftovers kill",
    };
    let is_theirs = args.leftovers != LeftoversArg::Allow;
    let grace = args.grace.filter(|_| is_theirs).map(|ms| format!(" --grace {ms}ms"));
    let grace = grace.unwrap_or_default();
    format!("hotfire exec{timeout}{runs}{leftovers}{grace}{trace} -- {}", shell_command(args))
}
