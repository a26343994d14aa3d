//! Runs that do not go on: limits, and waits that nobody outside can end.
//!
//! A hang is declared early when, in three samples in a row, every thread of every process of the
//! run sits in the same untimed wait on memory of the run's own (or for its own children), and no
//! process catches a signal that a timer or a device could send.

use std::collections::BTreeMap;

use hotfire_recorder::{Snapshot, Stage};
use hotfire_sys::procfs::{self, SyscallState};
use hotfire_sys::{monotonic_ns, signal};

use super::capture::{thread, wait_of};
use super::run::Run;
use super::supervisor::Supervisor;
use crate::observe::{Stall, StallReason, Thread, Wait};

/// Processes whose threads are looked at.
const PROCESSES_MAX: usize = 64;
/// Equal samples before a hang is declared.
const SAMPLES: u32 = 3;
/// The first tick comes after this long.
const TICK_FIRST_NS: u64 = 20_000_000;
/// Ticks grow up to this.
const TICK_MAX_NS: u64 = 100_000_000;

/// Signals that timers and devices send: SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGURG, SIGVTALRM,
/// SIGPROF, SIGIO. Realtime signals above glibc's own count too.
const WAKING_SIGNALS: [i32; 8] = [1, 10, 12, 14, 23, 26, 27, 29];
/// The first realtime signal that glibc leaves to programs.
const REALTIME_FIRST: i32 = 34;

/// x86-64 system calls that wait up to a time (man syscalls): which argument is that time, and
/// what it is when there is none.
const TIMED_WAITS: [(i64, usize, u64); 10] = [
    (7, 2, MINUS_ONE),
    (23, 4, 0),
    (35, 0, 0),
    (202, 3, 0),
    (230, 2, 0),
    (232, 3, MINUS_ONE),
    (270, 4, 0),
    (271, 2, 0),
    (281, 3, MINUS_ONE),
    (441, 3, 0),
];
/// poll, epoll_wait and epoll_pwait take milliseconds as an int; negative: no time.
const MINUS_ONE: u64 = u32::MAX as u64;

/// A thread's wait: system call, arguments, place.
type Place = (i64, [u64; 6], [u64; 2]);

/// Compares one look at all threads with the next.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    last: BTreeMap<i32, Place>,
    equal: u32,
    ticks: u32,
    quiet_since_ns: u64,
}

impl Sampler {
    /// How long until the next look.
    pub(super) fn tick_ns(&self) -> u64 {
        TICK_FIRST_NS.saturating_mul(1 + u64::from(self.ticks / 8)).min(TICK_MAX_NS)
    }

    fn take(&mut self, places: Option<BTreeMap<i32, Place>>) -> bool {
        self.ticks = self.ticks.saturating_add(1);
        match places {
            Some(places) if !places.is_empty() && places == self.last => self.equal += 1,
            Some(places) => {
                self.quiet_since_ns = monotonic_ns();
                self.equal = 1;
                self.last = places;
            }
            None => {
                self.equal = 0;
                self.last.clear();
            }
        }
        self.equal >= SAMPLES
    }
}

impl Supervisor {
    /// Looks at the run; sets its stall when it will not go on by itself.
    pub(super) fn check_progress(&mut self) {
        if self.run.as_ref().is_some_and(|run| run.counts.is_holding()) {
            // It is we who keep it from going on.
            return;
        }
        let now = monotonic_ns();
        // A command may wait for its user for ever.
        let is_command = self.run.as_ref().is_some_and(Run::is_command);
        let places = if is_command { None } else { self.endless_places() };
        let Some(run) = &mut self.run else { return };
        let progress = run.progress();
        if progress.as_ref().is_some_and(|snapshot| snapshot.stage == Stage::Exiting) {
            run.exiting_since_ns.get_or_insert(now);
        }
        let (limits, idle_ns) = (run.job.limits, run.idle_ns());
        let over = |since: u64, limit_ms: u64| {
            now.saturating_sub(since.saturating_add(idle_ns)) > limit_ms.saturating_mul(1_000_000)
        };
        let step = progress.as_ref().and_then(|seen| oldest_step(seen, run.begun_ns, now));
        let (reason, since) = if run.sampler.take(places) {
            (StallReason::EndlessWait, run.sampler.quiet_since_ns)
        } else if self.tasks.of_run().len() > limits.processes as usize {
            (StallReason::ProcessLimit, now)
        } else if let Some(since) = run.exiting_since_ns
            && over(since, limits.exit_ms)
        {
            (StallReason::ExitLimit, since)
        } else if let Some(since) = step
            && run.exiting_since_ns.is_none()
            && over(since, limits.step_ms)
        {
            (StallReason::StepLimit, since)
        } else if over(run.begun_ns, limits.run_ms) {
            (StallReason::RunLimit, run.begun_ns)
        } else {
            return;
        };
        let quiet_us = now.saturating_sub(since) / 1000;
        let threads = self.all_threads();
        if let Some(run) = &mut self.run {
            run.stall = Some(Stall { reason, quiet_us, threads });
        }
    }

    /// All threads of all processes of the run.
    fn all_threads(&mut self) -> Vec<Thread> {
        let processes = self.tasks.of_run();
        processes
            .iter()
            .take(PROCESSES_MAX)
            .flat_map(|(pid, _)| self.threads_and_stacks(*pid))
            .collect()
    }

    /// Where every thread waits, when all wait without end; `None` as soon as one does not.
    fn endless_places(&self) -> Option<BTreeMap<i32, Place>> {
        let run = self.run.as_ref()?;
        if !run.job.traced {
            // Not all processes of the run are known: one of them may end the wait.
            return None;
        }
        let idle_loop = idle_loop(run.progress());
        let mut places = BTreeMap::new();
        for (pid, _) in self.tasks.of_run() {
            if can_be_woken(procfs::signal_masks(pid).ok()?.caught) {
                return None;
            }
            let maps = procfs::maps(pid).ok()?;
            for tid in self.tasks.threads_of(pid) {
                if thread_is_gone(pid, tid) {
                    continue;
                }
                let SyscallState::In { number, arguments, place } =
                    procfs::syscall(pid, tid).ok()?
                else {
                    return None;
                };
                if idle_loop == Some(tid) && is_timed(number, &arguments) {
                    continue;
                }
                if !is_endless(&wait_of(number, &arguments, &maps)) {
                    return None;
                }
                places.insert(tid, (number, arguments, place));
            }
        }
        Some(places)
    }
}

/// The loop thread when it only beats: it is ours, and wakes nobody while it waits for the next
/// beat.
fn idle_loop(progress: Option<Snapshot>) -> Option<i32> {
    let beat = progress?.event_loop?;
    (beat.busy_step == 0 && beat.tid != 0).then(|| i32::try_from(beat.tid).ok()).flatten()
}

/// A leader that has ended while its threads go on waits for nothing.
fn thread_is_gone(process: i32, tid: i32) -> bool {
    matches!(thread(process, tid, &[]).state, 'Z' | 'X')
}

fn is_endless(wait: &Wait) -> bool {
    match wait {
        Wait::Futex { untimed, private, .. } => *untimed && *private,
        Wait::Syscall { endless, .. } => *endless,
        Wait::None | Wait::Unavailable(_) => false,
    }
}

/// Whether a system call ends by itself, after a time.
fn is_timed(number: i64, arguments: &[u64; 6]) -> bool {
    TIMED_WAITS.iter().any(|(timed, index, none)| {
        let time = arguments.get(*index).copied().unwrap_or(*none);
        // The upper half of an int's register is anything.
        let time = if *none == MINUS_ONE { time & MINUS_ONE } else { time };
        *timed == number && time != *none
    })
}

fn can_be_woken(caught: u64) -> bool {
    let named = WAKING_SIGNALS.iter().any(|number| caught & signal::mask_bit(*number) != 0);
    named || (REALTIME_FIRST..=64).any(|number| caught & signal::mask_bit(number) != 0)
}

/// When the oldest step in flight began. A time outside of the run was written by nobody of ours.
fn oldest_step(snapshot: &Snapshot, begun_ns: u64, now: u64) -> Option<u64> {
    let since = snapshot.lanes.iter().filter_map(|lane| Some(lane.in_flight.as_ref()?.time_ns));
    since.filter(|time| (begun_ns..=now).contains(time)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(argument: u64) -> Option<BTreeMap<i32, Place>> {
        Some(BTreeMap::from([(7, (202, [argument; 6], [1, 2]))]))
    }

    #[test]
    fn only_equal_samples_in_a_row_make_a_hang() {
        let mut sampler = Sampler::default();
        assert!(!sampler.take(places(1)));
        assert!(!sampler.take(places(1)));
        assert!(!sampler.take(places(2)), "a thread that moved starts the count anew");
        assert!(!sampler.take(places(2)));
        assert!(!sampler.take(None), "a thread that ran starts the count anew");
        assert!(!sampler.take(places(2)));
        assert!(!sampler.take(places(2)));
        assert!(sampler.take(places(2)));
    }

    #[test]
    fn only_a_wait_with_a_time_is_timed() {
        let futex = |time| is_timed(202, &[0x1000, 128, 2, time, 0, 0]);
        assert!(futex(0x7fff_0000) && !futex(0));
        let poll = |time| is_timed(7, &[0x1000, 1, time, 0, 0, 0]);
        assert!(poll(100) && !poll(u64::MAX) && !poll(0xffff_ffff));
        assert!(is_timed(230, &[1, 0, 0x7fff_0000, 0, 0, 0]));
        assert!(!is_timed(0, &[1; 6]), "read waits for the outside");
    }

    #[test]
    fn a_process_that_catches_a_timer_is_never_declared_early() {
        assert!(can_be_woken(signal::mask_bit(14)));
        assert!(can_be_woken(signal::mask_bit(40)));
        assert!(!can_be_woken(signal::mask_bit(11) | signal::mask_bit(33)));
    }
}
