//! `hotfire list`: scenarios and engines, or the built-in engine's defects, on standard output.

use std::io::Write;

use hotfire_core::report::sanitize;
use hotfire_plan::scenario::Expectation;
use hotfire_reference::{DEFECTS, Defect};

use crate::answer::answer;
use crate::args::ListArgs;
use crate::error::CliError;
use crate::internal::kinds;
use crate::scenarios::{self, Scenarios};

/// The longest name and summary that are shown; a file of somebody else may hold anything.
const NAME_CHARS_MAX: usize = 100;
const SUMMARY_CHARS_MAX: usize = 400;

/// Prints the scenarios that match, a line each, and the engines.
pub(crate) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    if args.defects {
        answer(out, &defects())?;
        return Ok(0);
    }
    let Scenarios { loaded, left_out } = scenarios::load(&args.filters)?;
    let width = loaded.iter().map(|one| one.scenario.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for one in &loaded {
        let scenario = &one.scenario;
        let expected = match &scenario.expect {
            Expectation::Pass => "PASS".to_owned(),
            Expectation::Finding(finding) if finding.status.is_empty() => "a finding".to_owned(),
            Expectation::Finding(finding) => finding.status.join("|"),
        };
        text.push_str(&format!(
            "{:width$}  {:10}  {}\n",
            sanitize(&scenario.name, NAME_CHARS_MAX),
            expected,
            sanitize(&scenario.summary, SUMMARY_CHARS_MAX)
        ));
    }
    let engines: Vec<&str> = kinds().iter().map(|kind| kind.name()).collect();
    let files = loaded.iter().map(|one| one.file.as_str());
    let origins = scenarios::origins(files);
    text.push_str(&format!("\n{origins} · engines: {}\n", engines.join(", ")));
    if let Some(hidden) = scenarios::hidden(&args.filters) {
        text.push_str(&format!("{hidden}\n"));
    }
    for file in left_out {
        let file = sanitize(&file, NAME_CHARS_MAX);
        text.push_str(&format!("left out, as it does not parse: {file}\n"));
    }
    answer(out, &text)?;
    Ok(0)
}

/// The defects, a line each: its name, the status it shows as, what it changes, the scenario that
/// shows it, and how.
fn defects() -> String {
    let width = |word: fn(&Defect) -> &str| DEFECTS.iter().map(|one| word(one).len()).max();
    let names = width(|one| one.name).unwrap_or(0);
    let statuses = width(|one| one.shows_as).unwrap_or(0);
    let scenarios = width(|one| one.scenario).unwrap_or(0);
    let lines = DEFECTS.iter().map(|one| {
        let Defect { name, shows_as, scenario, mechanism, .. } = one;
        let changes = one.changes.name();
        format!(
            "{name:names$}  {shows_as:statuses$}  {changes:8}  {scenario:scenarios$}  {mechanism}\n"
        )
    });
    let count = DEFECTS.len();
    let tail = format!("\n{count} defects · `hotfire run SCENARIO` shows one\n");
    lines.chain([tail]).collect()
}
