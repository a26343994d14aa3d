//! From a campaign to the JSON contract.
//!
//! Deliberately absent: writing files (the command does) and text for people (`text`).

use std::collections::BTreeSet;

use hotfire_plan::scenario::{Census, Limits};
use hotfire_plan::{print_duration_us, shell_quote};

use super::SCHEMA_VERSION;
use super::json::{PlanResult, Report, Summary, Unavailable, UnrunPlan};
use crate::campaign::{Attempt, BUILT_IN, CampaignReport, CommandReport, SubjectReport, Unrun};
use crate::diagnose::{Finding, living_processes};
use crate::judge::exit_code;

/// Our own error.
const INTERNAL: i32 = 70;

/// What the report says of the invocation itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// The verb.
    pub verb: String,
    /// The command line.
    pub command: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// The whole answer of an invocation that ran plans.
#[must_use]
pub fn assemble(campaign: &CampaignReport, invocation: &Invocation) -> Report {
    let verdicts: Vec<_> =
        campaign.subjects.iter().map(|subject| subject.verdict.clone()).collect();
    let findings = findings(campaign);
    let attempts = || campaign.subjects.iter().flat_map(|subject| &subject.attempts);
    let blind = |findings: &[Finding]| findings.iter().any(|finding| finding.code.starts_with('E'));
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Report {
        schema: SCHEMA_VERSION.to_owned(),
        verb: invocation.verb.clone(),
        seed: Some(format!("{:#x}", invocation.seed)),
        exit_code: match (campaign.interrupted, &campaign.failure) {
            (Some(signal), _) => 128 + signal,
            (None, Some(_)) => INTERNAL,
            (None, None) => exit_code(&verdicts, &campaign.baseline),
        },
        command: invocation.command.clone(),
        summary: Summary {
            // A run that was skipped proves nothing: it is none.
            runs: count(attempts().filter(|run| run.skip.is_none()).count()),
            passed: count(
                attempts().filter(|run| run.findings.is_empty() && run.skip.is_none()).count(),
            ),
            failed: count(
                attempts().filter(|run| !run.findings.is_empty() && !blind(&run.findings)).count(),
            ),
            findings: count(findings.len()),
            skipped: count(verdicts.iter().filter(|verdict| verdict.status == "SKIP").count()),
            blind: count(attempts().filter(|run| blind(&run.findings)).count()),
            seconds: invocation.seconds,
        },
        results: campaign.subjects.iter().map(plan_result).collect(),
        findings,
        processes: Vec::new(),
        baseline: campaign.baseline.clone(),
        unavailable: unavailable(campaign),
        interrupted: campaign.interrupted.map(hotfire_sys::signal::name),
        unrun: campaign.unrun.iter().map(unrun_plan).collect(),
    }
}

/// The answer of an invocation that ran a command.
#[must_use]
pub fn assemble_command(
    command: &CommandReport,
    exit_code: i32,
    invocation: &Invocation,
) -> Report {
    let verdict = &command.verdict;
    let complete = |finding: &Finding| Finding {
        reproduced: command.reproduced(&finding.id),
        ..finding.clone()
    };
    let findings: Vec<Finding> =
        command.first_findings().map(|(_, finding)| complete(finding)).collect();
    Report {
        schema: SCHEMA_VERSION.to_owned(),
        verb: invocation.verb.clone(),
        seed: None,
        exit_code,
        command: invocation.command.clone(),
        summary: Summary {
            runs: verdict.runs,
            passed: verdict.runs - verdict.failed,
            failed: verdict.failed,
            findings: u32::try_from(findings.len()).unwrap_or(u32::MAX),
            skipped: 0,
            blind: verdict.blind,
            seconds: invocation.seconds,
        },
        results: Vec::new(),
        findings,
        processes: command.kept().flat_map(living_processes).collect(),
        baseline: Vec::new(),
        unavailable: unseen(command.attempts.iter()),
        interrupted: None,
        unrun: Vec::new(),
    }
}

/// The command that shows a plan again, safe to paste into a shell: limits that are not the
/// defaults and how the runs were watched belong to it.
fn reproduce_command(report: &SubjectReport) -> String {
    let subject = &report.subject;
    let defaults = Limits::default();
    let mut command = format!("hotfire replay {}", shell_quote(&subject.plan.to_string()));
    if subject.limits.beat_ms != defaults.beat_ms {
        command.push_str(&format!(" --beat {}", duration(subject.limits.beat_ms)));
    }
    if subject.limits.run_ms != defaults.run_ms {
        command.push_str(&format!(" --timeout {}", duration(subject.limits.run_ms)));
    }
    if !report.watching.ledger {
        command.push_str(" --no-ledger");
    }
    if !report.watching.traced {
        command.push_str(" --trace off");
    }
    if subject.census != Census::default() {
        command.push_str(&format!(" --census {}", subject.census.name()));
    }
    command
}

/// As the command line takes it.
fn duration(time_ms: u64) -> String {
    print_duration_us(time_ms.saturating_mul(1000))
}

/// One plan's entry in `results`.
#[must_use]
pub fn plan_result(report: &SubjectReport) -> PlanResult {
    let verdict = &report.verdict;
    let micros: u64 = report.attempts.iter().map(|attempt| attempt.wall_us).sum();
    let place = report.subject.place.as_ref();
    let place = place.filter(|(file, _)| !file.starts_with(BUILT_IN));
    PlanResult {
        scenario: report.subject.scenario.clone(),
        engine: report.subject.engine.to_string(),
        plan: report.subject.plan.to_string(),
        file: place.map(|(file, _)| file.clone()),
        line: place.map(|(_, line)| *line),
        status: verdict.status.clone(),
        expected: verdict.expected.clone(),
        verdict: verdict.verdict.name().to_owned(),
        runs: verdict.runs,
        failed: verdict.failed,
        seconds: Some(micros as f64 / 1e6),
        rate: report.rate.clone(),
        finding: verdict.finding_id.clone(),
        reproduced: verdict.finding_id.as_deref().and_then(|id| report.reproduced(id)),
        known: verdict.known.clone(),
        reason: verdict.reason.clone(),
    }
}

/// Every finding once, by its id; the first run that showed it speaks for it.
fn findings(campaign: &CampaignReport) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    campaign
        .subjects
        .iter()
        .flat_map(|subject| subject.first_findings().map(move |(_, finding)| (subject, finding)))
        .filter(|(_, finding)| seen.insert(&finding.id))
        .map(|(subject, finding)| complete(finding, subject))
        .collect()
}

/// A finding with what only the campaign knows.
#[must_use]
pub fn complete(finding: &Finding, subject: &SubjectReport) -> Finding {
    Finding {
        reproduced: subject.reproduced(&finding.id),
        reproduce: Some(reproduce_command(subject)),
        ..finding.clone()
    }
}

fn unrun_plan(unrun: &Unrun) -> UnrunPlan {
    UnrunPlan {
        scenario: unrun.subject.scenario.clone(),
        engine: unrun.subject.engine.to_string(),
        plan: unrun.subject.plan.to_string(),
        missing: unrun.missing,
        in_flight: unrun.in_flight,
        made: unrun.made,
    }
}

fn unavailable(campaign: &CampaignReport) -> Vec<Unavailable> {
    unseen(campaign.subjects.iter().flat_map(|subject| &subject.attempts))
}

/// What could not be seen, each once.
fn unseen<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Vec<Unavailable> {
    let notes: BTreeSet<_> = attempts.flat_map(|attempt| &attempt.unseen).collect();
    notes
        .into_iter()
        .map(|(what, reason)| Unavailable { what: (*what).to_owned(), reason: reason.clone() })
        .collect()
}
