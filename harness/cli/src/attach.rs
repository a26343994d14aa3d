//! `hotfire attach`: processes that run.
//!
//! Deliberately absent: looking at them (hotfire-core's `supervise::visit`), why they may not be
//! looked at (`attach_refused`).

use std::io::Write;

use hotfire_core::campaign::{CommandReport, judge_living};
use hotfire_core::diagnose::{Finding, living_processes};
use hotfire_core::observe::Observation;
use hotfire_core::report::{FindingView, Whole, render_finding, render_processes};
use hotfire_core::supervise::{VisitError, visit};
use hotfire_core::symbolize::LineReader;
use hotfire_plan::shell_word;
use hotfire_sys::{machine, own_executable, signal, target};

use crate::answer::answer;
use crate::args::AttachArgs;
use crate::attach_refused::{check, refused};
use crate::command_files::CommandFiles;
use crate::error::{CliError, status};
use crate::present::Presenter;
use crate::reports::is_output;

/// A shell's status of a death by a signal is this and the signal's number.
const SIGNALLED: i32 = 128;

/// `hotfire attach`.
pub(crate) fn attach(
    args: &AttachArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let files = CommandFiles::new("attach", args.json.as_deref(), args.bundle.as_deref())?;
    check(args.pid)?;
    let observation = match visit(args.pid, args.alone) {
        Ok(observation) => observation,
        Err(VisitError::Interrupted(by)) => {
            let name = signal::name(by);
            presenter.note(&format!("stopped by {name}; process {} goes on", args.pid));
            return Ok(u8::try_from(SIGNALLED + by).unwrap_or(status::INTERNAL));
        }
        Err(error) => return Err(unseen(args.pid, error)),
    };
    let mut lines = LineReader::new(own_executable()?.to_string_lossy().into_owned());
    let report = judge_living(observation, &mut lines);
    let status = if report.verdict.failed > 0 { status::FAILED } else { 0 };
    tell(&report, args, presenter, out)?;
    files.write(&report, status, &reproduce(args), presenter)?;
    Ok(status)
}

fn unseen(pid: i32, error: VisitError) -> CliError {
    match error {
        VisitError::Seize(error) if error.is_refused_trace() => match target(pid) {
            Ok(seen) => refused(pid, &seen, &machine::facts()),
            Err(error) => CliError::System(error),
        },
        VisitError::Seize(error) if !error.is_gone() => CliError::System(error),
        VisitError::System(error) => CliError::System(error),
        ended => CliError::Attach {
            pid,
            why: match ended {
                VisitError::Ended(how) => format!("it ended meanwhile, {how}"),
                _ => "it ended meanwhile".to_owned(),
            },
            help: "`hotfire exec -- COMMAND` watches a command to its end".to_owned(),
            status: status::NOTHING_RAN,
        },
    }
}

/// All stacks, where they are asked for or there is nothing else to tell; the finding; and what could
/// not be seen.
fn tell(
    report: &CommandReport,
    args: &AttachArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let main = report.main_finding();
    let has_json = args.json.as_deref().is_some_and(is_output);
    for observation in report.kept().filter(|_| !has_json && (main.is_none() || args.threads)) {
        let processes = living_processes(observation);
        answer(out, &render_processes(&processes, presenter.context()))?;
    }
    let page = main.map(|(observation, finding)| page(observation, finding, args, presenter));
    let page = page.unwrap_or_default();
    presenter.page(&page);
    for observation in report.kept() {
        if main.is_none() {
            let processes = observation.stall.as_ref().map_or(0, |stall| stall.processes.len());
            presenter.note(&format!(
                "no finding in {}: nothing in it is sure to hang; it goes on",
                if processes == 1 {
                    "1 process".to_owned()
                } else {
                    format!("{processes} processes")
                }
            ));
        }
        for line in observation.soft_errors.iter().filter(|line| !page.contains(line.as_str())) {
            presenter.note(line);
        }
    }
    Ok(())
}

fn page(
    observation: &Observation,
    finding: &Finding,
    args: &AttachArgs,
    presenter: &Presenter,
) -> String {
    let words = observation.command.iter().map(|word| shell_word(word));
    let shown = words.collect::<Vec<_>>().join(" ");
    let view = FindingView {
        finding: &Finding { reproduce: Some(reproduce(args)), ..finding.clone() },
        scenario: &format!("process {}, which runs `{shown}`", args.pid),
        place: None,
        engine: "",
        steps: Vec::new(),
        tried: None,
        rate: None,
        also: &[],
        whole: Whole::Nowhere,
    };
    render_finding(&view, presenter.context())
}

/// The command line that shows it again, with all stacks.
fn reproduce(args: &AttachArgs) -> String {
    let alone = if args.alone { " --alone" } else { "" };
    format!("hotfire attach {}{alone} --threads", args.pid)
}
