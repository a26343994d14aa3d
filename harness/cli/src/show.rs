//! `hotfire show` and `hotfire explain`, on standard output.

use std::io::Write;

use hotfire_core::diagnose::{Code, Finding};
use hotfire_core::report::{FindingView, explain as page_of, render_finding, sanitize, step_views};
use hotfire_plan::{Plan, Program};

use crate::args::ShowArgs;
use crate::error::CliError;
use crate::present::Presenter;
use crate::store::{Kept, Store};

/// The longest line of a child's output that is shown.
const LINE_CHARS_MAX: usize = 400;

/// Shows one kept finding: as the run printed it, then everything that was cut there.
pub(crate) fn show(
    args: &ShowArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let kept = Store::at(&args.out).finding(&args.what)?;
    let text = if args.json {
        let text = serde_json::to_string_pretty(&kept.finding);
        format!(
            "{}\n",
            text.map_err(|error| CliError::Write { path: "-".into(), error: error.into() })?
        )
    } else {
        in_full(&kept, presenter)
    };
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(0)
}

fn in_full(kept: &Kept, presenter: &Presenter) -> String {
    let Kept { finding, result, observation } = kept;
    let program = Plan::parse(&observation.plan).map(|plan| Program::from(&plan)).ok();
    let view = FindingView {
        finding,
        scenario: &result.scenario,
        place: None,
        engine: &result.engine,
        steps: program.map(|program| step_views(observation, &program)).unwrap_or_default(),
        tried: finding.reproduced,
        rate: result.rate.as_ref(),
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
