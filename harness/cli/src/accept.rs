//! `hotfire accept`: a kept finding becomes an entry of the baseline, or a regression scenario.
//!
//! An entry is appended to the file's text, so that nothing that people wrote there is touched.
//! Deliberately absent: changing and removing entries, which an editor does better.

use std::io::Write;
use std::path::{Path, PathBuf};

use hotfire_core::diagnose::Finding;
use hotfire_core::judge::{KnownFailure, PlanName, Verdict, clopper_pearson, passes_needed};
use hotfire_core::report::{PlanResult, Report, sanitize};
use hotfire_plan::scenario::{Census, Limits, Scenario};
use hotfire_plan::{Plan, plan_id, print_duration_us};

use crate::answer::answer;
use crate::args::{AcceptArgs, AcceptAs};
use crate::baseline::{parse_file, read, today};
use crate::config::Profile;
use crate::error::CliError;
use crate::present::wrap;
use crate::scenarios::REGRESSIONS;
use crate::store::{Kept, Store, read_json, write_project};
use crate::subjects::PLAN_NAME;

/// Every finding that was new or flaky in the last run.
const ALL_NEW: &str = "all-new";
/// Columns of a comment's line, behind its `# `.
const COMMENT_COLUMNS: usize = 96;
/// The longest title that is written; an engine's message may be part of it.
const TITLE_CHARS_MAX: usize = 4000;
/// The most runs that a regression scenario asks for.
const RUNS_MAX: u32 = 100;
/// Digits of the finding's id, and of the plan's, in a scenario's name.
const NAME_DIGITS: usize = 8;
/// The fewest digits of an id: an empty variable of a script names nothing.
const ID_DIGITS_MIN: usize = 4;

/// Accepts one kept finding, or all new ones.
pub(crate) fn accept(
    args: &AcceptArgs,
    profile: &Profile,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    check(args)?;
    let kept = wanted(args)?;
    let told = match args.as_what {
        AcceptAs::Baseline => {
            let path = args.gate.baseline.clone().unwrap_or_else(|| profile.baseline());
            list_all(&kept, args, &path)?
        }
        AcceptAs::Plan => {
            let told = kept.iter().map(|kept| keep_as_scenario(kept, args));
            tell(told.collect::<Result<Vec<_>, _>>()?, args)?
        }
    };
    answer(out, &told)?;
    Ok(0)
}

/// What became of a finding.
enum Told {
    Entered(String),
    /// Somebody accepted it before: a note, or an error where it alone was named.
    There {
        note: String,
        help: String,
    },
}

/// The answer. What is there already is an error only where nothing else was to be done.
fn tell(told: Vec<Told>, args: &AcceptArgs) -> Result<String, CliError> {
    let mut text = String::new();
    let mut refused = None;
    let mut entered = false;
    for one in told {
        match one {
            Told::Entered(line) => {
                entered = true;
                text.push_str(&line);
            }
            Told::There { note, help } => {
                text.push_str(&format!("{note}: {help}\n"));
                refused = Some(CliError::Text(format!("{note}\nhelp: {help}")));
            }
        }
    }
    match refused {
        Some(error) if !entered && args.what != ALL_NEW => Err(error),
        _ => Ok(text),
    }
}

/// What flags cannot tell one by one.
fn check(args: &AcceptArgs) -> Result<(), CliError> {
    let digits = args.what.chars().take_while(|sign| *sign != '-').count();
    if args.what != ALL_NEW && digits < ID_DIGITS_MIN {
        return Err(CliError::Text(format!(
            "`{}` is too short for the id of a finding\n\
             help: give {ID_DIGITS_MIN} of its digits or more (`hotfire show` lists what is kept), \
             or {ALL_NEW}",
            args.what
        )));
    }
    let today = args.gate.today.unwrap_or_else(today);
    if let Some(expires) = args.expires.filter(|expires| *expires < today) {
        return Err(CliError::Text(format!(
            "--expires {expires} has passed, today is {today}\n\
             help: name the last day on which the failure is accepted"
        )));
    }
    if args.as_what == AcceptAs::Baseline && args.expires.is_none() {
        return Err(CliError::Text(
            "an entry of the baseline needs its last day\nhelp: add --expires YYYY-MM-DD"
                .to_owned(),
        ));
    }
    let for_baseline = args.expires.is_some() || args.owner.is_some() || args.max_rate.is_some();
    if args.as_what == AcceptAs::Plan && for_baseline {
        return Err(CliError::Text(
            "--expires, --owner and --max-rate belong to the baseline\n\
             help: leave them out, or accept the finding twice, once --as baseline"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The finding that is named, or all new ones, once for each scenario that showed it in the last
/// run.
fn wanted(args: &AcceptArgs) -> Result<Vec<Kept>, CliError> {
    let store = Store::at(args.out());
    let report = last_report(args.out());
    let results = report.as_ref().map(|report| report.results.as_slice()).unwrap_or_default();
    let new = results.iter().filter(|plan| ["new", "flaky"].contains(&&*plan.verdict));
    if args.what != ALL_NEW {
        let (kept, _) = store.finding_and_company(&args.what)?;
        let names_plan = args.what.contains('-');
        let shown = rarest(new.filter(|plan| {
            plan.finding.as_ref() == Some(&kept.finding.id)
                && (!names_plan || plan.plan == kept.result.plan)
        }));
        let all = shown.into_iter().map(|plan| kept_by(&store, plan));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            refuse_expected(&kept)?;
        }
        return Ok(if all.is_empty() { vec![kept] } else { all });
    }
    let found = rarest(new);
    if found.is_empty() {
        report?;
        return Err(CliError::Text(format!(
            "the last run in {} has no new finding\n\
             help: `hotfire accept ID` takes one that was kept earlier",
            args.out().display()
        )));
    }
    found.into_iter().map(|plan| kept_by(&store, plan)).collect()
}

/// What a scenario expects is green: an entry would never apply, and that it must pass would
/// contradict the scenario.
fn refuse_expected(kept: &Kept) -> Result<(), CliError> {
    if kept.result.verdict != Verdict::AsExpected.name() {
        return Ok(());
    }
    Err(CliError::Text(format!(
        "{} is what scenario `{}` expects: it is green, and there is nothing to accept\n\
         help: where it must not show, take `expect` out of the scenario",
        kept.finding.id, kept.result.scenario
    )))
}

fn last_report(folder: &Path) -> Result<Report, CliError> {
    let help = "`hotfire run` and `hotfire replay` write it; --out DIR names another folder";
    read_json(&folder.join("report.json"), help)
}

/// One result for each scenario and finding: of several plans the one that shows it least often,
/// for what is fixed must be gone from all of them.
fn rarest<'a>(results: impl Iterator<Item = &'a PlanResult>) -> Vec<&'a PlanResult> {
    let mut found: Vec<&PlanResult> = Vec::new();
    for plan in results.filter(|plan| plan.finding.is_some()) {
        let key = (&plan.scenario, &plan.finding);
        let same = |one: &&mut &PlanResult| {
            (&one.scenario, &one.finding) == key && plan.scenario != PLAN_NAME
        };
        match found.iter_mut().find(same) {
            Some(one) if lowest_rate(plan) < lowest_rate(one) => *one = plan,
            Some(_) => {}
            None => found.push(plan),
        }
    }
    found
}

/// The finding as the plan showed it.
fn kept_by(store: &Store, plan: &PlanResult) -> Result<Kept, CliError> {
    let id = plan.finding.as_deref().unwrap_or_default();
    let kept = store.finding(&format!("{id}-{}", id_of(plan)?))?;
    Ok(Kept { result: plan.clone(), ..kept })
}

fn list_all(kept: &[Kept], args: &AcceptArgs, path: &Path) -> Result<String, CliError> {
    let mut text = read(path)?.unwrap_or_else(|| {
        "# Failures that are known: `hotfire run` shows them and stays green. docs/baseline.md\n"
            .to_owned()
    });
    let mut told = Vec::new();
    for kept in kept {
        let before = parse_file(path, &text)?;
        if let Some(entry) = before.iter().find(|entry| covers(entry, kept)) {
            let (id, path) = (&kept.finding.id, path.display());
            told.push(Told::There {
                note: format!("{id} is listed already, at {path}:{}", entry.line),
                help: "change its date or rate there".to_owned(),
            });
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&entry_text(kept, args)?);
        // Only what the gate can read is written.
        let line = parse_file(path, &text)?.last().map_or(0, |entry| entry.line);
        told.push(Told::Entered(format!(
            "{}:{line}: {} {} is known until {}\n",
            path.display(),
            sanitize(&kept.finding.status, COMMENT_COLUMNS),
            kept.finding.id,
            args.expires.map(|date| date.to_string()).unwrap_or_default()
        )));
    }
    let is_new = told.iter().any(|one| matches!(one, Told::Entered(_)));
    let answer = tell(told, args)?;
    if is_new {
        write_project(path, &text)?;
    }
    Ok(answer)
}

fn covers(entry: &KnownFailure, kept: &Kept) -> bool {
    let id = id_of(&kept.result).unwrap_or_default();
    let plan = PlanName { scenario: &kept.result.scenario, id: &id };
    entry.names(plan) && entry.lists(&kept.finding)
}

fn id_of(result: &PlanResult) -> Result<String, CliError> {
    let plan = Plan::parse(&result.plan);
    Ok(plan_id(&plan.map_err(|error| CliError::Text(error.render(&result.plan)))?))
}

/// An entry as the file has it.
fn entry_text(kept: &Kept, args: &AcceptArgs) -> Result<String, CliError> {
    let (finding, result) = (&kept.finding, &kept.result);
    let mut text = format!("{}[[known]]\n", comment(finding, result));
    let mut add = |key: &str, value: toml::Value| text.push_str(&format!("{key} = {value}\n"));
    add("scenario", result.scenario.as_str().into());
    if result.scenario == PLAN_NAME {
        // Every plan from a command line is called so.
        add("plan", id_of(result)?.into());
    }
    add("signature", finding.signature.value.as_str().into());
    add("issue", args.issue.as_str().into());
    if let Some(owner) = &args.owner {
        add("owner", owner.as_str().into());
    }
    if let Some(reason) = &args.reason {
        add("reason", reason.as_str().into());
    }
    if let Some(rate) = args.max_rate {
        add("max-rate", rate.into());
    }
    if let Some(rate) = lowest_rate(result) {
        add("min-rate", rate.into());
    }
    if let Some(expires) = args.expires {
        text.push_str(&format!("expires = {expires}\n"));
    }
    Ok(text)
}

/// What the entry is about, for those who read the file.
fn comment(finding: &Finding, result: &PlanResult) -> String {
    let title = format!("{} {}: {}", finding.code, finding.status, finding.title);
    let seen = result.reproduced.map(|tried| {
        format!("# Seen in {} of {} runs in fresh processes.\n", tried.failed, tried.of)
    });
    let title = wrap(&sanitize(&title, TITLE_CHARS_MAX), COMMENT_COLUMNS);
    let lines = title.lines().map(|line| format!("# {line}\n"));
    lines.chain(seen).collect()
}

/// The rate that the plan's finding has at least, as its fresh runs prove it; rounded down.
fn lowest_rate(plan: &PlanResult) -> Option<f64> {
    let tried = plan.reproduced?;
    let low = (clopper_pearson(tried.failed, tried.of).low * 1e4).floor() / 1e4;
    (low > 0.0).then_some(low)
}

/// Writes a scenario that expects a pass of the plan that failed.
fn keep_as_scenario(kept: &Kept, args: &AcceptArgs) -> Result<Told, CliError> {
    let (finding, result) = (&kept.finding, &kept.result);
    let plans = format!("plans = [{}]\n", toml::Value::from(result.plan.as_str()));
    let digits: String = finding.id.chars().take(NAME_DIGITS).collect();
    let mut name = format!("{}-{}-{digits}", result.scenario, finding.status.to_lowercase());
    let path_of = |name: &str| PathBuf::from(REGRESSIONS).join(format!("{name}.toml"));
    if read(&path_of(&name))?.is_some_and(|text| !text.contains(&plans)) {
        // Another plan showed the same finding.
        name.extend(["-".to_owned(), id_of(result)?.chars().take(NAME_DIGITS).collect()]);
    }
    let path = path_of(&name);
    if path.exists() {
        return Ok(Told::There {
            note: format!("{} is there already", path.display()),
            help: format!("`hotfire run {name}` runs it"),
        });
    }
    let summary = args.reason.clone().unwrap_or_else(|| {
        format!("must pass; it once showed {}: {}", finding.status, finding.title)
    });
    let mut text = comment(finding, result);
    let mut add = |key: &str, value: toml::Value| text.push_str(&format!("{key} = {value}\n"));
    add("name", name.as_str().into());
    add("summary", sanitize(&summary, TITLE_CHARS_MAX).into());
    add("reproduces", args.issue.as_str().into());
    add("lifecycle", "regression".into());
    add("engine", result.engine.as_str().into());
    let runs = lowest_rate(result).map_or(1, passes_needed).min(RUNS_MAX);
    add("runs", i64::from(runs).into());
    if kept.census != Census::default() {
        text.push_str(&format!("census = \"{}\"\n", kept.census.name()));
    }
    text.push_str(&plans);
    text.push_str(&limits_text(&kept.limits));
    Scenario::parse(&text)
        .map_err(|error| CliError::Text(error.render(&path.display().to_string(), &text)))?;
    write_project(&path, &text)?;
    Ok(Told::Entered(format!("{}: must pass from now on (`hotfire run {name}`)\n", path.display())))
}

/// As the file takes it.
fn duration(time_ms: u64) -> String {
    print_duration_us(time_ms.saturating_mul(1000))
}

/// The limits that are not the usual ones.
fn limits_text(limits: &Limits) -> String {
    let usual = Limits::default();
    let times = [
        ("step", limits.step_ms, usual.step_ms),
        ("run", limits.run_ms, usual.run_ms),
        ("exit", limits.exit_ms, usual.exit_ms),
        ("grace", limits.grace_ms, usual.grace_ms),
        ("beat", limits.beat_ms, usual.beat_ms),
    ];
    let unusual = times.into_iter().filter(|(_, time, usual)| time != usual);
    let mut lines: Vec<String> =
        unusual.map(|(name, time_ms, _)| format!("{name} = \"{}\"\n", duration(time_ms))).collect();
    if limits.processes != usual.processes {
        lines.push(format!("processes = {}\n", limits.processes));
    }
    if lines.is_empty() { String::new() } else { format!("[limits]\n{}", lines.concat()) }
}
