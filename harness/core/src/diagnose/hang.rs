//! Runs that came to a halt, and heartbeats that stopped for too long.
//!
//! Deliberately absent: when to give up waiting; the supervisor decides that.

use hotfire_plan::model::Phase;

use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{Evidence, Finding, FindingStep};
use super::rule::decide;
use super::rules::HANG_RULES;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::{Steps, step_that_matters};
use super::threads::finding_thread;
use crate::observe::{Observation, Stall, StallReason, Thread};

/// The finding of a run that the supervisor ended.
pub(crate) fn stall_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let stall = observation.stall.as_ref()?;
    let steps = Steps::new(observation, context.program);
    let in_flight = steps.in_flight();
    let step = step_that_matters(&in_flight, None);
    let phase = match (&step, stall.reason) {
        (_, StallReason::ExitLimit) => Phase::Exit,
        (Some(step), _) => steps.phase(step.index),
        (None, _) => steps.phase_between_steps(),
    };
    let decision = decide(HANG_RULES, &Facts::new(observation, context));
    let class = decision.as_ref().map_or("unknown", |decision| decision.class);
    let (code, title) = if steps.is_of_command() {
        (Code::RunLimit, "the command was still running at its time limit".to_owned())
    } else {
        code_and_title(stall, step.as_ref())
    };
    let mut finding = new_finding(code, class, phase, title);
    if let Some(decision) = decision {
        finding.likely_cause = Some(decision.cause);
        finding.evidence.extend(decision.evidence);
    }
    let quiet_ms = stall.quiet_us / 1000;
    finding.evidence.push(if steps.is_of_command() {
        evidence("supervisor", format!("it had run for {quiet_ms} ms"))
    } else {
        evidence("recorder", format!("no step began or ended for {quiet_ms} ms"))
    });
    finding.evidence.extend(busy_line(stall));
    let (stepping, others): (Vec<&Thread>, Vec<&Thread>) =
        stall.threads.iter().partition(|thread| {
            let lane = steps.lane_of(thread.tid);
            in_flight.iter().any(|step| Some(step.lane) == lane)
        });
    // Those that are in a step come first: there may be hundreds.
    finding.threads = stepping.into_iter().chain(others).map(finding_thread).collect();
    finding.step = step;
    Some(seal(finding, &in_flight, &steps))
}

fn code_and_title(stall: &Stall, step: Option<&FindingStep>) -> (Code, String) {
    let place = match step {
        Some(step) => format!("step {} `{}`", step.index, step.text),
        None => "no step in flight".to_owned(),
    };
    match stall.reason {
        StallReason::EndlessWait => {
            (Code::EndlessWait, format!("every thread waits for ever, with {place}"))
        }
        StallReason::StepLimit => (Code::StepLimit, format!("{place} ran into its time limit")),
        StallReason::RunLimit => {
            (Code::RunLimit, format!("the run ran into its time limit, with {place}"))
        }
        StallReason::ExitLimit => {
            (Code::ExitLimit, "the process does not end after its last step".to_owned())
        }
        StallReason::ProcessLimit => (
            Code::ProcessLimit,
            format!("the child made more processes than allowed, with {place}"),
        ),
    }
}

/// Threads that run, which no list of waits would show.
fn busy_line(stall: &Stall) -> Option<Evidence> {
    let busy = stall.threads.iter().filter(|thread| thread.state == 'R').count();
    let of = stall.threads.len();
    (busy > 0).then(|| evidence("process table", format!("{busy} of {of} threads run")))
}

/// The finding of a heartbeat that stopped for longer than allowed. A crash also stops it, and is
/// a finding of its own.
pub(crate) fn freeze_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let beat = observation.recorder.known()?.heartbeat.as_ref()?;
    if beat.gap_max_us <= beat.allowed_us || beat.allowed_us == 0 || observation.crash.is_some() {
        return None;
    }
    let steps = Steps::new(observation, context.program);
    let step = (beat.gap_step > 0).then(|| steps.finding_step(0, beat.gap_step, 0));
    let phase = steps.phase(beat.gap_step);
    let (gap, allowed) = (beat.gap_max_us / 1000, beat.allowed_us / 1000);
    let place = match &step {
        Some(step) => format!(" in step {} `{}`", step.index, step.text),
        None => String::new(),
    };
    let title = format!("no heartbeat for {gap} ms{place}; {allowed} ms are allowed");
    let mut finding = new_finding(Code::MissedHeartbeat, "missed-heartbeat", phase, title);
    finding.evidence = vec![evidence(
        "recorder",
        format!("{} beats in all, the longest gap is {gap} ms", beat.beats),
    )];
    finding.step = step;
    Some(seal(finding, &[], &steps))
}
