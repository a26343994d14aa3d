//! The stage itself: every kind of finding is asked for, the most important first.
//!
//! Deliberately absent: expectations and baselines (`judge`).

use super::births::births_finding;
use super::contract::{exit_finding, ledger_finding, step_findings};
use super::crash::{crash_finding, more_crash_findings};
use super::environment::environment_finding;
use super::facts::Context;
use super::finding::{Finding, OutputTail};
use super::hang::{freeze_finding, stall_finding};
use super::leaks::{leak_findings, left_at_death};
use super::leftovers::orphans_finding;
use super::rising::rising_finding;
use super::signs::evidence;
use crate::observe::{DescendantEnd, Fact, NO_HOST, Observation, Stream};

/// The last lines of each stream that a finding keeps.
const TAIL_LINES_MAX: usize = 12;
const TAIL_BYTES_MAX: usize = 4096;
/// Lines from the end in which one that tells of an error is looked for, and the words by which it
/// does.
const SAID_LINES_MAX: usize = 64;
const TELLING_WORDS: [&str; 3] = ["fatal", "error", "fail"];
/// Soft errors named in a finding.
const SOFT_ERRORS_MAX: usize = 4;

/// What is wrong with this run, the most important first; empty for a healthy one.
#[must_use]
pub fn diagnose(observation: &Observation, context: &Context<'_>) -> Vec<Finding> {
    let mut findings = match environment_finding(observation, context) {
        // Nothing ran to its end: all else would be a guess.
        Some(finding) => vec![finding],
        None => lifecycle_findings(observation, context),
    };
    for finding in &mut findings {
        add_common(finding, observation);
    }
    findings
}

fn lifecycle_findings(observation: &Observation, context: &Context<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(crash_finding(observation, context));
    for other in more_crash_findings(observation, context) {
        if findings.iter().all(|finding| finding.id != other.id) {
            findings.push(other);
        }
    }
    findings.extend(stall_finding(observation, context));
    findings.extend(step_findings(observation, context));
    findings.extend(exit_finding(observation, context));
    findings.extend(freeze_finding(observation, context));
    findings.extend(orphans_finding(observation, context));
    findings.extend(leak_findings(observation, context));
    findings.extend(births_finding(observation, context));
    findings.extend(rising_finding(observation, context));
    if let Some(first) = findings.first_mut() {
        first.evidence.extend(left_at_death(observation));
    }
    if findings.is_empty() {
        // With another finding, a wrong order of releases is its consequence or its cause, and
        // is told there; alone it is a finding.
        findings.extend(ledger_finding(observation, context));
    } else if let (Some(first), Some(ledger)) =
        (findings.first_mut(), ledger_finding(observation, context))
    {
        first.evidence.extend(ledger.evidence);
    }
    findings
}

/// What every finding tells: the output, other deaths, and what could not be seen.
fn add_common(finding: &mut Finding, observation: &Observation) {
    if observation.command.is_empty() {
        finding.minimal_plan = Some(observation.plan.clone());
    }
    let tail = OutputTail {
        stdout: last_lines(&observation.output.stdout),
        stderr: last_lines(&observation.output.stderr),
    };
    finding.evidence.extend(last_words(observation).map(|text| evidence("stderr", text)));
    finding.output_tail = (!tail.stdout.is_empty() || !tail.stderr.is_empty()).then_some(tail);
    let victim = finding.victim.as_ref().map(|victim| victim.pid);
    let has_own = |pid| observation.more_crashes.iter().any(|crash| crash.victim.pid == pid);
    for descendant in &observation.descendants {
        if let DescendantEnd::Signaled(signal) = descendant.end
            && victim != Some(descendant.pid)
            && !has_own(descendant.pid)
        {
            let name = super::signals::signal_name(signal);
            let text = format!("pid {} `{}` died of {name}", descendant.pid, descendant.command);
            finding.evidence.push(evidence("wait status", text));
        }
    }
    if let Fact::Unavailable(why) = &observation.recorder
        && why != NO_HOST
    {
        finding.evidence.push(evidence("not seen", format!("steps: {why}")));
    }
    let damage = observation.recorder.known().map(|recorded| recorded.damage.as_slice());
    let soft = damage.unwrap_or_default().iter().chain(&observation.soft_errors);
    finding
        .evidence
        .extend(soft.take(SOFT_ERRORS_MAX).map(|text| evidence("not seen", text.clone())));
}

/// What a program says last is often a stack; before it stands what went wrong.
fn last_words(observation: &Observation) -> Option<String> {
    let stream = &observation.output.stderr;
    let lines = [&stream.tail, &stream.head].into_iter().flat_map(|text| text.lines().rev());
    let mut lines = lines.map(str::trim).filter(|line| !line.is_empty()).take(SAID_LINES_MAX);
    let last = lines.next()?;
    let tells = |line: &&str| {
        let line = line.to_ascii_lowercase();
        TELLING_WORDS.iter().any(|word| line.contains(word))
    };
    if tells(&last) {
        return Some(format!("the last line: {last}"));
    }
    Some(match lines.find(tells) {
        Some(line) => format!("among the last lines: {line}"),
        None => format!("the last line: {last}"),
    })
}

fn last_lines(stream: &Stream) -> String {
    let text = if stream.tail.is_empty() { &stream.head } else { &stream.tail };
    let start = text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES_MAX));
    let text = text.get(start..).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES_MAX);
    lines.get(first..).unwrap_or_default().join("\n")
}
