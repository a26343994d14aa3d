//! An abort that a handler of the program's own saw first: the handler lets it through by a signal
//! of its own, and what stood below it is the cause.
//!
//! Deliberately absent: faults, whose first registers are kept as they come (`supervise`).

use std::borrow::Cow;

use super::calls::name;
use super::culprit::{is_interpreter, is_runtime};
use super::signals;
use crate::observe::{Crash, Fact, FrameRecord};

/// Functions of the C library that send a signal to their own process or thread.
const SENDERS: [&str; 8] = [
    "abort",
    "raise",
    "gsignal",
    "kill",
    "tgkill",
    "pthread_kill",
    "__pthread_kill",
    "__pthread_kill_implementation",
];
/// Frames between the system call that sends and the function with a name.
const SENDING_FRAMES_MAX: usize = 5;

/// The death as it was before a handler of its first abort; else as it is.
pub(crate) fn first_abort(crash: &Crash) -> Cow<'_, Crash> {
    let signal = crash.siginfo.known().map_or(crash.signal, |info| info.signal);
    if signal != signals::SIGABRT {
        return Cow::Borrowed(crash);
    }
    let own = crash.threads.iter().position(|thread| thread.tid == crash.victim.tid);
    let stack = own.and_then(|own| crash.threads.get(own)?.stack.known());
    let frames = stack.map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let (Some(own), Some(begin)) = (own, interrupted(frames)) else {
        return Cow::Borrowed(crash);
    };
    let mut crash = crash.clone();
    crash.through_handler = true;
    let thread = crash.threads.get_mut(own);
    if let Some(Fact::Known(stack)) = thread.map(|thread| &mut thread.stack) {
        stack.frames.drain(..begin);
        if let Some(omitted) = &mut stack.omitted {
            omitted.before = omitted.before.saturating_sub(begin);
        }
        if let Some(cycle) = &mut stack.cycle {
            cycle.first = cycle.first.saturating_sub(begin);
        }
        if let Some(first) = stack.frames.first() {
            crash.location = first.location.clone();
        }
    }
    Cow::Owned(crash)
}

/// The index of the frame that the outermost handler interrupted while it sent a signal to its own
/// process: a handler may itself abort, and be met again.
fn interrupted(frames: &[FrameRecord]) -> Option<usize> {
    let proven = frames.iter().take_while(|frame| !frame.doubtful);
    let trampolines = proven.enumerate().filter(|(_, frame)| frame.signal_trampoline);
    let below = trampolines.map(|(at, _)| at + 1);
    below.filter(|at| frames.get(*at..).is_some_and(sends)).last()
}

fn sends(frames: &[FrameRecord]) -> bool {
    let places = frames.iter().map_while(|frame| frame.location.known());
    let runtime = places
        .take_while(|place| is_runtime(&place.module) && !is_interpreter(&place.module))
        .take(SENDING_FRAMES_MAX);
    runtime
        .into_iter()
        .any(|place| name(place).is_some_and(|name| SENDERS.contains(&name.as_str())))
}
