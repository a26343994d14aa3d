//! What the reports for CI (JUnit, GitHub) show alike: each plan with its standing and one sentence.
//!
//! Deliberately absent: the formats, and judgement; a standing is read off the verdict.

use std::collections::BTreeMap;

use super::colour::RenderContext;
use super::finding_text::render_finding;
use super::json::{BaselineEntry, EntryState, KnownIssue, PlanResult, Report};
use super::lines::status_words;
use super::sanitize::sanitize;
use super::view::{FindingView, Whole};
use crate::diagnose::Finding;

/// The longest sentence, in characters: titles with an engine's message in them stay whole.
pub(super) const SENTENCE_CHARS_MAX: usize = 2000;

/// A report as the formats for CI take it.
#[derive(Clone, Copy)]
pub struct CiReport<'a> {
    /// The report.
    pub report: &'a Report,
    /// The finding of the plan with this place in `results`, as the text report prints it (without
    /// colours); `None`: it is rendered from the report alone, which knows no results of steps.
    pub text_of: &'a dyn Fn(usize) -> Option<String>,
}

impl std::fmt::Debug for CiReport<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CiReport").field("report", self.report).finish_non_exhaustive()
    }
}

/// What a plan is to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// New, flaky or expired: red.
    Failed,
    /// Not observed, or not started: red, but it tells nothing of the engine.
    Blind,
    /// Listed in the baseline: green, and to be seen.
    Known,
    /// Listed there, and gone: green, and to be told.
    Fixed,
    /// Did not run.
    Skipped,
    /// As expected.
    Good,
}

/// One plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct CiPlan<'a> {
    pub(super) at: usize,
    pub(super) result: &'a PlanResult,
    pub(super) finding: Option<&'a Finding>,
    pub(super) standing: Standing,
}

impl<'a> CiReport<'a> {
    /// Every plan, in the report's order.
    pub(super) fn plans(&self) -> Vec<CiPlan<'a>> {
        let by_id: BTreeMap<&str, &Finding> =
            self.report.findings.iter().map(|finding| (finding.id.as_str(), finding)).collect();
        let plan = |(at, result): (usize, &'a PlanResult)| CiPlan {
            at,
            result,
            finding: result.finding.as_deref().and_then(|id| by_id.get(id).copied()),
            standing: standing(result),
        };
        self.report.results.iter().enumerate().map(plan).collect()
    }

    /// The plan's finding in full; empty without one.
    pub(super) fn text(&self, plan: &CiPlan<'_>) -> String {
        (self.text_of)(plan.at).or_else(|| plan.rendered()).unwrap_or_default()
    }
}

fn standing(result: &PlanResult) -> Standing {
    match result.verdict.as_str() {
        "as-expected" => Standing::Good,
        "known" => Standing::Known,
        "fixed" => Standing::Fixed,
        "skipped" => Standing::Skipped,
        "blind" => Standing::Blind,
        // Also a word of a later version: what is not understood is not green.
        _ => Standing::Failed,
    }
}

impl CiPlan<'_> {
    /// `EXPIRED SIGSEGV`, `FLAKY HANG`, `PASS`, …
    pub(super) fn status(&self) -> String {
        status_words(self.result).0
    }

    /// What happened, in one line; for what is known first of all where it is tracked.
    pub(super) fn sentence(&self) -> String {
        let title = self.finding.map(|finding| finding.title.as_str());
        let known = self.result.known.as_ref().map(tracked);
        let status = self.status();
        let parts = match self.standing {
            Standing::Known => [Some("KNOWN"), known.as_deref(), title],
            Standing::Failed if known.is_some() => [Some(status.as_str()), known.as_deref(), title],
            Standing::Good => [Some(status.as_str()), title, None],
            Standing::Fixed => [Some("FIXED"), self.result.reason.as_deref(), None],
            _ => [title, self.result.reason.as_deref(), None],
        };
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        let text = if parts.is_empty() { status.clone() } else { parts.join(": ") };
        sanitize(&text, SENTENCE_CHARS_MAX)
    }

    /// The status and, with a finding, its class by mechanism: `SIGSEGV/use-after-free`.
    pub(super) fn kind(&self) -> String {
        let class = self.finding.map(|finding| format!("/{}", finding.class));
        self.status() + &class.unwrap_or_default()
    }

    fn rendered(&self) -> Option<String> {
        let view = FindingView {
            finding: self.finding?,
            scenario: &self.result.scenario,
            place: self.result.file.as_deref().zip(self.result.line),
            engine: &self.result.engine,
            steps: Vec::new(),
            tried: None,
            rate: self.result.rate.as_ref(),
            also: &[],
            whole: Whole::Nowhere,
        };
        Some(render_finding(&view, &RenderContext::default()))
    }
}

/// `https://… (owner ada, until 2027-01-31, baseline.toml:3)`.
pub(super) fn tracked(known: &KnownIssue) -> String {
    let owner = known.owner.as_ref().map(|owner| format!("owner {owner}, ")).unwrap_or_default();
    let until = if known.days_left < 0 { "expired" } else { "until" };
    format!("{} ({owner}{until} {}, {})", known.issue, known.expires, known.place)
}

/// What an entry of the baseline tells, where it asks for something.
pub(super) fn entry_sentence(entry: &BaselineEntry) -> Option<String> {
    let word = match entry.state {
        EntryState::Fixed => "FIXED: ",
        _ if entry.fails => "",
        _ => return None,
    };
    let issue = tracked(&entry.known);
    let text = format!("{word}{}, {}: {issue}: {}", entry.selects, entry.lists, entry.reason);
    Some(sanitize(&text, SENTENCE_CHARS_MAX))
}
