//! Deaths by a signal: of the child, or of a process that it made.
//!
//! Deliberately absent: why (`rules.rs`) and whose fault it is (`culprit.rs`).

use hotfire_plan::model::{Operation, Phase};

use super::accesses::{access_words, plain_words};
use super::blame::{culprit_of, program_of};
use super::code::Code;
use super::culprit::{file_name, is_runtime};
use super::facts::{Context, Facts};
use super::finding::{Evidence, Finding, FindingException, FindingStep, FindingVictim};
use super::first_abort::first_abort;
use super::handlers::handler_lines;
use super::leaving::{is_leaving, leaving_words};
use super::near::{near, near_words};
use super::rule::{decide, lasting_class};
use super::rules::CRASH_RULES;
use super::signals::{self, code_name, signal_name};
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::{Steps, step_that_matters};
use super::texts::assertion;
use super::threads::crash_threads;
use crate::observe::{Crash, Ending, Fact, HostStage, Location, Observation};

/// Whether the plan itself asks for this death of the child.
pub(crate) fn is_planned_death(signal: i32, steps: &Steps<'_>) -> bool {
    let asks = |operation| steps.was_begun(operation);
    match signal {
        signals::SIGKILL => asks(Operation::Kill),
        signals::SIGINT => asks(Operation::Interrupt),
        signals::SIGABRT => steps.exit_argument("how") == Some("abort") && asks(Operation::Exit),
        _ => false,
    }
}

/// The finding of the run's first death by a signal; `None` when nobody died, or as planned.
pub(crate) fn crash_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    match reported_crash(observation, context) {
        Some(crash) => Some(captured(observation, crash, context)),
        None => child_signal(observation, context)
            .map(|signal| uncaptured(observation, signal, context)),
    }
}

/// The death that [`crash_finding`] tells, where it was captured.
pub(crate) fn reported_crash<'a>(
    observation: &'a Observation,
    context: &Context<'_>,
) -> Option<&'a Crash> {
    let steps = Steps::new(observation, context.program);
    let crash = main_crash(observation).filter(|it| !is_ordinary(it, observation, &steps))?;
    // The child's own death outranks one that it survived.
    (crash.victim.is_child || child_signal(observation, context).is_none()).then_some(crash)
}

/// The signal of the child's own death, where nobody wanted it.
fn child_signal(observation: &Observation, context: &Context<'_>) -> Option<i32> {
    let steps = Steps::new(observation, context.program);
    match observation.ending {
        Ending::Signaled(signal) if steps.is_of_command() => {
            let crash = main_crash(observation).filter(|crash| crash.victim.is_child);
            (!is_wanted(signal, crash, observation)).then_some(signal)
        }
        Ending::Signaled(signal) if !is_planned_death(signal, &steps) => Some(signal),
        _ => None,
    }
}

fn crashes(observation: &Observation) -> impl Iterator<Item = &Crash> {
    observation.crash.iter().chain(&observation.more_crashes)
}

/// The death that the run's finding is about: the child's, where there is more than one.
fn main_crash(observation: &Observation) -> Option<&Crash> {
    let of_child = crashes(observation).find(|crash| crash.victim.is_child);
    of_child.filter(|_| !observation.more_crashes.is_empty()).or(observation.crash.as_ref())
}

/// The findings of deaths of further processes.
pub(crate) fn more_crash_findings(
    observation: &Observation,
    context: &Context<'_>,
) -> Vec<Finding> {
    let steps = Steps::new(observation, context.program);
    let main = main_crash(observation).map(|crash| crash.victim.pid);
    let others = crashes(observation).filter(|crash| main != Some(crash.victim.pid));
    let wanted = others.filter(|crash| !is_ordinary(crash, observation, &steps));
    wanted.map(|crash| captured(observation, crash, context)).collect()
}

/// A death that belongs to a healthy life: the plan asks for it, or a process of the run ended
/// one of its own workers.
fn is_ordinary(crash: &Crash, observation: &Observation, steps: &Steps<'_>) -> bool {
    if crash.victim.is_child && steps.is_of_command() {
        return is_wanted(crash.signal, Some(crash), observation);
    }
    if crash.victim.is_child {
        return is_planned_death(crash.signal, steps);
    }
    if !signals::is_request_to_end(crash.signal) {
        return false;
    }
    let facts = Facts { observation, crash: Some(crash), ledger: None, with_chance: true };
    match facts.sender() {
        Some(sender) => facts.is_of_run(sender) && sender != crash.victim.pid,
        // SIGKILL leaves no siginfo behind. A child that goes on to a regular end meant it.
        None => matches!(observation.ending, Ending::Exited(0)),
    }
}

/// A command that somebody else asked to end, or whose reader has gone: its user or its shell
/// meant it. What it sends to itself, nobody else asked for, unless nothing can be learned of it.
fn is_wanted(signal: i32, crash: Option<&Crash>, observation: &Observation) -> bool {
    // A handler that has cleaned up ends its process by the signal that it handled.
    let was_asked = observation.asked_to_end.contains(&signal);
    let sends_itself = crash.is_some_and(|crash| {
        let sender = crash.siginfo.known().and_then(|info| info.sender);
        sender == Some(crash.victim.pid)
    });
    match signal {
        signals::SIGPIPE => true,
        signals::SIGINT | signals::SIGTERM | signals::SIGHUP | signals::SIGQUIT => {
            was_asked || !sends_itself
        }
        // It meant to end so.
        signals::SIGKILL => observation.kill.is_some_and(|kill| kill.by_itself),
        _ => false,
    }
}

fn is_at_exit(crash: &Crash, steps: &Steps<'_>) -> bool {
    if steps.is_of_command() {
        return is_leaving(crash);
    }
    steps.stage() == Some(HostStage::Exiting)
        && (crash.victim.is_child || crash.time_ns > steps.last_end_ns())
}

fn captured(observation: &Observation, crash: &Crash, context: &Context<'_>) -> Finding {
    let steps = Steps::new(observation, context.program);
    let crash = &*first_abort(crash);
    let facts = Facts { crash: Some(crash), ..Facts::new(observation, context) };
    let at_exit = is_at_exit(crash, &steps);
    let in_flight = steps.in_flight_at(crash.time_ns);
    let lane = crash.victim.is_child.then(|| steps.lane_of(crash.victim.tid)).flatten();
    let step = step_that_matters(&in_flight, lane);
    let phase = phase(at_exit, step.as_ref(), &steps);
    let decision = decide(CRASH_RULES, &facts);
    let class = decision.as_ref().map_or("unknown", |decision| decision.class);
    let signal = facts.signal().unwrap_or(crash.signal);
    let title = title(crash, signal, at_exit, &place_of(&steps, step.as_ref(), at_exit));
    let mut finding = new_finding(Code::of_death(signal, at_exit), class, phase, title);
    if !at_exit {
        finding.status = signal_name(signal);
    }
    finding.signal = Some(signal_name(signal));
    if let Fact::Known(info) = &crash.siginfo {
        finding.si_code = Some(info.code);
        finding.address = info.address.map(|address| format!("{address:#x}"));
    }
    finding.victim = Some(victim(crash));
    finding.near = near(&facts);
    finding.culprit = culprit_of(&facts, class, context);
    finding.threads = crash_threads(crash);
    finding.evidence.push(siginfo_line(&facts, crash));
    finding.evidence.extend(limit_line(crash));
    match decision {
        Some(decision) => {
            finding.likely_cause = Some(decision.cause);
            finding.evidence.extend(decision.evidence);
        }
        None => {
            let words = plain_words(&facts);
            finding.evidence.extend(words.map(|text| evidence("siginfo", text)));
        }
    }
    finding.evidence.extend(place_lines(&facts, crash, lane, step.as_ref()));
    if at_exit && class != "use-after-destruction" {
        let leaving = leaving_words(crash);
        finding.evidence.extend(leaving.map(|text| evidence("stack", text)));
    }
    finding.evidence.extend(handler_lines(observation, crash));
    finding.evidence.extend(blind_lines(crash));
    add_names(&mut finding, &facts);
    finding.step = step;
    if finding.culprit.is_none() && steps.is_of_command() {
        finding.signature.basis = program_of(&facts);
    }
    finding.class = lasting_class(CRASH_RULES, &facts).to_owned();
    Finding { class: class.to_owned(), ..seal(finding, &in_flight, &steps) }
}

/// What the class is about, by name.
fn add_names(finding: &mut Finding, facts: &Facts<'_>) {
    match finding.class.as_str() {
        "file-truncated" => finding.file = facts.inside().map(|mapping| mapping.path.clone()),
        "assertion" => finding.assertion = assertion(facts).map(str::to_owned),
        "uncaught-exception" => {
            let exception = facts.crash.and_then(|crash| crash.last_words.exception.known());
            finding.exception = exception.map(|exception| FindingException {
                kind: exception.kind.clone(),
                what: exception.what.clone(),
            });
        }
        _ => {}
    }
    if let Some(FindingException { kind, what }) = &finding.exception {
        let what = what.as_ref().map_or_else(String::new, |what| format!(", which says: {what}"));
        let text = format!("the exception is a {kind}{what}");
        finding.evidence.push(evidence("process memory", text));
    }
}

/// The child died by a signal that was not caught in the act.
fn uncaptured(observation: &Observation, signal: i32, context: &Context<'_>) -> Finding {
    let steps = Steps::new(observation, context.program);
    let at_exit = steps.stage() == Some(HostStage::Exiting);
    let in_flight = steps.in_flight();
    let step = step_that_matters(&in_flight, None);
    let phase = phase(at_exit, step.as_ref(), &steps);
    let name = signal_name(signal);
    let title = format!("the child died of {name}{}", place_of(&steps, step.as_ref(), at_exit));
    let facts = Facts { crash: None, ..Facts::new(observation, context) };
    let decision = decide(CRASH_RULES, &facts);
    let class = decision.as_ref().map_or("unknown", |decision| decision.class);
    let mut finding = new_finding(Code::of_death(signal, at_exit), class, phase, title);
    if !at_exit {
        finding.status.clone_from(&name);
    }
    finding.evidence = vec![evidence("wait status", format!("{name} ended the child"))];
    match decision {
        Some(decision) => {
            finding.likely_cause = Some(decision.cause);
            finding.evidence.extend(decision.evidence);
        }
        None => {
            let text = "the death was not captured: no thread, no registers";
            finding.evidence.push(evidence("supervisor", text.to_owned()));
        }
    }
    finding.signal = Some(name);
    finding.step = step;
    seal(finding, &in_flight, &steps)
}

fn phase(at_exit: bool, step: Option<&FindingStep>, steps: &Steps<'_>) -> Phase {
    match step {
        _ if at_exit => Phase::Exit,
        Some(step) => steps.phase(step.index),
        None => steps.phase_between_steps(),
    }
}

fn place_of(steps: &Steps<'_>, step: Option<&FindingStep>, at_exit: bool) -> String {
    match step {
        _ if at_exit => " on the way out".to_owned(),
        _ if steps.is_of_command() => String::new(),
        Some(step) => format!(" in step {} `{}`", step.index, step.text),
        None => " outside of any step".to_owned(),
    }
}

fn title(crash: &Crash, signal: i32, at_exit: bool, place: &str) -> String {
    let what = match signal {
        signals::SIGSEGV => "illegal memory access",
        signals::SIGABRT => "abort",
        signals::SIGBUS => "access to memory without backing",
        signals::SIGFPE => "arithmetic error",
        signals::SIGILL => "illegal instruction",
        signals::SIGTRAP => "trap",
        signals::SIGSYS => "forbidden system call",
        _ => "death by a signal",
    };
    let who = if crash.victim.is_child { "" } else { " of a process that the child made" };
    // The status word names the signal, but for deaths at exit.
    let name = if at_exit { format!(" ({})", signal_name(signal)) } else { String::new() };
    format!("{what}{who}{name}{place}")
}

fn victim(crash: &Crash) -> FindingVictim {
    let relation = if crash.victim.is_child { "child" } else { "descendant" };
    FindingVictim {
        pid: crash.victim.pid,
        tid: crash.victim.tid,
        thread: crash.victim.thread.clone(),
        relation: relation.to_owned(),
        command: crash.victim.command.clone(),
    }
}

fn siginfo_line(facts: &Facts<'_>, crash: &Crash) -> Evidence {
    let victim = &crash.victim;
    let thread = format!("thread {} `{}`", victim.tid, victim.thread);
    let Fact::Known(info) = &crash.siginfo else {
        let text = format!("{} in {thread}", signal_name(crash.signal));
        return evidence("wait status", text);
    };
    let code = code_name(info.signal, info.code);
    let mut text = format!("{} ({code}) in {thread}", signal_name(info.signal));
    if let Some(address) = info.address {
        text.push_str(&format!(" at address {address:#x}"));
    }
    text.push_str(&sender_words(facts, crash));
    if crash.signal != info.signal {
        text.push_str(&format!("; its handler then died of {}", signal_name(crash.signal)));
    } else if crash.through_handler {
        text.push_str("; a handler saw it first and let it through");
    }
    evidence("siginfo", text)
}

/// Which other process of the run sent the signal; one outside of it is told by its rule.
fn sender_words(facts: &Facts<'_>, crash: &Crash) -> String {
    let is_other = |sender: &i32| *sender != crash.victim.pid && facts.is_of_run(*sender);
    let Some(sender) = facts.sender().filter(is_other) else { return String::new() };
    let observation = facts.observation;
    let descendant = observation.descendants.iter().find(|one| one.pid == sender);
    let command = match descendant {
        Some(one) => one.command.clone(),
        None => observation.command.join(" "),
    };
    let name = if command.is_empty() { String::new() } else { format!(" `{command}`") };
    format!(", sent by pid {sender}{name}, a process of the run")
}

fn limit_line(crash: &Crash) -> Option<Evidence> {
    let limit = crash.limit.as_ref()?;
    Some(evidence("process table", format!("{} is {}", limit.name, limit.value)))
}

fn describe(location: &Location) -> String {
    let module = file_name(&location.module);
    let function =
        location.function.as_deref().map(|name| format!("{name} in ")).unwrap_or_default();
    format!("{function}{module}+{:#x}", location.offset)
}

fn place_lines(
    facts: &Facts<'_>,
    crash: &Crash,
    lane: Option<u16>,
    step: Option<&FindingStep>,
) -> Vec<Evidence> {
    let mut lines = Vec::new();
    lines.extend(access_words(facts).map(|text| evidence("instruction", text)));
    lines.extend(near_words(facts).map(|text| evidence("maps", text)));
    if let Fact::Known(location) = &crash.location {
        let mut text = format!("the program counter is in {}", describe(location));
        if is_runtime(&location.module) {
            text.push_str(", a runtime library");
        }
        lines.push(evidence("registers", text));
    }
    lines.extend(recursion(crash).map(|text| evidence("stack", text)));
    if let Some(step) = step
        && crash.victim.is_child
    {
        lines.push(evidence(
            "recorder",
            match lane {
                Some(lane) => format!("the thread runs lane {lane}, in step {}", step.index),
                None => format!(
                    "the thread runs no lane; lane {} was in step {}",
                    step.lane, step.index
                ),
            },
        ));
    }
    lines
}

/// The functions that called each other again and again.
fn recursion(crash: &Crash) -> Option<String> {
    let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid)?;
    let stack = own.stack.known()?;
    let cycle = stack.cycle?;
    let frames = stack.frames.iter().skip(cycle.first).take(cycle.length);
    let name = |location: &Location| location.function.clone().unwrap_or(describe(location));
    let mut names: Vec<String> =
        frames.filter_map(|frame| frame.location.known()).map(name).collect();
    // A function that calls itself from several places.
    names.dedup();
    Some(format!("{} calls itself, {} times in a row", names.join(", which calls "), cycle.times))
}

/// What could not be seen.
fn blind_lines(crash: &Crash) -> Vec<Evidence> {
    fn reason<T>(what: &str, fact: &Fact<T>) -> Option<Evidence> {
        match fact {
            Fact::Known(_) => None,
            Fact::Unavailable(why) => Some(evidence("not seen", format!("{what}: {why}"))),
        }
    }
    [
        reason("signal information", &crash.siginfo),
        reason("registers", &crash.registers),
        reason("the crashing module", &crash.location),
        reason("mappings near the address", &crash.address_map),
    ]
    .into_iter()
    .flatten()
    .collect()
}
