//! The contract between plan and engine: which steps must work, how the process must end, and in
//! which order resources must be released.
//!
//! Deliberately absent: what is legal when; the lifecycle model of the plan crate says that.

use std::collections::BTreeSet;

use hotfire_plan::model::{Operation, Phase, StepExpectation, expectations};

use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{Evidence, Finding};
use super::ledger;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::Steps;
use crate::observe::{Ending, HostStage, Observation, StepRecord};

/// Ledger violations named one by one.
const VIOLATIONS_SHOWN_MAX: usize = 6;

/// Why this run proves nothing: the engine is not here, or has no such operation.
#[must_use]
pub fn skip_reason(observation: &Observation, context: &Context<'_>) -> Option<String> {
    let steps = Steps::new(observation, context.program);
    steps.ended().find_map(|(_, record)| match record.outcome.as_str() {
        "missing" => Some(record.text.clone()),
        "unsupported" if must(StepExpectation::MustSucceed, record, context) => {
            Some(format!("`{}`: {}", steps.text(record.step), record.text))
        }
        _ => None,
    })
}

fn must(expected: StepExpectation, record: &StepRecord, context: &Context<'_>) -> bool {
    let index = usize::try_from(record.step).ok().and_then(|step| step.checked_sub(1));
    let all = expectations(context.program);
    index.and_then(|index| all.get(index)) == Some(&expected)
}

/// Findings of steps that ended otherwise than they must; one per step and code.
pub(crate) fn step_findings(observation: &Observation, context: &Context<'_>) -> Vec<Finding> {
    let steps = Steps::new(observation, context.program);
    let expected = expectations(context.program);
    // What the engine lacks, later steps cannot do either.
    let is_skipped = skip_reason(observation, context).is_some();
    let mut seen = BTreeSet::new();
    let mut findings: Vec<(Code, Finding)> = Vec::new();
    for (lane, record) in steps.ended() {
        let index = usize::try_from(record.step).ok().and_then(|step| step.checked_sub(1));
        let expectation = index.and_then(|index| expected.get(index)).filter(|_| !is_skipped);
        let Some((code, class, what)) = violation(record, expectation, &steps) else { continue };
        if !seen.insert((code, record.step)) {
            continue;
        }
        let step = steps.finding_step(lane, record.step, record.iteration);
        let title = format!("step {} `{}` {what}", step.index, step.text);
        let mut finding = new_finding(code, class, steps.phase(record.step), title);
        finding.evidence = record_lines(record, lane, &steps);
        finding.step = Some(step);
        findings.push((code, seal(finding, &[], &steps)));
    }
    // A panic and a torn result say more than a failed step, which may follow from them.
    findings.sort_by_key(|(code, _)| weight(*code));
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn weight(code: Code) -> u8 {
    match code {
        Code::Panicked => 0,
        Code::TornResult => 1,
        Code::IllegalAccepted => 2,
        _ => 3,
    }
}

fn violation(
    record: &StepRecord,
    expectation: Option<&StepExpectation>,
    steps: &Steps<'_>,
) -> Option<(Code, &'static str, String)> {
    let outcome = record.outcome.as_str();
    if outcome == "panic" {
        let what = "panicked in the engine's adapter".to_owned();
        return Some((Code::Panicked, "rust-panic", what));
    }
    if record.torn {
        let what = "gave a result that none of the engine's models gives".to_owned();
        return Some((Code::TornResult, "torn-result", what));
    }
    let class = "contract-violation";
    match (expectation?, outcome) {
        (StepExpectation::MustFail, "ok") => {
            let what = "must be refused, and was taken".to_owned();
            Some((Code::IllegalAccepted, class, what))
        }
        (StepExpectation::MustSucceed, "ok") => None,
        // The engine is not here or lacks the operation: skipped, not failed.
        (StepExpectation::MustSucceed, "missing" | "unsupported") => None,
        (StepExpectation::MustSucceed, "cancelled") if steps.plan_has(Operation::Cancel) => None,
        (StepExpectation::MustSucceed, outcome) => {
            Some((Code::StepFailed, class, format!("must succeed, and ended as {outcome}")))
        }
        _ => None,
    }
}

fn record_lines(record: &StepRecord, lane: u16, steps: &Steps<'_>) -> Vec<Evidence> {
    let mut lines = Vec::new();
    let same = |other: &StepRecord| {
        other.step == record.step && (&other.outcome, other.torn) == (&record.outcome, record.torn)
    };
    let text = if record.text.is_empty() { "without a text" } else { record.text.as_str() };
    lines.push(evidence("recorder", format!("lane {lane}: {}: {text}", record.outcome)));
    if record.torn {
        lines.push(evidence("recorder", format!("its digest is {:#x}", record.digest)));
    }
    let times = steps.ended().filter(|(_, other)| same(other)).count();
    if times > 1 {
        let all = steps.ended().filter(|(_, other)| other.step == record.step).count();
        lines.push(evidence("recorder", format!("so it ended {times} of {all} times")));
    }
    lines
}

/// The finding of an exit that the plan does not explain.
pub(crate) fn exit_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let Ending::Exited(status) = observation.ending else { return None };
    let steps = Steps::new(observation, context.program);
    if steps.is_of_command() {
        // What its status means is its user's to know.
        return None;
    }
    // 130 is how shells and interpreters say that SIGINT ended them.
    if steps.was_begun(Operation::Interrupt) && matches!(status, 0 | 130) {
        return None;
    }
    let planned = planned_status(&steps);
    let undone = steps.stage().is_some_and(|stage| stage < HostStage::Exiting);
    let in_flight = steps.in_flight();
    let place = match in_flight.first() {
        Some(step) => format!(" in step {} `{}`", step.index, step.text),
        None => String::new(),
    };
    let (code, class, title) = if status != planned {
        let title =
            format!("the process exited with status {status}{place}; the plan says {planned}");
        (Code::NonzeroExit, "nonzero-exit", title)
    } else if undone {
        let title = format!("the process exited{place} before its plan was done");
        (Code::CleanExit, "clean-exit", title)
    } else {
        return None;
    };
    let step = in_flight.first().cloned();
    let phase =
        step.as_ref().map_or_else(|| steps.phase_between_steps(), |step| steps.phase(step.index));
    let mut finding = new_finding(code, class, phase, title);
    finding.evidence.push(evidence("wait status", format!("exit status {status}")));
    if undone {
        let text = "the host had not come to the end of its plan".to_owned();
        finding.evidence.push(evidence("recorder", text));
    }
    finding.step = step;
    Some(seal(finding, &in_flight, &steps))
}

/// The exit status that the plan asks for.
fn planned_status(steps: &Steps<'_>) -> i32 {
    let code = steps.exit_argument("code").and_then(|code| code.parse().ok());
    code.filter(|_| steps.was_begun(Operation::Exit)).unwrap_or(0)
}

/// The finding of wrong orders and numbers of releases.
pub(crate) fn ledger_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let steps = Steps::new(observation, context.program);
    let ledger = Facts::new(observation, context).ledger?;
    let regular = matches!(observation.ending, Ending::Exited(_))
        && observation.stall.is_none()
        && steps.stage() == Some(HostStage::Exiting)
        && steps.exit_argument("how").is_none_or(|how| how == "return" || how == "exit");
    let violations = ledger::violations(ledger, regular);
    let first = violations.first()?;
    let more = match violations.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let title = format!("{first}{more}");
    let mut finding = new_finding(Code::LedgerViolation, "ledger-violation", Phase::Cleanup, title);
    finding.evidence = violations
        .iter()
        .take(VIOLATIONS_SHOWN_MAX)
        .map(|violation| evidence("ledger", violation.clone()))
        .collect();
    Some(seal(finding, &[], &steps))
}
