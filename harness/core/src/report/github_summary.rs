//! The step summary of GitHub Actions: Markdown in which nothing of an engine or a scenario is
//! markup. Above 1 MiB the whole summary is lost, so it ends before, and says what was left out.
//!
//! Deliberately absent: plans that went as expected, but for their count.

use super::ci::{CiPlan, CiReport, SENTENCE_CHARS_MAX, Standing, entry_sentence, tracked};
use super::colour::RenderContext;
use super::lines::render_summary;
use super::sanitize::sanitize;

/// Bytes of a step's summary, all that the step wrote before included: below the limit of 1 MiB.
pub const SUMMARY_BYTES_MAX: usize = 900 * 1024;
/// Left for the line that says what was left out.
const CLOSING_BYTES: usize = 200;
const CELL_CHARS_MAX: usize = 300;
const TEXT_BYTES_MAX: usize = 20_000;

/// The summary of at most `bytes_max` bytes; empty where not even its head fits.
#[must_use]
pub fn render_step_summary(ci: &CiReport<'_>, bytes_max: usize) -> String {
    let plans = ci.plans();
    let of = |standing: Standing| plans.iter().filter(move |plan| plan.standing == standing);
    let mut page = Page { text: String::new(), bytes_max, left_out: 0 };
    page.add(&head(ci));
    let red = of(Standing::Failed).chain(of(Standing::Blind));
    page.table("Not as expected", "Status | Scenario | What happened | Plan", red.map(row));
    let known = of(Standing::Known).map(known_row);
    page.table("Known", "Status | Scenario | Issue | Plan", known);
    let told = ci.report.baseline.iter().filter_map(entry_sentence);
    page.table(
        "Fixed",
        "Entries that the baseline need not list any more",
        told.map(|text| format!("| {} |\n", sentence(&text))),
    );
    let skipped = of(Standing::Skipped).map(row);
    page.table("Skipped", "Status | Scenario | Reason | Plan", skipped);
    for plan in of(Standing::Failed).chain(of(Standing::Blind)).chain(of(Standing::Known)) {
        page.add_or_count(&|| in_full(ci, plan));
    }
    page.finish()
}

struct Page {
    text: String,
    bytes_max: usize,
    left_out: usize,
}

impl Page {
    fn fits(&self, piece: &str) -> bool {
        self.text.len() + piece.len() + CLOSING_BYTES <= self.bytes_max
    }

    fn add(&mut self, piece: &str) -> bool {
        let fits = self.fits(piece);
        if fits {
            self.text.push_str(piece);
        }
        fits
    }

    /// After the first piece that does not fit the others are not made: what is there stays the
    /// beginning of the whole.
    fn add_or_count(&mut self, piece: &dyn Fn() -> String) {
        if self.left_out > 0 || !self.add(&piece()) {
            self.left_out += 1;
        }
    }

    fn table(&mut self, title: &str, columns: &str, rows: impl Iterator<Item = String>) {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return;
        }
        let rule = columns.split('|').map(|_| " --- ").collect::<Vec<&str>>().join("|");
        let begun =
            self.left_out == 0 && self.add(&format!("\n### {title}\n\n| {columns} |\n|{rule}|\n"));
        for row in rows {
            if begun {
                self.add_or_count(&|| row.clone());
            } else {
                self.left_out += 1;
            }
        }
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 && self.text.len() + CLOSING_BYTES <= self.bytes_max {
            let count = self.left_out;
            self.text.push_str(&format!(
                "\n{count} more rows and findings are left out: GitHub loses a larger summary. \
                 They are in the JUnit and JSON reports.\n"
            ));
        }
        self.text
    }
}

fn head(ci: &CiReport<'_>) -> String {
    let line = render_summary(ci.report, &RenderContext::default());
    let status = ci.report.exit_code;
    let early = match ci.report.unrun.len() {
        0 => String::new(),
        1 => ", ended early: 1 plan was not run as often as asked".to_owned(),
        plans => format!(", ended early: {plans} plans were not run as often as asked"),
    };
    let word = if status == 0 { "passed" } else { "failed" };
    let line = line.split_once(']').map_or(line.as_str(), |(_, rest)| rest).trim();
    format!("## Hotfire {word} (exit status {status}{early})\n\n{}\n", escape(line))
}

fn row(plan: &CiPlan<'_>) -> String {
    cells(plan, &plan.sentence())
}

fn known_row(plan: &CiPlan<'_>) -> String {
    let issue = plan.result.known.as_ref().map(tracked);
    cells(plan, &issue.unwrap_or_else(|| plan.sentence()))
}

fn cells(plan: &CiPlan<'_>, what: &str) -> String {
    let [status, scenario, plan] = [&plan.status(), &plan.result.scenario, &plan.result.plan]
        .map(|text| escape(&sanitize(text, CELL_CHARS_MAX)));
    format!("| {status} | {scenario} | {} | {plan} |\n", sentence(what))
}

fn sentence(text: &str) -> String {
    escape(&sanitize(text, SENTENCE_CHARS_MAX))
}

/// The finding's text, folded. `<pre>` ends the reading of Markdown up to its end (CommonMark,
/// HTML blocks, kind 1).
fn in_full(ci: &CiReport<'_>, plan: &CiPlan<'_>) -> String {
    let text = ci.text(plan);
    if text.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = text.lines().map(|line| sanitize(line, usize::MAX)).collect();
    let mut text = lines.join("\n");
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push_str("\n[cut]");
    }
    let title = escape(&format!("{}: {}", plan.status(), plan.result.scenario));
    format!(
        "\n<details><summary>{title}</summary>\n\n<pre>\n{}\n</pre>\n\n</details>\n",
        escape(&text)
    )
}

/// Every character that Markdown or HTML reads becomes a numeric entity, which is text to both.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if "&<>\"'|`*_~[]\\$#!@^{}".contains(letter) {
            safe.push_str(&format!("&#{};", u32::from(letter)));
        } else {
            safe.push(letter);
        }
    }
    safe
}
