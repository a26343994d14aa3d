//! Scenario TOML to [`Scenario`], checked.
//!
//! Deliberately absent: opening files, and which engines there are.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::duration::parse_duration_us;
use crate::error::PlanError;
use crate::file_error::{FileError, FileProblem};
use crate::model::Phase;
use crate::plan::{EngineSpec, Plan};
use crate::program::Program;
use crate::scenario::types::{
    Census, Expectation, ExpectedFinding, Limits, Scenario, ScenarioPlan,
};
use crate::words::{CLASSES, EXPECTED_STATUSES};

/// The page that has the format.
const PAGE: &str = "scenarios/README.md";
/// The most runs of a plan that a file may ask for.
const RUNS_MAX: u32 = 100_000;
/// The most processes alive at once that a file may allow.
const PROCESSES_MAX: u32 = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    reproduces: String,
    lifecycle: Spanned<String>,
    engine: Option<Spanned<String>>,
    runs: Option<Spanned<u32>>,
    census: Option<Spanned<String>>,
    plans: Spanned<Vec<Spanned<String>>>,
    limits: Option<FileLimits>,
    expect: Option<Spanned<FileExpect>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    step: Option<Spanned<String>>,
    run: Option<Spanned<String>>,
    exit: Option<Spanned<String>>,
    grace: Option<Spanned<String>>,
    beat: Option<Spanned<String>>,
    processes: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileExpect {
    #[serde(default)]
    status: Vec<Spanned<String>>,
    #[serde(default)]
    phase: Vec<Spanned<String>>,
    #[serde(default)]
    class: Vec<Spanned<String>>,
    #[serde(default)]
    step: Vec<Spanned<u32>>,
}

impl Scenario {
    /// Reads a scenario file's text; scenarios/README.md has the format.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and the fix.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let file: File =
            toml::from_str(text).map_err(|error| FileError::of_toml(&error, text, PAGE))?;
        let plans = plans(text, &file.plans)?;
        Ok(Self {
            name: words(&file.name)?,
            summary: file.summary,
            reproduces: file.reproduces,
            lifecycle: words(&file.lifecycle)?,
            engine: engine(text, file.engine.as_ref())?,
            limits: limits(file.limits.as_ref())?,
            expect: expectation(file.expect.as_ref(), &plans)?,
            runs: file.runs.map_or(Ok(1), |runs| FileError::from_one_to(&runs, RUNS_MAX, PAGE))?,
            census: census(file.census.as_ref())?,
            plans,
        })
    }
}

fn census(value: Option<&Spanned<String>>) -> Result<Census, FileError> {
    let Some(value) = value else { return Ok(Census::default()) };
    let known = Census::ALL.map(Census::name);
    listed("census", std::slice::from_ref(value), &known)?;
    let found = Census::ALL.into_iter().find(|census| census.name() == value.get_ref());
    Ok(found.unwrap_or_default())
}

fn plans(
    text: &str,
    values: &Spanned<Vec<Spanned<String>>>,
) -> Result<Vec<ScenarioPlan>, FileError> {
    if values.get_ref().is_empty() {
        return Err(bad_value("no plan", "give at least one plan", values.span()));
    }
    let plan = |value: &Spanned<String>| {
        let plan = Plan::parse(value.get_ref()).map_err(|error| inside(text, value, error))?;
        Ok(ScenarioPlan { plan, line: FileError::line(text, &value.span()) })
    };
    values.get_ref().iter().map(plan).collect()
}

fn engine(text: &str, value: Option<&Spanned<String>>) -> Result<EngineSpec, FileError> {
    let Some(value) = value else {
        return Ok(EngineSpec { kind: "reference".to_owned(), args: crate::Args::new() });
    };
    let engine = EngineSpec::parse(value.get_ref()).map_err(|error| inside(text, value, error))?;
    if engine.is_placeholder() {
        let help = "name an engine kind, e.g. `reference`; `ENGINE` in the plans stands for it";
        return Err(bad_value("`ENGINE` cannot stand for itself", help, value.span()));
    }
    Ok(engine)
}

/// An error in a value, placed in the file where the value stands there without escapes.
fn inside(text: &str, value: &Spanned<String>, error: PlanError) -> FileError {
    let span = value.span();
    let raw = text.get(span.clone()).unwrap_or_default();
    let quotes = if raw.starts_with("'''") || raw.starts_with("\"\"\"") { 3 } else { 1 };
    let opened = raw.get(quotes..).unwrap_or_default();
    // TOML drops a new line right after three quotes.
    let skipped = if quotes == 3 && opened.starts_with('\n') { 1 } else { 0 };
    let inner = opened.get(skipped..opened.len().saturating_sub(quotes)).unwrap_or_default();
    if inner != value.get_ref() {
        let text = value.get_ref().clone();
        return FileError::new(FileProblem::Escaped { error, text }, span, PAGE);
    }
    let start = span.start + quotes + skipped;
    let place = start + error.span.start..start + error.span.end;
    FileError::new(FileProblem::Inside { error }, place, PAGE)
}

fn limits(file: Option<&FileLimits>) -> Result<Limits, FileError> {
    let defaults = Limits::default();
    let Some(file) = file else { return Ok(defaults) };
    let duration = |value: &Option<Spanned<String>>, default: u64| {
        value.as_ref().map_or(Ok(default), duration_ms)
    };
    let positive = |value: &Option<Spanned<String>>, default: u64| match value {
        Some(value) if parse_duration_us(value.get_ref()) == Some(0) => {
            Err(bad_value("a limit of no time", "give a longer time, e.g. \"2s\"", value.span()))
        }
        _ => duration(value, default),
    };
    Ok(Limits {
        step_ms: positive(&file.step, defaults.step_ms)?,
        run_ms: positive(&file.run, defaults.run_ms)?,
        exit_ms: positive(&file.exit, defaults.exit_ms)?,
        grace_ms: duration(&file.grace, defaults.grace_ms)?,
        beat_ms: duration(&file.beat, defaults.beat_ms)?,
        processes: file.processes.as_ref().map_or(Ok(defaults.processes), |value| {
            FileError::from_one_to(value, PROCESSES_MAX, PAGE)
        })?,
    })
}

/// Milliseconds, rounded up.
fn duration_ms(value: &Spanned<String>) -> Result<u64, FileError> {
    parse_duration_us(value.get_ref()).map(|duration_us| duration_us.div_ceil(1000)).ok_or_else(
        || {
            let what = format!("`{}` is no time", value.get_ref());
            bad_value(what, "write a whole number with us, ms or s, at most a day", value.span())
        },
    )
}

fn expectation(
    file: Option<&Spanned<FileExpect>>,
    plans: &[ScenarioPlan],
) -> Result<Expectation, FileError> {
    let Some(table) = file else { return Ok(Expectation::Pass) };
    let file = table.get_ref();
    let phases: Vec<&str> = Phase::ALL.into_iter().map(Phase::name).collect();
    let expected = ExpectedFinding {
        status: listed("status", &file.status, EXPECTED_STATUSES)?,
        phase: listed("phase", &file.phase, &phases)?,
        class: listed("class", &file.class, CLASSES)?,
        step: file.step.iter().map(|step| *step.get_ref()).collect(),
    };
    let is_pass = expected.status.iter().any(|status| status == "PASS");
    if is_pass && expected == pass() {
        return Ok(Expectation::Pass);
    }
    if is_pass {
        let help = "keep `status = [\"PASS\"]` alone, or name findings only";
        return Err(bad_value("PASS beside something else", help, table.span()));
    }
    if expected == ExpectedFinding::default() {
        let help = "name a status, phase, class or step, or leave the table out to expect PASS";
        return Err(bad_value("an expectation of nothing", help, table.span()));
    }
    let steps = plans.iter().map(|plan| Program::from(&plan.plan).steps.len()).max().unwrap_or(0);
    let beyond = |step: &&Spanned<u32>| {
        !(1..=steps).contains(&usize::try_from(*step.get_ref()).unwrap_or(usize::MAX))
    };
    if let Some(step) = file.step.iter().find(beyond) {
        let what = format!("no plan has a step {}", step.get_ref());
        return Err(bad_value(what, "steps are counted from 1 in text order", step.span()));
    }
    Ok(Expectation::Finding(expected))
}

fn pass() -> ExpectedFinding {
    ExpectedFinding { status: vec!["PASS".to_owned()], ..ExpectedFinding::default() }
}

fn listed(
    what: &'static str,
    values: &[Spanned<String>],
    known: &[&'static str],
) -> Result<Vec<String>, FileError> {
    let check = |value: &Spanned<String>| {
        let word = value.get_ref().clone();
        if known.contains(&word.as_str()) {
            return Ok(word);
        }
        Err(FileError::unknown_word(what, &word, known, value.span(), PAGE))
    };
    values.iter().map(check).collect()
}

/// Lower-case words joined by `-`.
fn words(value: &Spanned<String>) -> Result<String, FileError> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if value.get_ref().split('-').all(is_word) {
        return Ok(value.get_ref().clone());
    }
    let what = format!("`{}` is no name", value.get_ref());
    Err(bad_value(what, "write lower-case words joined by `-`, e.g. `fail-init`", value.span()))
}

fn bad_value(what: impl Into<String>, help: &'static str, span: Range<usize>) -> FileError {
    FileError::new(FileProblem::BadValue { what: what.into(), help }, span, PAGE)
}
