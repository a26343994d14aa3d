//! A process on its way out: the thread that runs its last code, and whether anything of it is gone.
//!
//! Deliberately absent: plans, whose host says by itself that it leaves.

use super::calls::name;
use super::culprit::is_runtime;
use super::facts::Facts;
use super::rule::Seen;
use super::signs::{is_in_live_range, is_unmapped, line};
use crate::observe::{Crash, FrameRecord, Location, Thread, Wait};

/// Functions of the C library, the loader and interpreters that run a program's last code. (POSIX
/// exit; the C++ ABI, 3.3.5; glibc elf/dl-fini.c; CPython, Py_FinalizeEx.)
const LAST_FUNCTIONS: [&str; 7] = [
    "exit",
    "quick_exit",
    "__run_exit_handlers",
    "__cxa_finalize",
    "_dl_fini",
    "Py_FinalizeEx",
    "Py_Finalize",
];
/// Of these, the ones that call nothing but destructors: of libraries, one after the other.
const DESTROYING: [&str; 2] = ["__cxa_finalize", "_dl_fini"];
/// Functions that wait for other threads to end (POSIX, C11, glibc's own names).
const JOINS: [&str; 6] = [
    "pthread_join",
    "__pthread_clockjoin_ex",
    "__pthread_timedjoin_ex",
    "pthread_timedjoin_np",
    "pthread_clockjoin_np",
    "thrd_join",
];

/// A thread of the victim that runs the process's last code.
pub(crate) struct Leaving<'a> {
    thread: &'a Thread,
    /// The function that says so.
    function: &'static str,
    /// It waits for other threads, without a limit.
    waits: bool,
}

/// The thread of the victim that leaves.
fn leaving(crash: &Crash) -> Option<Leaving<'_>> {
    crash.threads.iter().find_map(|thread| {
        let frames = &thread.stack.known()?.frames;
        let places = || proven(frames).filter(|place| is_runtime(&place.module));
        let function = places().find_map(|place| is_one(place, &LAST_FUNCTIONS))?;
        let is_idle = matches!(thread.wait, Wait::Futex { untimed: true, .. });
        let joins = proven(frames).any(|place| is_one(place, &JOINS).is_some());
        // One that died there waited for nobody any more.
        let waits = (is_idle || joins) && thread.tid != crash.victim.tid;
        Some(Leaving { thread, function, waits })
    })
}

fn proven(frames: &[FrameRecord]) -> impl Iterator<Item = &Location> {
    frames.iter().filter(|frame| !frame.doubtful).filter_map(|frame| frame.location.known())
}

fn is_one(place: &Location, functions: &[&'static str]) -> Option<&'static str> {
    let name = name(place)?;
    functions.iter().find(|function| **function == name).copied()
}

/// Whether the process was on its way out. One that still waits for its threads to end is not,
/// unless it already destroys its libraries.
pub(crate) fn is_leaving(crash: &Crash) -> bool {
    leaving(crash).is_some_and(|one| !one.waits || DESTROYING.contains(&one.function))
}

/// Which thread was on the way out while another one died.
pub(crate) fn leaving_words(crash: &Crash) -> Option<String> {
    let leaving = leaving(crash).filter(|one| !one.waits)?;
    words(&leaving, crash)
}

fn words(Leaving { thread, function, .. }: &Leaving<'_>, crash: &Crash) -> Option<String> {
    (thread.tid != crash.victim.tid).then(|| {
        let name = format!("thread {} `{}`", thread.tid, thread.name);
        format!("{name} was in {function}() while this thread still ran")
    })
}

/// A thread goes on while another one destroys what it uses: one that first waits for threads has
/// not begun with it, unless the memory of an owner who is there is already gone.
pub(crate) fn runs_on_while_leaving(facts: &Facts<'_>) -> Option<Seen> {
    let crash = facts.crash?;
    let is_gone = || is_in_live_range(facts).and_then(|_| is_unmapped(facts)).is_some();
    let leaving = leaving(crash).filter(|one| !one.waits || is_gone())?;
    Some(line("stack", words(&leaving, crash)?))
}
