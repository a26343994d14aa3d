//! `hotfire show` and `hotfire explain`, on standard output.

use std::io::Write;
use std::path::Path;

use hotfire_core::diagnose::{Code, Finding, living_processes};
use hotfire_core::judge::wilson;
use hotfire_core::observe::Observation;
use hotfire_core::report::{
    FindingView, PlanResult, Report, StepView, Whole, counted, explain as page_of, explain_class,
    render_finding, render_processes, render_registers, render_stacks, render_summary, sanitize,
    step_views,
};
use hotfire_plan::{Plan, Program, shell_word};

use crate::answer::answer;
use crate::args::ShowArgs;
use crate::bundle::{self, Bundle};
use crate::error::CliError;
use crate::present::Presenter;
use crate::store::{Kept, Store, read_json};

/// The longest line of a child's output that is shown.
const LINE_CHARS_MAX: usize = 400;

/// Shows one kept finding, or all findings of a JSON report, whole; without either, lists what is
/// kept.
pub(crate) fn show(
    args: &ShowArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let store = Store::at(args.out());
    let text = match &args.what {
        None => list(&store, args)?,
        Some(what) if what.contains('/') || Path::new(what).is_file() => {
            of_file(Path::new(what), args, presenter)?
        }
        Some(what) if what.ends_with(".json") => of_file(Path::new(what), args, presenter)?,
        Some(what) => of_kept(what, &store, args, presenter)?,
    };
    answer(out, &text)?;
    Ok(0)
}

/// Two lines for each kept finding, the newest first.
fn list(store: &Store, args: &ShowArgs) -> Result<String, CliError> {
    let all = store.all();
    if args.json {
        return as_json(&all.iter().map(|kept| &kept.finding).collect::<Vec<_>>());
    }
    let folder = args.out().display();
    if all.is_empty() {
        return Ok(format!(
            "no finding is kept in {folder}; `hotfire run` and `hotfire replay` keep what they find\n"
        ));
    }
    let entry = |kept: &Kept| {
        let title = sanitize(&kept.finding.title, LINE_CHARS_MAX);
        let (code, status) = (&kept.finding.code, &kept.finding.status);
        let plan = sanitize(&kept.result.plan, usize::MAX);
        let scenario = sanitize(&kept.result.scenario, LINE_CHARS_MAX);
        format!("{}  {code} {status}: {title}\n    {scenario}: {plan}\n", kept.handle())
    };
    let text: String = all.iter().map(entry).collect();
    let flag = store.flag();
    let count = counted(all.len(), "finding");
    Ok(format!("{text}\n{count}, the newest first; `hotfire show ID{flag}` shows one whole\n"))
}

fn of_kept(
    id: &str,
    store: &Store,
    args: &ShowArgs,
    presenter: &Presenter,
) -> Result<String, CliError> {
    let (kept, company) = store.finding_and_company(id)?;
    if args.json {
        return as_json(&kept.finding);
    }
    let program = Plan::parse(&kept.observation.plan).map(|plan| Program::from(&plan)).ok();
    let steps = program.map(|program| step_views(&kept.observation, &program));
    let steps = steps.unwrap_or_default();
    let mut text = in_full(&kept.finding, Some(&kept.result), steps, presenter);
    text.push_str(&asked_for(&kept.finding, Some(&kept.observation), args, presenter));
    if !company.is_empty() {
        text.push_str("\nthe same finding by other plans:\n");
        let flag = store.flag();
        for other in &company {
            let plan = sanitize(&other.result.plan, usize::MAX);
            text.push_str(&format!("  hotfire show {}{flag}  {plan}\n", other.handle()));
        }
    }
    Ok(text)
}

/// A file says of itself what it is.
fn of_file(path: &Path, args: &ShowArgs, presenter: &Presenter) -> Result<String, CliError> {
    #[derive(serde::Deserialize)]
    struct Marked {
        #[serde(default)]
        schema: String,
    }
    let help = "name a file written by --json or --bundle, or a finding's id";
    if read_json::<Marked>(path, help)?.schema == bundle::SCHEMA {
        return of_bundle(&read_json(path, help)?, args, presenter);
    }
    of_report(path, args, presenter)
}

fn of_bundle(bundle: &Bundle, args: &ShowArgs, presenter: &Presenter) -> Result<String, CliError> {
    let findings = bundle.findings();
    if args.json {
        return as_json(&findings.iter().map(|(_, finding)| finding).collect::<Vec<_>>());
    }
    let mut text = String::new();
    for (observation, finding) in &findings {
        let words = observation.command.iter().map(|word| shell_word(word));
        let command = words.collect::<Vec<_>>().join(" ");
        text.push_str(&page(finding, &command, "", Vec::new(), presenter));
        text.push_str(&asked_for(finding, Some(observation), args, presenter));
        text.push('\n');
    }
    for observation in &bundle.observations {
        let is_quiet = findings.iter().all(|(of, _)| !std::ptr::eq(*of, observation));
        if is_quiet || args.threads || args.full {
            text.push_str(&render_processes(&living_processes(observation), presenter.context()));
        }
    }
    let runs = counted(bundle.observations.len(), "run");
    let count = counted(findings.len(), "finding");
    let version = sanitize(&bundle.version, 40);
    Ok(format!("{text}{count} in {runs}, written by hotfire {version}\n"))
}

/// What only some want to see.
fn asked_for(
    finding: &Finding,
    observation: Option<&Observation>,
    args: &ShowArgs,
    presenter: &Presenter,
) -> String {
    let mut text = String::new();
    if args.threads || args.full {
        text.push_str(&render_stacks(finding, presenter.context()));
    }
    let victim = finding.victim.as_ref().map_or(0, |victim| victim.pid);
    let crash = observation.and_then(|observation| observation.crash_of(victim));
    match crash {
        Some(crash) if args.registers || args.full => text.push_str(&render_registers(crash)),
        // A report written by --json has none.
        None if args.registers => text.push_str("registers: not kept here; a bundle has them\n"),
        _ => {}
    }
    text
}

/// A report holds no steps: they are shown from kept findings alone.
fn of_report(path: &Path, args: &ShowArgs, presenter: &Presenter) -> Result<String, CliError> {
    let report: Report = read_json(path, "name a report written by --json, or a finding's id")?;
    if args.json {
        return as_json(&report.findings);
    }
    let result_of = |finding: &Finding| {
        report.results.iter().find(|plan| plan.finding.as_ref() == Some(&finding.id))
    };
    let texts = report.findings.iter().map(|finding| {
        let page = in_full(finding, result_of(finding), Vec::new(), presenter);
        page + &asked_for(finding, None, args, presenter) + "\n"
    });
    let texts: String = texts.collect();
    if !report.processes.is_empty() {
        let is_asked = report.findings.is_empty() || args.threads || args.full;
        let processes = if is_asked { report.processes.as_slice() } else { &[] };
        return Ok(texts + &render_processes(processes, presenter.context()));
    }
    // A command's report has no plans to sum up.
    let is_of_plans = !report.results.is_empty() || report.findings.is_empty();
    let summary = is_of_plans.then(|| render_summary(&report, presenter.context()));
    Ok(texts + &summary.unwrap_or_default())
}

fn as_json<T: serde::Serialize>(value: &T) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value);
    Ok(text.map_err(|error| CliError::Answer { error: error.into() })? + "\n")
}

fn in_full(
    finding: &Finding,
    result: Option<&PlanResult>,
    steps: Vec<StepView>,
    presenter: &Presenter,
) -> String {
    let scenario = result.map_or("plan", |result| &result.scenario);
    page(finding, scenario, result.map_or("", |result| &result.engine), steps, presenter)
}

fn page(
    finding: &Finding,
    scenario: &str,
    engine: &str,
    steps: Vec<StepView>,
    presenter: &Presenter,
) -> String {
    let rate = finding.reproduced.map(|tried| wilson(tried.failed, tried.of));
    let view = FindingView {
        finding,
        scenario,
        place: None,
        engine,
        steps,
        tried: finding.reproduced,
        rate: rate.as_ref(),
        also: &[],
        whole: Whole::Here,
    };
    let mut text = render_finding(&view, presenter.context());
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

/// Prints a code's page, or all codes.
pub(crate) fn explain(code: Option<&str>, out: &mut dyn Write) -> Result<u8, CliError> {
    let text = match code {
        Some(code) => {
            let page = page_of(code).map(str::to_owned).or_else(|| explain_class(code));
            page.ok_or_else(|| {
                let code = sanitize(code, 40);
                let help = "`hotfire explain` lists all codes";
                CliError::Text(format!("no code or class `{code}`\nhelp: {help}"))
            })?
        }
        None => Code::ALL
            .iter()
            .filter_map(|code| page_of(code.text())?.lines().next())
            .map(|title| format!("{title}\n"))
            .collect(),
    };
    answer(out, &text)?;
    Ok(0)
}
