//! From the command line to what a campaign runs.

use std::path::Path;

use hotfire_core::campaign::{Settings, Subject, Watching, kinds};
use hotfire_core::observe::LaunchMode;
use hotfire_plan::scenario::{Census, Expectation, Limits};
use hotfire_plan::{EngineSpec, Item, Plan, Program};

use crate::args::{CensusArg, Mode, RunArgs, SharedArgs, Trace};
use crate::error::CliError;
use crate::internal::{LINKED_KINDS, kinds as registered};
use crate::scenarios::{self, Loaded};
use crate::store::Store;

/// Failing plans are repeated this often in fresh processes.
const CONFIRMATIONS: u32 = 5;
/// Variables of ours that reach the children; all else is built.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "USER", "TZ", "LD_LIBRARY_PATH", "HOTFIRE_LLAMA_DIR"];

/// The subjects of `hotfire run`.
pub(crate) fn of_run(args: &RunArgs) -> Result<Vec<Subject>, CliError> {
    let shared = &args.shared;
    let engine = shared.engine.as_deref().map(parse_engine).transpose()?;
    if let Some(text) = &args.plan {
        let subject = from_plan(&read_plan_text(text)?, engine, args.runs.unwrap_or(1))?;
        return Ok(vec![with_limits(subject, shared)]);
    }
    let mut subjects = Vec::new();
    for loaded in scenarios::load(&args.filters)? {
        subjects.extend(from_scenario(&loaded, engine.as_ref(), args.runs));
    }
    if subjects.is_empty() {
        let name = shared.engine.as_deref().unwrap_or_default();
        return Err(CliError::NoMatch(format!("--engine {name}")));
    }
    subjects.iter().try_for_each(|subject| check(&subject.plan))?;
    Ok(subjects.into_iter().map(|subject| with_limits(subject, shared)).collect())
}

/// The subject of `hotfire replay`: a plan, a file, or a stored finding.
pub(crate) fn of_replay(
    what: &str,
    runs: u32,
    shared: &SharedArgs,
) -> Result<(Subject, SharedArgs), CliError> {
    let mut shared = shared.clone();
    let (text, limits, census) = if is_id(what) {
        let kept = Store::at(&shared.out).finding(what)?;
        // As it was watched when the finding showed, unless the flags ask for less.
        shared.no_ledger |= !kept.watching.ledger;
        if !kept.watching.traced {
            shared.trace = Trace::Off;
        }
        (kept.observation.plan, kept.limits, kept.census)
    } else {
        (read_plan_text(what)?, Limits::default(), Census::default())
    };
    let engine = shared.engine.as_deref().map(parse_engine).transpose()?;
    let subject = Subject { limits, census, ..from_plan(&text, engine, runs)? };
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
        watching: Watching { traced: shared.trace == Trace::On, ledger: !shared.no_ledger },
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

fn read_plan_text(text: &str) -> Result<String, CliError> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    std::fs::read_to_string(file).map_err(|error| CliError::Read {
        path: file.into(),
        error,
        help: "@FILE names a file with a plan's text",
    })
}

fn from_plan(text: &str, engine: Option<EngineSpec>, runs: u32) -> Result<Subject, CliError> {
    let plan = Plan::parse(text).map_err(|error| CliError::Text(error.render(text)))?;
    let engine = engine.unwrap_or_else(|| EngineSpec {
        kind: LINKED_KINDS.first().copied().unwrap_or_default().to_owned(),
        args: Default::default(),
    });
    let plan = plan.with_engine(&engine);
    check(&plan)?;
    let engine = first_engine(&plan).unwrap_or(engine);
    Ok(Subject {
        scenario: "plan".to_owned(),
        place: None,
        engine,
        plan,
        limits: Limits::default(),
        census: Census::default(),
        expect: Expectation::Pass,
        runs,
    })
}

fn first_engine(plan: &Plan) -> Option<EngineSpec> {
    plan.items.iter().find_map(|item| match item {
        Item::Step(step) => step.engine.clone(),
        _ => None,
    })
}

fn from_scenario(loaded: &Loaded, engine: Option<&EngineSpec>, runs: Option<u32>) -> Vec<Subject> {
    let scenario = &loaded.scenario;
    let engine = match engine {
        None => &scenario.engine,
        Some(wanted) if wanted.kind != scenario.engine.kind => return Vec::new(),
        Some(wanted) if wanted.args.is_empty() => &scenario.engine,
        Some(wanted) => wanted,
    };
    scenario
        .plans
        .iter()
        .map(|plan| Subject {
            scenario: scenario.name.clone(),
            place: Some((loaded.file.clone(), plan.line)),
            engine: engine.clone(),
            plan: plan.plan.with_engine(engine),
            limits: scenario.limits,
            census: scenario.census,
            expect: scenario.expect.clone(),
            runs: runs.unwrap_or(scenario.runs),
        })
        .collect()
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
    let spec = EngineSpec::parse(text).map_err(|error| CliError::Text(error.render(text)))?;
    known_engine(&spec.kind)?;
    Ok(spec)
}

/// What can be said of a plan before it runs.
fn check(plan: &Plan) -> Result<(), CliError> {
    let program = Program::from(plan);
    if program.steps.iter().any(|step| step.fault.is_some()) {
        let help = "run the plan without `fail(…)`";
        return Err(CliError::NotAvailable { what: "fault injection", help });
    }
    if plan.items.iter().any(|item| matches!(item, Item::Order(_))) {
        let help = "run the plan without `@order(…)`";
        return Err(CliError::NotAvailable { what: "a recorded schedule", help });
    }
    kinds(plan).iter().try_for_each(|kind| known_engine(kind))
}

fn known_engine(name: &str) -> Result<(), CliError> {
    let known: Vec<&str> = registered().iter().map(|kind| kind.name()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    Err(CliError::UnknownEngine {
        name: name.to_owned(),
        known: known.join(", "),
        help: "an engine's name stands before its settings, e.g. reference:defect=cleanup-order"
            .to_owned(),
    })
}
