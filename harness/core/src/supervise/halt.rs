//! All threads of a process at one moment: they are stopped, looked at, and go on.
//!
//! What the kernel tells while we wait for them is kept and handled after, in its order: another
//! thread's own fault is not lost. Deliberately absent: what is looked at (`capture`).

use std::collections::{BTreeSet, VecDeque};

use hotfire_sys::procfs;
use hotfire_sys::{Stop, Tracee, WaitEvent, monotonic_ns, pause_briefly, wait_any};

use super::supervisor::Supervisor;

/// How long threads may take to stop. One in the midst of disk I/O takes longer, and is left out.
const HALT_NS: u64 = 100_000_000;
/// Between two looks: a thread on a processor stops within microseconds.
const LOOK_NS: u64 = 20_000;

/// Events that came at the wrong moment.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    events: VecDeque<WaitEvent>,
}

impl Deferred {
    /// The oldest event that has not been handled.
    pub(super) fn take(&mut self) -> Option<WaitEvent> {
        self.events.pop_front()
    }

    /// Threads that stand at a stop that has not been handled.
    fn standing(&self) -> BTreeSet<i32> {
        let stands =
            |event: &&WaitEvent| !matches!(event.stop, Stop::Exited(_) | Stop::Signaled(_));
        self.events.iter().filter(stands).map(|event| event.tid).collect()
    }

    fn has_ended(&self, tid: i32) -> bool {
        let ended = |event: &WaitEvent| matches!(event.stop, Stop::Exited(_) | Stop::Signaled(_));
        self.events.iter().any(|event| event.tid == tid && ended(event))
    }
}

impl Supervisor {
    /// Stops all threads of a process, those that others made meanwhile, too. Those that stand when
    /// this returns, and all that the kernel lists.
    pub(super) fn halt_process(
        &mut self,
        process: i32,
        standing: Option<i32>,
    ) -> (BTreeSet<i32>, Vec<i32>) {
        let known = self.tasks.threads_of(process);
        let stopped = self.halt(&known, standing);
        let now = procfs::threads(process).unwrap_or_default();
        let is_late = now.iter().any(|tid| !known.contains(tid) && !stopped.contains(tid));
        // Who stands makes no more of them.
        if !is_late {
            return (stopped, now);
        }
        let stopped = self.halt(&now, standing);
        (stopped, procfs::threads(process).unwrap_or(now))
    }

    /// Stops these threads; `standing` stands already. Those that stand when this returns, which
    /// go on when the events of their stops are handled.
    pub(super) fn halt(&mut self, tids: &[i32], standing: Option<i32>) -> BTreeSet<i32> {
        let mut stopped = self.deferred.standing();
        stopped.extend(standing);
        let mut awaited: BTreeSet<i32> =
            tids.iter().copied().filter(|tid| !stopped.contains(tid)).collect();
        // One that is gone needs no stop; its end is met below or was met before.
        awaited.retain(|tid| Tracee::new(*tid).interrupt().is_ok());
        let deadline = monotonic_ns() + HALT_NS;
        while !awaited.is_empty() && monotonic_ns() < deadline {
            match wait_any() {
                Ok(Some(event)) => {
                    awaited.remove(&event.tid);
                    self.deferred.events.push_back(event);
                    // An end may also be that of all the threads at once.
                    awaited.retain(|tid| !self.deferred.has_ended(*tid));
                }
                // There is nothing to poll for that says which thread has stopped.
                Ok(None) => pause_briefly(LOOK_NS),
                Err(_) => break,
            }
        }
        stopped.extend(self.deferred.standing());
        // They are handled as soon as this look is over.
        self.backlog = true;
        stopped.retain(|tid| !self.deferred.has_ended(*tid));
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_is_told_from_who_has_ended() {
        let mut deferred = Deferred::default();
        let event = |tid, stop| WaitEvent { tid, stop, other: None };
        deferred.events.push_back(event(7, Stop::Attached));
        deferred.events.push_back(event(8, Stop::Signal(11)));
        deferred.events.push_back(event(9, Stop::Exited(0)));
        assert_eq!(deferred.standing(), BTreeSet::from([7, 8]));
        assert!(deferred.has_ended(9) && !deferred.has_ended(8));
        assert_eq!(deferred.take(), Some(event(7, Stop::Attached)));
    }
}
