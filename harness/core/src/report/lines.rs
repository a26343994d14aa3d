//! The lines of a run: one per plan, and the sum.
//!
//! Deliberately absent: progress, which is the command's.

use super::colour::{RenderContext, Tone};
use super::json::{PlanResult, Summary};
use super::sanitize::sanitize;

/// Columns of the status words: `CAUGHT EXIT-CRASH` fits.
const STATUS_COLUMNS: usize = 17;
const REASON_CHARS_MAX: usize = 400;

/// One plan's line, and a second one with the reason where there is one. `seconds` is the wall
/// time of all its runs.
#[must_use]
pub fn render_result_line(result: &PlanResult, seconds: f64, context: &RenderContext) -> String {
    let (words, tone) = status_words(result);
    let padding = " ".repeat(STATUS_COLUMNS.saturating_sub(words.chars().count()));
    let count = if result.runs > 1 || result.failed > 0 && result.verdict == "flaky" {
        let failed = if result.failed > 0 { format!("{}/", result.failed) } else { String::new() };
        format!(" {failed}{} runs", result.runs)
    } else {
        String::new()
    };
    let scenario = sanitize(&result.scenario, 60);
    let head = format!("{padding}{words} [{seconds:>8.3}s]{count} {scenario}  ");
    let room = context.columns().saturating_sub(head.chars().count()).max(16);
    let rest = if result.engine.is_empty() {
        result.plan.clone()
    } else {
        format!("{}  {}", result.engine, result.plan)
    };
    let rest = context.paint(Tone::Quiet, &sanitize(&rest, room));
    let words = context.paint(tone, &words);
    let mut text = format!("{padding}{words} [{seconds:>8.3}s]{count} {scenario}  {rest}\n");
    if let Some(reason) = &result.reason {
        let indent = " ".repeat(STATUS_COLUMNS + 1);
        text.push_str(&format!("{indent}{}\n", sanitize(reason, REASON_CHARS_MAX)));
    }
    text
}

fn status_words(result: &PlanResult) -> (String, Tone) {
    let status = sanitize(&result.status, STATUS_COLUMNS);
    match (result.verdict.as_str(), status.as_str()) {
        ("as-expected", "PASS") => (status, Tone::Good),
        ("as-expected", _) => (format!("CAUGHT {status}"), Tone::Good),
        ("skipped" | "blind", _) => (status, Tone::Doubtful),
        ("flaky", _) => (format!("FLAKY {status}"), Tone::Bad),
        // A finding was expected and none came: "PASS" in red would be read wrongly.
        (_, "PASS") => ("FAIL".to_owned(), Tone::Bad),
        _ => (status, Tone::Bad),
    }
}

/// The sum of an invocation, one line.
#[must_use]
pub fn render_summary(summary: &Summary, plans: usize, context: &RenderContext) -> String {
    let tone = if summary.failed == 0 && summary.blind == 0 { Tone::Good } else { Tone::Strong };
    let word = context.paint(tone, "Summary");
    let padding = " ".repeat(STATUS_COLUMNS - "Summary".len());
    let count = |number: u32, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let mut parts = vec![
        format!("{} passed", summary.passed),
        format!("{} failed", summary.failed),
        count(summary.findings, "finding", "findings"),
    ];
    if summary.skipped > 0 {
        parts.push(format!("{} skipped", count(summary.skipped, "plan", "plans")));
    }
    if summary.blind > 0 {
        parts.push(format!("{} blind", summary.blind));
    }
    let runs = count(summary.runs, "run", "runs");
    let plans = if plans == 1 { "1 plan".to_owned() } else { format!("{plans} plans") };
    format!("{padding}{word} [{:>8.3}s] {runs} of {plans}: {}\n", summary.seconds, parts.join(", "))
}
