//! Who holds an interpreter's lock, and Python's recursive locks, while all threads of a process stand.
//!
//! Deliberately absent: how it is read (`python`), and any guess where it cannot be: who is in native
//! code need not be the one who has the lock.

use std::collections::BTreeMap;

use hotfire_sys::Tracee;
use hotfire_sys::procfs::MapLine;

use super::supervisor::Supervisor;
use crate::observe::{Fact, LockKind, Thread, Wait};
use crate::python::Interpreters;
use crate::unwind::{Frame, LiveMemory};

/// What a recursive lock is called by its users.
const RECURSIVE: &str = "threading.RLock";

impl Supervisor {
    /// Adds the owners of recursive locks that these threads wait for, which are all of a process,
    /// and stand. Returns the thread that holds the interpreter's lock; `None`: nobody waits for it.
    pub(super) fn add_python_locks(
        &mut self,
        threads: &mut [Thread],
        maps: &[MapLine],
        frames: &BTreeMap<i32, Vec<Frame>>,
    ) -> Fact<Option<i32>> {
        let is_waited_for = threads.iter().any(|thread| thread.wait == Wait::InterpreterLock);
        if !is_waited_for && !threads.iter().any(|thread| language_lock(thread).is_some()) {
            return Fact::Known(None);
        }
        let unavailable = |reason: &str| Fact::Unavailable(reason.to_owned());
        let Some(reader) = frames.keys().next() else {
            return unavailable("no thread of the process did stop in time");
        };
        let memory = &mut LiveMemory::new(*reader);
        let Some(mut python) = Interpreters::find(&mut self.symbolizer, maps, memory) else {
            return match is_waited_for {
                true => unavailable("the interpreter exports nothing to find its data by"),
                false => Fact::Known(None),
            };
        };
        // One that is gone holds nothing.
        let pointer = |tid: &i32| Some((Tracee::new(*tid).thread_pointer().ok()?, *tid));
        let by_pointer: BTreeMap<u64, i32> = frames.keys().filter_map(pointer).collect();
        for thread in threads.iter_mut() {
            let stack = frames.get(&thread.tid).and_then(|frames| frames.first());
            if let (Some(word), Some(frame)) = (language_lock(thread), stack)
                && let Some(found) = python.recursive_lock(frame.sp, word)
                && let Some(holder) = by_pointer.get(&found.owner)
                && let Wait::Futex { owner, lock: Some(lock), .. } = &mut thread.wait
            {
                *owner = Some(*holder);
                lock.address = found.object;
                lock.told_by = Some(RECURSIVE.to_owned());
            }
        }
        if !is_waited_for {
            return Fact::Known(None);
        }
        match python.lock_holder() {
            Ok(Some(pointer)) => match by_pointer.get(&pointer) {
                Some(tid) if !waits_for_it(threads, *tid) => Fact::Known(Some(*tid)),
                Some(_) => unavailable("it changed hands at that moment"),
                None => unavailable("a thread that did not stop in time holds it"),
            },
            Ok(None) => unavailable("nobody held it at that moment"),
            Err(reason) => Fact::Unavailable(reason),
        }
    }
}

fn waits_for_it(threads: &[Thread], tid: i32) -> bool {
    threads.iter().any(|thread| thread.tid == tid && thread.wait == Wait::InterpreterLock)
}

/// The word of the lock of a language that the thread waits for.
fn language_lock(thread: &Thread) -> Option<u64> {
    match &thread.wait {
        Wait::Futex { address, lock: Some(lock), .. } if lock.kind == LockKind::LanguageLock => {
            Some(*address)
        }
        _ => None,
    }
}
