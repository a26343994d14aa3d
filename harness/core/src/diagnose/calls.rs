//! Signs on the stack of the crashing thread: which functions of a runtime led to its death.
//!
//! Deliberately absent: frames that a search found, and those below a signal handler: they prove
//! nothing about this death.

use super::culprit::{is_interpreter, is_of_cpp_runtime, is_runtime};
use super::facts::Facts;
use super::function_name::bare;
use super::rule::Seen;
use super::signals;
use super::signs::line;
use crate::observe::{FrameRecord, Location};

/// Frames of the runtime between `std::terminate` and the throw.
const RUNTIME_FRAMES_MAX: usize = 8;
/// The C++ ABI, 2.4 and 2.5; libgcc's unwinder.
const THROWS: [&str; 5] = [
    "__cxa_throw",
    "std::rethrow_exception",
    "_Unwind_RaiseException",
    "_Unwind_Resume_or_Rethrow",
    "_Unwind_Resume",
];
const TERMINATE: &str = "std::terminate";
/// Without an exception to be thrown again, it ends the process as well.
const THROWS_AGAIN: &str = "__cxa_rethrow";
const FORCED_UNWIND: &str = "_Unwind_ForcedUnwind";
const ASSERTS: [&str; 5] = [
    "__assert_fail",
    "__assert_perror_fail",
    "__assert",
    "__assert_rtn",
    "std::__glibcxx_assert_fail",
];
const PURE: [&str; 2] = ["__cxa_pure_virtual", "__cxa_deleted_virtual"];

/// The frames that led to the death, innermost first.
fn proven<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a FrameRecord> {
    let frames = own_frames(facts).iter();
    frames.take_while(|frame| !frame.doubtful && !frame.signal_trampoline)
}

/// The same as places; `None` where no module holds the place.
fn frames<'a>(facts: &Facts<'a>) -> Vec<Option<&'a Location>> {
    proven(facts).map(|frame| frame.location.known()).collect()
}

/// All frames of the thread that died; none where its stack could not be walked.
pub(crate) fn own_frames<'a>(facts: &Facts<'a>) -> &'a [FrameRecord] {
    let own = facts.crash.and_then(|crash| {
        let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid)?;
        own.stack.known()
    });
    own.map(|stack| stack.frames.as_slice()).unwrap_or_default()
}

/// A function's name without its parameters.
pub(crate) fn name(location: &Location) -> Option<String> {
    location.function.as_deref().map(bare)
}

/// The first frame, from the innermost on, in one of these functions.
fn find(frames: &[Option<&Location>], wanted: &[&str]) -> Option<usize> {
    let is_one =
        |location: &Location| name(location).is_some_and(|name| wanted.contains(&name.as_str()));
    frames.iter().position(|frame| frame.is_some_and(is_one))
}

fn called(function: &str) -> Seen {
    line("stack", format!("the thread died in {function}"))
}

fn dies_in(facts: &Facts<'_>, wanted: &[&str]) -> Option<Seen> {
    let frames = frames(facts);
    let location = (*frames.get(find(&frames, wanted)?)?)?;
    Some(called(&name(location)?))
}

pub(crate) fn asserts(facts: &Facts<'_>) -> Option<Seen> {
    dies_in(facts, &ASSERTS)
}

pub(crate) fn smashes(facts: &Facts<'_>) -> Option<Seen> {
    dies_in(facts, &["__stack_chk_fail"])
}

pub(crate) fn overflows_a_buffer(facts: &Facts<'_>) -> Option<Seen> {
    dies_in(facts, &["__chk_fail"])
}

pub(crate) fn calls_pure_virtual(facts: &Facts<'_>) -> Option<Seen> {
    dies_in(facts, &PURE)
}

/// Rust's runtime while it panics; `std::panicking::try` is below every Rust program's main.
pub(crate) fn panics(facts: &Facts<'_>) -> Option<Seen> {
    const LAST: [&str; 4] =
        ["rust_panic", "rust_begin_unwind", "rust_panic_with_hook", "__rust_start_panic"];
    let frames = frames(facts);
    frames.iter().flatten().find_map(|location| {
        let function = location.function.as_deref()?;
        let last = function.rsplit("::").next().unwrap_or(function);
        (LAST.contains(&last) || function.starts_with("core::panicking::"))
            .then(|| called(function))
    })
}

/// `std::terminate` and what the runtime did before, outwards. Where a function lets no exception
/// out, the search for a handler ends the process by itself (libsupc++/eh_personality.cc).
fn terminate<'a>(facts: &Facts<'a>) -> Option<Vec<&'a Location>> {
    let frames = frames(facts);
    let called = find(&frames, &[TERMINATE]).map(|at| at + 1);
    let at = called.or_else(|| find(&frames, &["__gxx_personality_v0"]))?;
    Some(frames.into_iter().skip(at).map_while(|frame| frame).collect())
}

/// The function that called `std::terminate`: one that is inlined there, or the frame's own.
fn caller_of_terminate<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    // libstdc++ puts a function of its own around the call (bits/c++config.h).
    const AROUND: &str = "std::__terminate()";
    let at = find(&frames(facts), &[TERMINATE])?;
    let frame = proven(facts).nth(at + 1)?;
    let inlined = frame.source.iter().filter(|source| source.inlined);
    let mut inlined = inlined.filter_map(|source| source.function.as_deref());
    let own = || frame.location.known().and_then(|location| location.function.as_deref());
    inlined.find(|function| *function != AROUND).or_else(own)
}

fn throws_by(outwards: &[&Location], wanted: &[&str]) -> Option<String> {
    let near = outwards.iter().take(RUNTIME_FRAMES_MAX);
    let mut runtime = near.take_while(|location| is_of_runtime(location));
    runtime.find_map(|location| name(location).filter(|name| wanted.contains(&name.as_str())))
}

/// The frame is the runtime's: a library of its own, or linked into the program.
fn is_of_runtime(location: &Location) -> bool {
    let is_linked_in = || location.function.as_deref().is_some_and(is_of_cpp_runtime);
    is_language_runtime(location) || is_linked_in()
}

/// `std::terminate` because of an exception: it is thrown just now, or is being handled.
pub(crate) fn throws(facts: &Facts<'_>) -> Option<Seen> {
    let outwards = terminate(facts)?;
    if let Some(function) = throws_by(&outwards, &THROWS) {
        return Some(line("stack", format!("{function} ended in std::terminate")));
    }
    let exception = facts.crash?.last_words.exception.known()?;
    let throws_again = throws_by(&outwards, &[THROWS_AGAIN]).is_some();
    (throws_again || is_called_by_program(&outwards)).then(|| {
        let text = format!("std::terminate was called while a {} was in flight", exception.kind);
        line("process memory", text)
    })
}

fn is_called_by_program(outwards: &[&Location]) -> bool {
    outwards.first().is_some_and(|caller| !is_of_runtime(caller))
}

/// A thread that is ended unwinds its stack, and something on it forbids that.
pub(crate) fn is_unwound_by_force(facts: &Facts<'_>) -> Option<Seen> {
    throws_by(&terminate(facts)?, &[FORCED_UNWIND])
        .map(|function| line("stack", format!("{function} ended in std::terminate")))
}

/// `std::terminate` called by the destructor of a thread object, or by an assignment to it.
pub(crate) fn drops_a_thread(facts: &Facts<'_>) -> Option<Seen> {
    let function = caller_of_terminate(facts)?;
    let of_thread = function.strip_prefix("std::").map(|rest| {
        let rest = rest.strip_prefix("__1::").unwrap_or(rest);
        rest.starts_with("thread::~thread") || rest.starts_with("thread::operator=")
    });
    of_thread?.then(|| line("stack", format!("std::terminate was called by {function}")))
}

fn is_language_runtime(location: &Location) -> bool {
    is_runtime(&location.module) && !is_interpreter(&location.module)
}

/// Who called `abort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aborter {
    /// The program.
    Program,
    /// A runtime.
    Runtime,
    /// One or the other: the runtime is linked into the program, or the caller has no name.
    Unclear,
    /// The stack shows no `abort`: the signal was sent otherwise.
    Nobody,
    /// The stack could not be walked.
    Unseen,
}

/// Who called `abort`, by the stack.
pub(crate) fn aborter(facts: &Facts<'_>) -> Aborter {
    let frames = frames(facts);
    let Some(first) = frames.first() else { return Aborter::Unseen };
    // Where the C library is a module of its own, its functions have names.
    let is_named = first.is_some_and(is_language_runtime);
    let Some(at) = find(&frames, &["abort"]) else {
        return if is_named { Aborter::Nobody } else { Aborter::Unclear };
    };
    match frames.get(at + 1) {
        Some(Some(caller)) if is_of_runtime(caller) => Aborter::Runtime,
        Some(Some(caller)) if caller.function.is_none() => Aborter::Unclear,
        Some(_) if is_named => Aborter::Program,
        _ => Aborter::Unclear,
    }
}

/// The program called `abort`, as far as its stack could be walked.
pub(crate) fn calls_abort(facts: &Facts<'_>) -> Option<Seen> {
    let called = match aborter(facts) {
        // abort() sends the signal to its own thread.
        Aborter::Unseen => return (facts.code()? == signals::SI_TKILL).then_some(Seen::Told),
        Aborter::Program => true,
        // A runtime would have said why; where nobody can read what was said, it may be one.
        Aborter::Unclear => facts.was_output_read() && find(&frames(facts), &["abort"]).is_some(),
        Aborter::Runtime | Aborter::Nobody => false,
    };
    called.then(|| line("stack", "the program called abort() itself".to_owned()))
}

/// Sent by `raise`, `pthread_kill` or `kill`: nothing on the stack is called `abort`, and no handler
/// speaks for another signal.
pub(crate) fn raises(facts: &Facts<'_>) -> Option<Seen> {
    let is_handlers = own_frames(facts).iter().any(|frame| frame.signal_trampoline);
    let is_raised = aborter(facts) == Aborter::Nobody && !is_handlers;
    (is_raised || (facts.code()? == signals::SI_USER && aborter(facts) == Aborter::Unseen))
        .then(|| line("stack", "it was not abort() that sent it".to_owned()))
}
