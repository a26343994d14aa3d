//! `hotfire list`: scenarios and engines, on standard output.

use std::io::Write;

use hotfire_core::report::sanitize;
use hotfire_plan::scenario::Expectation;

use crate::args::ListArgs;
use crate::error::CliError;
use crate::internal::kinds;
use crate::scenarios;

/// The longest name and summary that are shown; a file of somebody else may hold anything.
const NAME_CHARS_MAX: usize = 100;
const SUMMARY_CHARS_MAX: usize = 400;

/// Prints the scenarios that match, a line each, and the engines.
pub(crate) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    let loaded = scenarios::load(&args.filters)?;
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
    text.push_str(&format!("\n{} scenarios · engines: {}\n", loaded.len(), engines.join(", ")));
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(0)
}
