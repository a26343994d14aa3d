//! `hotfire core`: a death that a core file tells of.
//!
//! Deliberately absent: reading it (hotfire-core's `corefile`), the stacks of living processes.

use hotfire_core::campaign::{CommandReport, judge_core};
use hotfire_core::corefile::read_core;
use hotfire_core::diagnose::Finding;
use hotfire_core::observe::Observation;
use hotfire_core::report::{FindingView, Whole, render_finding, render_registers, render_stacks};
use hotfire_core::symbolize::LineReader;
use hotfire_plan::shell_word;
use hotfire_sys::{own_executable, signal};

use crate::args::CoreArgs;
use crate::command_files::CommandFiles;
use crate::error::{CliError, status};
use crate::present::Presenter;

/// `hotfire core`.
pub(crate) fn core(args: &CoreArgs, presenter: &Presenter) -> Result<u8, CliError> {
    let files = CommandFiles::new("core", args.json.as_deref(), args.bundle.as_deref())?;
    let observation = read_core(&args.file, args.program.as_deref())
        .map_err(|error| CliError::Core { path: args.file.clone(), error })?;
    let mut lines = LineReader::new(own_executable()?.to_string_lossy().into_owned());
    let report = judge_core(observation, &mut lines);
    let status = if report.verdict.failed > 0 { status::FAILED } else { 0 };
    tell(&report, args, presenter);
    files.write(&report, status, &reproduce(args), presenter)?;
    Ok(status)
}

/// The finding, or why there is none; then what could not be seen and is not on its page.
fn tell(report: &CommandReport, args: &CoreArgs, presenter: &Presenter) {
    let page = report.main_finding().map(|(observation, finding)| {
        let page = page(observation, finding, args, presenter);
        presenter.page(&page);
        page
    });
    for observation in report.kept() {
        if let (None, Some(crash)) = (&page, &observation.crash) {
            let name = signal::name(crash.signal);
            presenter.note(&format!("`{}` was asked to end, by {name}", shown(observation)));
        }
        let page = page.as_deref().unwrap_or_default();
        for line in observation.soft_errors.iter().filter(|line| !page.contains(line.as_str())) {
            presenter.note(line);
        }
    }
}

fn page(
    observation: &Observation,
    finding: &Finding,
    args: &CoreArgs,
    presenter: &Presenter,
) -> String {
    let scenario = format!("{}, which ran `{}`", args.file.display(), shown(observation));
    let view = FindingView {
        finding: &Finding { reproduce: Some(reproduce(args)), ..finding.clone() },
        scenario: &scenario,
        place: None,
        engine: "",
        steps: Vec::new(),
        tried: None,
        rate: None,
        also: &[],
        whole: Whole::Nowhere,
    };
    let context = presenter.context();
    let mut text = render_finding(&view, context);
    if args.full {
        text.push_str(&render_stacks(finding, context));
        text.extend(observation.crash.as_ref().map(render_registers));
    }
    text
}

/// The command that died, as far as the core has it.
fn shown(observation: &Observation) -> String {
    let words = observation.command.iter().map(|word| shell_word(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The command line that shows it again.
fn reproduce(args: &CoreArgs) -> String {
    let words = std::iter::once(&args.file).chain(&args.program);
    let words = words.map(|word| shell_word(&word.to_string_lossy()));
    format!("hotfire core {}", words.collect::<Vec<_>>().join(" "))
}
