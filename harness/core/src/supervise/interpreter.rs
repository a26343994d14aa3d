//! Who holds an interpreter's lock, as far as native stacks tell.
//!
//! Deliberately absent: the interpreter's own data, which names the holder where it can be read.

use super::locks::is_interpreters_loop;
use crate::observe::{Fact, FrameRecord, Location, LockKind, Thread, Wait};

/// The C library and the loader.
const C_LIBRARY: &[&str] = &["libc.so", "libc-2", "libpthread", "ld-linux"];
/// The interpreter, and where its own extension modules lie.
const INTERPRETER: &[&str] = &["libpython", "python"];
const OWN_EXTENSIONS: &str = "/lib-dynload/";

/// The thread of a process that holds the lock of its interpreter; `None`: nobody waits for it.
///
/// It is the only one inside of the interpreter's loop that neither waits for the lock nor has
/// given it back: the interpreter itself gives it back around each system call that may wait.
pub(super) fn interpreter_lock_holder(threads: &[&Thread]) -> Fact<Option<i32>> {
    if !threads.iter().any(|thread| waits_for_it(thread)) {
        return Fact::Known(None);
    }
    let unseen = threads.iter().filter(|thread| thread.stack.known().is_none()).count();
    if unseen > 0 {
        return Fact::Unavailable(format!("{unseen} stacks of the process could not be seen"));
    }
    let mut holders = threads.iter().filter(|thread| may_hold_it(thread));
    match (holders.next(), holders.next()) {
        (Some(holder), None) => Fact::Known(Some(holder.tid)),
        (None, _) => Fact::Unavailable("no thread inside of the interpreter holds it".to_owned()),
        _ => Fact::Unavailable("more than one thread may hold it".to_owned()),
    }
}

fn waits_for_it(thread: &Thread) -> bool {
    thread.wait == Wait::InterpreterLock
}

fn kind(thread: &Thread) -> Option<LockKind> {
    match &thread.wait {
        Wait::Futex { lock: Some(lock), .. } => Some(lock.kind),
        _ => None,
    }
}

fn may_hold_it(thread: &Thread) -> bool {
    let stack = thread.stack.known();
    let frames = stack.map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let runs_programs = |frame: &FrameRecord| {
        let location = frame.location.known();
        location.and_then(|it| it.function.as_deref()).is_some_and(is_interpreters_loop)
    };
    frames.iter().any(runs_programs)
        && !waits_for_it(thread)
        && kind(thread) != Some(LockKind::LanguageLock)
        && !(thread.wait != Wait::None && is_interpreters_own_call(frames))
}

/// The system call was made by the interpreter itself.
fn is_interpreters_own_call(frames: &[FrameRecord]) -> bool {
    let mut places = frames.iter().map(|frame| frame.location.known());
    let caller = places.find(|place| !place.is_some_and(is_of_c_library)).flatten();
    caller.is_some_and(|caller| {
        begins_with(caller, INTERPRETER) || caller.module.contains(OWN_EXTENSIONS)
    })
}

fn is_of_c_library(location: &Location) -> bool {
    begins_with(location, C_LIBRARY)
}

fn begins_with(location: &Location, names: &[&str]) -> bool {
    let name = location.module.rsplit('/').next().unwrap_or_default();
    names.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const LOOP: (&str, &str) = ("/usr/lib/libpython3.11.so", "_PyEval_EvalFrameDefault");

    fn thread(tid: i32, wait: serde_json::Value, functions: &[(&str, &str)]) -> Thread {
        let frame = |(module, function): &(&str, &str)| {
            let place = json!({"pc": 1, "module": module, "offset": 1, "function": function});
            json!({"pc": 1, "found_by": "unwind-info", "location": {"known": place}})
        };
        let frames: Vec<_> = functions.iter().map(frame).collect();
        from_value(json!({
            "pid": 7, "tid": tid, "name": "", "state": "S", "wait": wait,
            "stack": {"known": {"frames": frames, "end": ""}},
        }))
        .unwrap()
    }

    fn waiter(tid: i32) -> Thread {
        thread(
            tid,
            json!("interpreter_lock"),
            &[("/lib/libc.so.6", "pthread_cond_timedwait"), LOOP],
        )
    }

    fn sleeping_in(tid: i32, module: &str) -> Thread {
        let wait = json!({"syscall": {"number": 230, "endless": false}});
        thread(tid, wait, &[("/lib/libc.so.6", "clock_nanosleep"), (module, "sleeps"), LOOP])
    }

    #[test]
    fn the_only_thread_that_did_not_give_it_back_holds_it() {
        let holder = |threads: &[Thread]| {
            let threads: Vec<&Thread> = threads.iter().collect();
            interpreter_lock_holder(&threads)
        };
        let extension = || sleeping_in(9, "/opt/engine.so");
        assert_eq!(holder(&[waiter(7), extension()]), Fact::Known(Some(9)));
        let own = sleeping_in(8, "/usr/lib/libpython3.11.so");
        assert_eq!(holder(&[waiter(7), own.clone(), extension()]), Fact::Known(Some(9)));
        assert_eq!(holder(&[own, extension()]), Fact::Known(None), "nobody waits");
        let two = [waiter(7), extension(), sleeping_in(8, "/opt/engine.so")];
        assert!(holder(&two).known().is_none());
        let outside = thread(9, json!("none"), &[("/opt/engine.so", "works")]);
        assert!(holder(&[waiter(7), outside]).known().is_none());
    }
}
