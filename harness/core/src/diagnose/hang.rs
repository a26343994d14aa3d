//! Runs that came to a halt, and heartbeats that stopped for too long.
//!
//! Deliberately absent: when to give up waiting; the supervisor decides that.

use hotfire_plan::model::Phase;

use super::blame::culprit_of_frames;
use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{DeadlockEdge, Evidence, Finding, FindingStep, FindingThread, FindingVictim};
use super::living::LIVING_RULES;
use super::rule::decide;
use super::rules::HANG_RULES;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::{Steps, step_that_matters};
use super::stuck::{self, loop_frames};
use super::threads::{finding_thread, waits_on};
use super::wait_graph::{Edge, frames, own_place, place_words};
use crate::observe::{Observation, ProcessRecord, Stall, StallReason, Thread};

/// Lines of waits of a finding without a class.
const WAITS_MAX: usize = 8;

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
    let facts = Facts::new(observation, context);
    let is_alive = stall.reason == StallReason::AskedFor;
    let decision = decide(if is_alive { LIVING_RULES } else { HANG_RULES }, &facts);
    if is_alive && decision.is_none() {
        // Whoever is idle or busy waits and computes, too.
        return None;
    }
    let class = decision.as_ref().map_or("unknown", |decision| decision.class);
    let (code, title) = match (steps.is_of_command(), stall.reason) {
        (_, StallReason::AskedFor) => (Code::StuckThreads, stuck_words(class).to_owned()),
        (true, StallReason::EndlessWait) => {
            (Code::EndlessWait, "every thread of the command waits for ever".to_owned())
        }
        (true, _) => (Code::RunLimit, "the command was still running at its time limit".to_owned()),
        (false, _) => code_and_title(stall, step.as_ref()),
    };
    let mut finding = new_finding(code, class, phase, title);
    let rule = decision.as_ref().map_or("", |decision| decision.cause.rule.as_str()).to_owned();
    if let Some(decision) = decision {
        finding.likely_cause = Some(decision.cause);
        finding.evidence.extend(decision.evidence);
    }
    let matters = threads_that_matter(&rule, &facts);
    add_waits(&mut finding, &matters, &facts);
    let quiet_ms = stall.quiet_us / 1000;
    finding.evidence.push(match (steps.is_of_command(), stall.reason) {
        (_, StallReason::AskedFor) => {
            evidence("supervisor", "it was looked at while it ran".to_owned())
        }
        (true, StallReason::EndlessWait) => {
            evidence("supervisor", format!("nothing had moved for {quiet_ms} ms"))
        }
        (true, _) => evidence("supervisor", format!("it had run for {quiet_ms} ms")),
        (false, _) => evidence("recorder", format!("no step began or ended for {quiet_ms} ms")),
    });
    finding.evidence.extend(busy_line(stall));
    if let Some(first) = matters.first() {
        finding.culprit = culprit_of_frames(frames(first), context);
        finding.victim = Some(victim(first, observation));
    }
    if class == "busy-loop" {
        let frames = matters.first().map(|thread| loop_frames(thread)).unwrap_or_default();
        finding.culprit = culprit_of_frames(frames, context).or(finding.culprit);
    }
    finding.threads = ordered(stall, &matters, &in_flight, &steps);
    finding.step = step;
    Some(seal(finding, &in_flight, &steps))
}

/// The threads that the finding is about, the one that stands for all first.
fn threads_that_matter<'a>(rule: &str, facts: &Facts<'a>) -> Vec<&'a Thread> {
    let Some(graph) = stuck::graph(facts) else { return Vec::new() };
    let one = |thread: Option<&'a Thread>| thread.into_iter().collect();
    match rule {
        "deadlock" => {
            let cycle = stuck::cycle(facts).unwrap_or_default();
            let mut threads: Vec<&Thread> =
                cycle.iter().filter_map(|edge| graph.thread(edge.tid)).collect();
            // Who comes first must not hang on numbers, which change from run to run.
            threads.sort_by_cached_key(|thread| own_place(thread).map(place_words));
            threads
        }
        "held-across-fork" => one(stuck::left_behind(facts).map(|(thread, _)| thread)),
        "fork-orphaned-lock" => one(stuck::orphan(facts)),
        "interpreter-lock-held" => one(stuck::holder(facts)),
        "" => Vec::new(),
        _ => one(stuck::root(facts)),
    }
}

/// The circle; and where no rule decides, what each thread waits for.
fn add_waits(finding: &mut Finding, matters: &[&Thread], facts: &Facts<'_>) {
    let Some(graph) = stuck::graph(facts) else { return };
    let rule = finding.likely_cause.as_ref().map_or("", |cause| cause.rule.as_str());
    if rule == "deadlock" {
        let edges = stuck::cycle(facts).unwrap_or_default().into_iter();
        let entry = |edge: Edge| DeadlockEdge {
            tid: edge.tid,
            waits_for: match (edge.lock, edge.process) {
                (Some(lock), _) => format!("{lock:#x}"),
                (None, Some(pid)) => format!("process {pid}"),
                (None, None) => graph
                    .thread(edge.tid)
                    .and_then(|thread| waits_on(&thread.wait))
                    .unwrap_or_default(),
            },
            owner: edge.next,
        };
        finding.deadlock = edges.map(entry).collect();
    }
    let threads = &facts.observation.stall.as_ref().map(|stall| stall.threads.as_slice());
    let threads = threads.unwrap_or_default();
    if rule.is_empty() {
        let lines = threads.iter().take(WAITS_MAX).map(|thread| graph.line(thread));
        finding.evidence.extend(lines.map(|text| evidence("wait graph", text)));
        return;
    }
    // Who waits for the process that the finding is about.
    let own = matters.first().map(|thread| thread.pid);
    let leads_there = |thread: &&Thread| {
        let process = graph.edge(thread.tid).and_then(|edge| edge.process);
        Some(thread.pid) != own && process.is_some()
    };
    let parents = threads.iter().filter(leads_there).take(WAITS_MAX);
    let lines = parents.filter(|thread| !matters.iter().any(|other| other.tid == thread.tid));
    finding.evidence.extend(lines.map(|thread| {
        let process = graph.process(thread.pid).map_or("", |process| process.command.as_str());
        let text = format!("of process {} `{process}`: {}", thread.pid, graph.line(thread));
        evidence("wait graph", text)
    }));
}

fn victim(thread: &Thread, observation: &Observation) -> FindingVictim {
    let stall = observation.stall.as_ref();
    let processes = stall.map(|stall| stall.processes.as_slice()).unwrap_or_default();
    let process = processes.iter().find(|process| process.pid == thread.pid);
    let is_asked_for = stall.is_some_and(|stall| stall.reason == StallReason::AskedFor);
    let relation = if is_asked_for {
        let is_below =
            |process: &ProcessRecord| processes.iter().any(|it| it.pid == process.parent);
        if process.is_some_and(is_below) { "descendant" } else { "process" }
    } else {
        let mut descendants = observation.descendants.iter();
        if descendants.any(|it| it.pid == thread.pid) { "descendant" } else { "child" }
    };
    FindingVictim {
        pid: thread.pid,
        tid: thread.tid,
        thread: thread.name.clone(),
        relation: relation.to_owned(),
        command: process.map_or_else(String::new, |process| process.command.clone()),
    }
}

/// What matters first, then those that are in a step: there may be hundreds.
fn ordered(
    stall: &Stall,
    matters: &[&Thread],
    in_flight: &[FindingStep],
    steps: &Steps<'_>,
) -> Vec<FindingThread> {
    let rank = |thread: &Thread| {
        let lane = steps.lane_of(thread.tid);
        let in_step = in_flight.iter().any(|step| Some(step.lane) == lane);
        let at = matters.iter().position(|other| other.tid == thread.tid);
        (at.unwrap_or(usize::MAX), !in_step)
    };
    let mut threads: Vec<&Thread> = stall.threads.iter().collect();
    threads.sort_by_key(|thread| rank(thread));
    threads.into_iter().map(finding_thread).collect()
}

/// What is wrong in a process that is alive.
fn stuck_words(class: &str) -> &'static str {
    match class {
        "deadlock" => "threads of a living process wait for each other, for ever",
        "fork-orphaned-lock" => "a forked process waits, for ever, for what only its parent has",
        _ => "threads wait for the interpreter's lock, which native code keeps",
    }
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
        StallReason::AskedFor => (Code::StuckThreads, stuck_words("").to_owned()),
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
