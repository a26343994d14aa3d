//! From the command line to what a campaign runs.

use std::path::Path;

use hotfire_core::campaign::{Settings, Subject, Watching};
use hotfire_core::judge::Baseline;
use hotfire_core::observe::LaunchMode;
use hotfire_plan::scenario::{Census, Expectation, Limits};
use hotfire_plan::{EngineSpec, Item, Plan, PlanError};

use crate::args::{CensusArg, Mode, RunArgs, SharedArgs, Trace};
use crate::check::{Place, check, check_engine};
use crate::error::CliError;
use crate::internal::LINKED_KINDS;
use crate::scenarios::{self, Loaded, Scenarios};
use crate::store::Store;

/// The scenario of a plan that comes from the command line.
pub(crate) const PLAN_NAME: &str = "plan";
/// Failing plans are repeated this often in fresh processes.
const CONFIRMATIONS: u32 = 5;
/// Variables of ours that reach the children; all else is built.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "USER", "TZ", "LD_LIBRARY_PATH", "HOTFIRE_LLAMA_DIR"];

/// The text of a plan and where it comes from.
struct PlanText {
    origin: String,
    text: String,
}

/// The subjects of `hotfire run`, and the project's files that were left out.
pub(crate) fn of_run(args: &RunArgs) -> Result<(Vec<Subject>, Vec<String>), CliError> {
    let shared = &args.shared;
    let engine = shared.engine.as_deref().map(parse_engine).transpose()?;
    if let Some(text) = &args.plan {
        let subject = from_plan(&read_plan_text(text)?, engine, args.runs.unwrap_or(1))?;
        return Ok((vec![with_limits(subject, shared)], Vec::new()));
    }
    let Scenarios { loaded, left_out } = scenarios::load(&args.filters)?;
    let mut subjects = Vec::new();
    for one in &loaded {
        subjects.extend(from_scenario(one, engine.as_ref(), args)?);
    }
    if subjects.is_empty() {
        let words: Vec<String> = args.filters.iter().map(|word| format!("`{word}`")).collect();
        let with = if words.is_empty() { "" } else { " with " };
        let engine = shared.engine.as_deref().unwrap_or_default();
        let what = format!("{}{with}--engine {engine}", words.join(" or "));
        return Err(CliError::NoMatch { what, near: String::new() });
    }
    let subjects = subjects.into_iter().map(|subject| with_limits(subject, shared));
    Ok((subjects.collect(), left_out))
}

/// The subject of `hotfire replay`: a plan, a file, or a stored finding.
pub(crate) fn of_replay(
    what: &str,
    runs: u32,
    shared: &SharedArgs,
) -> Result<(Subject, SharedArgs), CliError> {
    let mut shared = shared.clone();
    let (text, limits, census, scenario) = if is_id(what) {
        let kept = Store::at(shared.out()).finding(what)?;
        // As it was watched when the finding showed, unless the flags ask for less.
        shared.no_ledger |= !kept.watching.ledger;
        if !kept.watching.traced {
            shared.trace = Some(Trace::Off);
        }
        let text = PlanText { origin: "plan".to_owned(), text: kept.observation.plan };
        // The baseline knows it by its scenario.
        (text, kept.limits, kept.census, kept.result.scenario)
    } else {
        (read_plan_text(what)?, Limits::default(), Census::default(), PLAN_NAME.to_owned())
    };
    let engine = shared.engine.as_deref().map(parse_engine).transpose()?;
    let subject = Subject { limits, census, scenario, ..from_plan(&text, engine, runs)? };
    Ok((with_limits(subject, &shared), shared))
}

/// Hex digits of a finding, and those of a plan behind a `-`.
fn is_id(what: &str) -> bool {
    let digits = what.chars().all(|digit| digit.is_ascii_hexdigit() || digit == '-');
    what.len() >= 4 && digits && what.starts_with(|first: char| first != '-')
}

/// The settings of a campaign; `fresh` makes every run a fresh process unless a mode is given.
pub(crate) fn settings(
    shared: &SharedArgs,
    seed: u64,
    host_program: &str,
    scratch: &Path,
    fresh: bool,
) -> Settings {
    let mode = shared.mode.map(|mode| match mode {
        Mode::Spawn => LaunchMode::Spawn,
        Mode::Fork => LaunchMode::Fork,
    });
    Settings {
        seed,
        mode: mode.or(fresh.then_some(LaunchMode::Spawn)),
        watching: Watching { traced: shared.trace != Some(Trace::Off), ledger: !shared.no_ledger },
        baseline: Baseline::empty(),
        keep_first: false,
        confirmations: if fresh { 0 } else { CONFIRMATIONS },
        host_program: host_program.to_owned(),
        environment: environment(scratch),
        linked_kinds: LINKED_KINDS.map(str::to_owned).to_vec(),
    }
}

/// What every child finds in its environment.
pub(crate) fn environment(scratch: &Path) -> Vec<String> {
    let passed = PASSED_ON.iter().filter_map(|key| {
        let value = std::env::var(key).ok()?;
        Some(format!("{key}={value}"))
    });
    let built = [
        format!("TMPDIR={}", scratch.display()),
        "LANG=C.UTF-8".to_owned(),
        // ggml would start a debugger on itself, ONNX Runtime a thread of its own.
        "GGML_NO_BACKTRACE=1".to_owned(),
        "ORT_DISABLE_TELEMETRY=1".to_owned(),
    ];
    passed.chain(built).collect()
}

fn read_plan_text(text: &str) -> Result<PlanText, CliError> {
    let help = "@FILE names a file with a plan's text";
    // A schedule is the beginning of a plan, and no file's name.
    let file = text.strip_prefix('@').filter(|rest| !rest.starts_with("order("));
    match file {
        None => Ok(PlanText { origin: "plan".to_owned(), text: text.to_owned() }),
        Some("") => Err(CliError::Text(format!("`@` names no file\nhelp: {help}"))),
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => Ok(PlanText { origin: file.to_owned(), text }),
            Err(error) => Err(CliError::Read { path: file.into(), error, help }),
        },
    }
}

/// A plan that does not parse; it may be the name of a file.
fn wrong_plan(error: &PlanError, PlanText { origin, text }: &PlanText) -> CliError {
    let mut told = error.render_in(origin, text);
    if origin != text && std::path::Path::new(text).is_file() {
        told.push_str(&format!("\nhelp: `{text}` is a file: write @{text}"));
    }
    CliError::Text(told)
}

fn from_plan(
    source: &PlanText,
    engine: Option<EngineSpec>,
    runs: u32,
) -> Result<Subject, CliError> {
    let PlanText { origin, text } = source;
    let plan = Plan::parse(text).map_err(|error| wrong_plan(&error, source))?;
    if let Some(engine) = engine.as_ref().filter(|_| plan == plan.with_engine(&no_engine())) {
        return Err(CliError::Text(format!(
            "the plan has no ENGINE: --engine {engine} would change nothing\n\
             help: write ENGINE for the engine that is to be replaced, e.g. `create a = ENGINE`"
        )));
    }
    let engine = engine.unwrap_or_else(|| EngineSpec {
        kind: LINKED_KINDS.first().copied().unwrap_or_default().to_owned(),
        args: Default::default(),
    });
    let plan = plan.with_engine(&engine);
    check(&plan, &[Place { origin, text, from: 0 }])?;
    let engine = first_engine(&plan).unwrap_or(engine);
    Ok(Subject {
        scenario: PLAN_NAME.to_owned(),
        place: None,
        engine,
        plan,
        limits: Limits::default(),
        census: Census::default(),
        expect: Expectation::Pass,
        runs,
    })
}

/// An engine that no plan has.
fn no_engine() -> EngineSpec {
    EngineSpec { kind: String::new(), args: Default::default() }
}

fn first_engine(plan: &Plan) -> Option<EngineSpec> {
    plan.items.iter().find_map(|item| match item {
        Item::Step(step) => step.engine.clone(),
        _ => None,
    })
}

fn from_scenario(
    loaded: &Loaded,
    engine: Option<&EngineSpec>,
    args: &RunArgs,
) -> Result<Vec<Subject>, CliError> {
    let scenario = &loaded.scenario;
    let engine = match engine {
        None => &scenario.engine,
        Some(wanted) if wanted.kind != scenario.engine.kind => return Ok(Vec::new()),
        Some(wanted) if wanted.args.is_empty() => &scenario.engine,
        Some(wanted) => wanted,
    };
    scenario
        .plans
        .iter()
        .map(|plan| {
            let subject = Subject {
                scenario: scenario.name.clone(),
                place: Some((loaded.file.clone(), plan.line)),
                engine: engine.clone(),
                plan: plan.plan.with_engine(engine),
                limits: scenario.limits,
                census: scenario.census,
                expect: scenario.expect.clone(),
                runs: args.runs.unwrap_or(scenario.runs),
            };
            let whole = Place { origin: &loaded.file, text: &loaded.text, from: 0 };
            let own = Place { from: line_start(&loaded.text, plan.line), ..whole };
            check(&subject.plan, &[own, whole])?;
            Ok(subject)
        })
        .collect()
}

/// The offset of a line's begin; lines count from 1.
fn line_start(text: &str, line: u32) -> usize {
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    text.split_inclusive('\n').take(before).map(str::len).sum()
}

fn with_limits(mut subject: Subject, shared: &SharedArgs) -> Subject {
    if let Some(timeout_ms) = shared.timeout {
        subject.limits.run_ms = timeout_ms;
    }
    if let Some(beat_ms) = shared.beat {
        subject.limits.beat_ms = beat_ms;
    }
    if let Some(census) = shared.census {
        subject.census = match census {
            CensusArg::Off => Census::Off,
            CensusArg::Ends => Census::Ends,
            CensusArg::Steps => Census::Steps,
        };
    }
    subject
}

fn parse_engine(text: &str) -> Result<EngineSpec, CliError> {
    let origin = "--engine";
    let wrong = |error: PlanError| CliError::Text(error.render_in(origin, text));
    let spec = EngineSpec::parse(text).map_err(wrong)?;
    check_engine(&spec, &[Place { origin, text, from: 0 }])?;
    Ok(spec)
}
