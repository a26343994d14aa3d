//! Whose fault a death is: which frame of the stack the culprit is taken from.
//!
//! Deliberately absent: whose code a place is (`culprit.rs`).

use super::culprit::{culprit, culprit_of_frame, file_name, is_of_standard_library};
use super::facts::{Context, Facts};
use super::finding::Culprit;
use super::function_name::bare;
use super::signals;
use crate::observe::{Crash, FrameRecord, StackRecord};

/// Whose code led to the death: the innermost frame that is somebody's; of endless recursion, the
/// function of the cycle that comes first by name, as any of them may be the one that found the
/// stack used up. A signal from elsewhere meets a thread wherever it is: that is nobody's fault.
pub(crate) fn culprit_of(facts: &Facts<'_>, class: &str, context: &Context<'_>) -> Option<Culprit> {
    let crash = facts.crash?;
    if comes_from_elsewhere(facts) {
        return None;
    }
    let stack = stack(crash);
    let cycle = stack.filter(|_| class == "stack-overflow").map(cycle).unwrap_or_default();
    if let Some(first) = culprits(cycle, context).into_iter().min_by_key(key) {
        return Some(first);
    }
    let frames = stack.map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let place = || crash.location.known().and_then(|location| culprit(location, context));
    culprit_of_frames(frames, context).or_else(place)
}

/// The innermost of these frames that is somebody's.
pub(crate) fn culprit_of_frames(frames: &[FrameRecord], context: &Context<'_>) -> Option<Culprit> {
    let culprits = culprits(frames, context);
    // Templates of the standard library are compiled into whoever uses them.
    let is_own = |one: &&Culprit| !one.function.as_deref().is_some_and(is_of_standard_library);
    culprits.iter().find(is_own).or(culprits.first()).cloned()
}

/// What stands for a culprit in the identity of a death that has none: the program that died, and
/// the innermost function that has a name.
pub(crate) fn program_of(facts: &Facts<'_>) -> Vec<String> {
    let Some(crash) = facts.crash else { return Vec::new() };
    let program = crash.victim.command.split_whitespace().next().map(file_name);
    let mut basis: Vec<String> =
        program.map(|program| format!("program={program}")).into_iter().collect();
    if !comes_from_elsewhere(facts) {
        let frames = stack(crash).map(|stack| stack.frames.as_slice()).unwrap_or_default();
        let mut trusted = frames.iter().take_while(|frame| !frame.doubtful);
        let named = trusted.find_map(|frame| frame.location.known()?.function.as_deref());
        basis.extend(named.map(|function| format!("top={}", bare(function))));
    }
    basis
}

/// A process other than the victim sent the signal, or the kernel did for a limit or a timer.
fn comes_from_elsewhere(facts: &Facts<'_>) -> bool {
    const OF_THE_KERNEL: [i32; 2] = [signals::SIGXCPU, signals::SIGALRM];
    let victim = facts.crash.map(|crash| crash.victim.pid);
    match (facts.signal(), facts.code(), facts.sender()) {
        (Some(signals::SIGKILL), ..) => true,
        (Some(signal), Some(signals::SI_KERNEL), _) => OF_THE_KERNEL.contains(&signal),
        (_, Some(code), sender) => code <= 0 && sender.is_some() && sender != victim,
        _ => false,
    }
}

fn stack(crash: &Crash) -> Option<&StackRecord> {
    let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid)?;
    own.stack.known()
}

/// One turn of the recursion.
fn cycle(stack: &StackRecord) -> &[FrameRecord] {
    let Some(cycle) = stack.cycle else { return &[] };
    let end = cycle.first.saturating_add(cycle.length).min(stack.frames.len());
    stack.frames.get(cycle.first..end).unwrap_or_default()
}

/// What is somebody's among these frames, innermost first.
fn culprits(frames: &[FrameRecord], context: &Context<'_>) -> Vec<Culprit> {
    let trusted = frames.iter().take_while(|frame| !frame.doubtful);
    trusted.filter_map(|frame| culprit_of_frame(frame, context)).collect()
}

fn key(culprit: &Culprit) -> (bool, String, String) {
    let function = culprit.function.as_deref();
    let is_standard = function.is_some_and(is_of_standard_library);
    (is_standard, culprit.module.clone(), function.map(bare).unwrap_or_default())
}
