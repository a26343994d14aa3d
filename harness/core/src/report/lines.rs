//! The lines of a run: one per plan, and the sum.
//!
//! Deliberately absent: progress, which is the command's.

use super::colour::{RenderContext, Tone};
use super::json::{PlanResult, Report};
use super::sanitize::sanitize;

/// Columns of the status words: `EXPIRED EXIT-CRASH` fits.
const STATUS_COLUMNS: usize = 18;
/// Columns of the scenario's name, so that most plans stand below one another.
pub const NAME_COLUMNS: usize = 24;
/// The widest column of names: a plan needs room, too.
const NAME_COLUMNS_MAX: usize = 36;
const REASON_CHARS_MAX: usize = 400;

/// One plan's line, and a second one with the reason where there is one. `seconds` is the time
/// from the begin of its first run to the end of its last, `names` the columns of the longest name
/// of this invocation.
#[must_use]
pub fn render_result_line(
    result: &PlanResult,
    seconds: f64,
    names: usize,
    context: &RenderContext,
) -> String {
    let names = names.clamp(NAME_COLUMNS, NAME_COLUMNS_MAX);
    let (words, tone) = status_words(result);
    let scenario = sanitize(&result.scenario, 60);
    let count = match (result.failed, result.runs) {
        (0, 0 | 1) => String::new(),
        (0, runs) => format!("{runs}×"),
        (failed, runs) => format!("{failed}/{runs}"),
    };
    let head = format!("[{seconds:>8.3}s] {scenario:names$} {count:>5}  ");
    let used = STATUS_COLUMNS + 1 + head.chars().count();
    let plan = sanitize(&result.plan, context.columns().saturating_sub(used).max(16));
    let padding = " ".repeat(STATUS_COLUMNS.saturating_sub(words.chars().count()));
    let words = context.paint(tone, &words);
    let mut text = format!("{padding}{words} {head}{}\n", context.paint(Tone::Quiet, &plan));
    if let Some(reason) = &result.reason {
        let indent = " ".repeat(STATUS_COLUMNS + 1);
        text.push_str(&format!("{indent}{}\n", sanitize(reason, REASON_CHARS_MAX)));
    }
    text
}

/// What a plan is called, with its colour.
pub(super) fn status_words(result: &PlanResult) -> (String, Tone) {
    let status = sanitize(&result.status, STATUS_COLUMNS);
    match (result.verdict.as_str(), status.as_str()) {
        ("as-expected", "PASS") => (status, Tone::Good),
        ("as-expected", _) => (format!("CAUGHT {status}"), Tone::Good),
        ("skipped" | "blind", _) => (status, Tone::Doubtful),
        ("known", _) => (format!("KNOWN {status}"), Tone::Doubtful),
        ("expired", _) => (format!("EXPIRED {status}"), Tone::Bad),
        ("fixed", _) => ("FIXED".to_owned(), Tone::Good),
        ("flaky", _) => (format!("FLAKY {status}"), Tone::Bad),
        // A finding was expected and none came: "PASS" in red would be read wrongly.
        (_, "PASS") => ("FAIL".to_owned(), Tone::Bad),
        _ => (status, Tone::Bad),
    }
}

/// The sum of an invocation, one line.
#[must_use]
pub fn render_summary(report: &Report, context: &RenderContext) -> String {
    let count = |verdicts: &[&str]| {
        report.results.iter().filter(|plan| verdicts.contains(&plan.verdict.as_str())).count()
    };
    let expected = count(&["as-expected"]);
    let (known, fixed) = (count(&["known"]), count(&["fixed"]));
    let (skipped, blind) = (count(&["skipped"]), count(&["blind"]));
    let wrong = report.results.len() - expected - known - fixed - skipped - blind;
    let plans = counted(report.results.len(), "plan");
    let mut parts = vec![format!("{expected} as expected")];
    for (number, words) in [
        (known, "known"),
        (fixed, "fixed"),
        (wrong, "NOT as expected"),
        (blind, "blind"),
        (skipped, "skipped"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    }
    let sum = &report.summary;
    let tone = if wrong + blind == 0 { Tone::Good } else { Tone::Bad };
    let word = context.paint(tone, "Summary");
    let padding = " ".repeat(STATUS_COLUMNS - "Summary".len());
    let runs = counted(sum.runs as usize, "run");
    let findings = counted(sum.findings as usize, "finding");
    // Also where the plan was caught by its other runs: what was not seen is said.
    let unseen =
        if sum.blind > 0 { format!(", {} of them blind", sum.blind) } else { String::new() };
    let failed = failed_runs(report);
    format!(
        "{padding}{word} [{:>8.3}s] {plans}: {} ({runs}, {failed}{unseen}, {findings})\n",
        sum.seconds,
        parts.join(", "),
    )
}

/// Runs that failed; those that were to fail are told apart, or a green run looks red.
fn failed_runs(report: &Report) -> String {
    let as_expected = report.results.iter().filter(|plan| plan.verdict == "as-expected");
    let expected: u32 = as_expected.map(|plan| plan.failed).sum();
    match report.summary.failed {
        0 => "none failed".to_owned(),
        failed if expected == 0 => format!("{failed} of them failed"),
        failed if expected >= failed => format!("{failed} of them failed as expected"),
        failed => format!("{failed} of them failed, {expected} as expected"),
    }
}

/// A number with its noun.
#[must_use]
pub fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}
