//! `hotfire show` and `hotfire explain`, on standard output.

use std::io::Write;
use std::path::Path;

use hotfire_core::diagnose::{Code, Finding};
use hotfire_core::judge::wilson;
use hotfire_core::report::{
    FindingView, PlanResult, Report, StepView, explain as page_of, render_finding, render_summary,
    sanitize, step_views,
};
use hotfire_plan::{Plan, Program};

use crate::args::ShowArgs;
use crate::error::CliError;
use crate::present::Presenter;
use crate::store::{Store, read_json};

/// The longest line of a child's output that is shown.
const LINE_CHARS_MAX: usize = 400;

/// Shows one kept finding, or all findings of a JSON report: as the run printed them, then
/// everything that was cut there.
pub(crate) fn show(
    args: &ShowArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let is_file = args.what.contains('/') || args.what.ends_with(".json");
    let (findings, text) = if is_file {
        let help = "name a report written by --json, or a finding's id";
        let report: Report = read_json(Path::new(&args.what), help)?;
        let context = presenter.context();
        let text: String =
            report.findings.iter().map(|finding| of_report(finding, &report, presenter)).collect();
        (report.findings.clone(), text + &render_summary(&report, context))
    } else {
        let kept = Store::at(&args.out).finding(&args.what)?;
        let program = Plan::parse(&kept.observation.plan).map(|plan| Program::from(&plan)).ok();
        let steps = program.map(|program| step_views(&kept.observation, &program));
        let text = in_full(&kept.finding, Some(&kept.result), steps.unwrap_or_default(), presenter);
        (vec![kept.finding], text)
    };
    let text = if args.json { as_json(&findings, is_file)? } else { text };
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(0)
}

/// A report holds no steps: they are shown from kept findings alone.
fn of_report(finding: &Finding, report: &Report, presenter: &Presenter) -> String {
    let result = report.results.iter().find(|plan| plan.finding.as_ref() == Some(&finding.id));
    in_full(finding, result, Vec::new(), presenter) + "\n"
}

/// One finding, or the list of a report's.
fn as_json(findings: &[Finding], is_list: bool) -> Result<String, CliError> {
    let text = match findings {
        [finding] if !is_list => serde_json::to_string_pretty(finding),
        findings => serde_json::to_string_pretty(findings),
    };
    let failed =
        |error: serde_json::Error| CliError::Write { path: "-".into(), error: error.into() };
    Ok(text.map_err(failed)? + "\n")
}

fn in_full(
    finding: &Finding,
    result: Option<&PlanResult>,
    steps: Vec<StepView>,
    presenter: &Presenter,
) -> String {
    let rate = finding.reproduced.map(|tried| wilson(tried.failed, tried.of));
    let view = FindingView {
        finding,
        scenario: result.map_or("plan", |result| &result.scenario),
        place: None,
        engine: result.map_or("", |result| &result.engine),
        steps,
        tried: finding.reproduced,
        rate: rate.as_ref(),
    };
    let mut text = render_finding(&view, presenter.context());
    text.push_str("\nall evidence:\n");
    for (number, evidence) in (1..).zip(&finding.evidence) {
        let line = sanitize(&evidence.text, LINE_CHARS_MAX);
        text.push_str(&format!("  {number}. {line} [{}]\n", evidence.source));
    }
    text.push_str(&threads(finding));
    if let Some(tail) = &finding.output_tail {
        for (name, lines) in [("standard output", &tail.stdout), ("standard error", &tail.stderr)] {
            if !lines.is_empty() {
                text.push_str(&format!("\nthe last lines of its {name}:\n"));
                for line in lines.lines() {
                    text.push_str(&format!("  {}\n", sanitize(line, LINE_CHARS_MAX)));
                }
            }
        }
    }
    text
}

fn threads(finding: &Finding) -> String {
    if finding.threads.is_empty() {
        return String::new();
    }
    let mut text = "\nall threads of the victim:\n".to_owned();
    for thread in &finding.threads {
        let mark = if thread.crashed { " (crashed)" } else { "" };
        let waits = thread.waits_on.as_deref().map(|on| format!(", waits on {on}"));
        let name = sanitize(&thread.name, 64);
        text.push_str(&format!(
            "  {} `{name}`{mark}: {}{}\n",
            thread.tid,
            thread.state,
            waits.unwrap_or_default()
        ));
    }
    text
}

/// Prints a code's page, or all codes.
pub(crate) fn explain(code: Option<&str>, out: &mut dyn Write) -> Result<u8, CliError> {
    let text = match code {
        Some(code) => page_of(code)
            .ok_or_else(|| {
                let code = sanitize(code, 40);
                CliError::Text(format!("no code `{code}`\nhelp: `hotfire explain` lists all codes"))
            })?
            .to_owned(),
        None => Code::ALL
            .iter()
            .filter_map(|code| page_of(code.text())?.lines().next())
            .map(|title| format!("{title}\n"))
            .collect(),
    };
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(0)
}
