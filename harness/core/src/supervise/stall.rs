//! Runs that do not go on: limits, and waits that nobody outside can end.
//!
//! A hang is declared early when, in three samples in a row, every thread of every process of the
//! run sits in the same untimed wait on memory of the run's own (or for its own children), and no
//! process catches a signal that a timer or a device could send.

use std::collections::BTreeMap;

use hotfire_recorder::{Snapshot, Stage};
use hotfire_sys::procfs::{self, SyscallState};
use hotfire_sys::{monotonic_ns, signal};

use super::looks::{LOOKS, Looks};
use super::supervisor::Supervisor;
use super::waits::{SYS_RESTART, is_endless, is_timed, thread, wait_of};
use crate::observe::{Stall, StallReason};

/// Equal samples before a hang is declared.
const SAMPLES: u32 = 3;
/// How long all threads of a command must have waited, in every sample, before a hang is declared:
/// its author may have meant what no plan says.
const COMMAND_QUIET_NS: u64 = 1_000_000_000;
/// The first tick comes after this long.
const TICK_FIRST_NS: u64 = 20_000_000;
/// Ticks grow up to this.
const TICK_MAX_NS: u64 = 100_000_000;

/// Signals that timers and devices send: SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGURG, SIGVTALRM,
/// SIGPROF, SIGIO. Realtime signals above glibc's own count too.
const WAKING_SIGNALS: [i32; 8] = [1, 10, 12, 14, 23, 26, 27, 29];
/// The first realtime signal that glibc leaves to programs.
const REALTIME_FIRST: i32 = 34;

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
        // A command may wait for its user for ever; a time limit says that it does not.
        let may_wait = self.run.as_ref().is_some_and(|run| run.is_command() && !run.is_limited());
        let places = if may_wait { None } else { self.endless_places() };
        let Some(run) = &mut self.run else { return };
        let quiet_ns = if run.is_command() { COMMAND_QUIET_NS } else { 0 };
        let progress = run.progress();
        if progress.as_ref().is_some_and(|snapshot| snapshot.stage == Stage::Exiting) {
            run.exiting_since_ns.get_or_insert(now);
        }
        let (limits, idle_ns) = (run.job.limits, run.idle_ns());
        let over = |since: u64, limit_ms: u64| {
            now.saturating_sub(since.saturating_add(idle_ns)) > limit_ms.saturating_mul(1_000_000)
        };
        let step = progress.as_ref().and_then(|seen| oldest_step(seen, run.begun_ns, now));
        let (reason, since) = if run.sampler.take(places)
            && now.saturating_sub(run.sampler.quiet_since_ns) >= quiet_ns
        {
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
        // What makes more and more processes is not waited for.
        let looks = if reason == StallReason::ProcessLimit { 1 } else { LOOKS };
        let Looks { threads, processes } = self.look_closely(looks);
        if reason == StallReason::EndlessWait && !self.still_waits() {
            // It went on while we looked.
            return;
        }
        if let Some(run) = &mut self.run {
            run.stall = Some(Stall { reason, quiet_us, threads, processes });
        }
    }

    /// Whether every thread still waits where the samples had seen it.
    fn still_waits(&mut self) -> bool {
        let places = self.endless_places();
        let Some(run) = &mut self.run else { return false };
        let still = run.root_end.is_none() && places.as_ref() == Some(&run.sampler.last);
        if !still {
            run.sampler.take(None);
        }
        still
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
            if can_be_woken(procfs::signal_masks(pid).ok()?.caught, run.is_command()) {
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
                if idle_loop == Some(tid) && (is_timed(number, &arguments) || number == SYS_RESTART)
                {
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
    matches!(thread(process, tid, &[], None).state, 'Z' | 'X')
}

/// Whether a signal that the process catches may end its waits. A command's SIGTERM may be what it
/// waits for: its user, or a test beside it, ends it so.
fn can_be_woken(caught: u64, is_command: bool) -> bool {
    if is_command && caught & signal::mask_bit(signal::SIGTERM) != 0 {
        return true;
    }
    let named = WAKING_SIGNALS.iter().any(|number| caught & signal::mask_bit(*number) != 0);
    named || (REALTIME_FIRST..=64).any(|number| caught & signal::mask_bit(number) != 0)
}

/// The signals among these by which somebody outside may end a wait.
pub(super) fn waking(caught: u64) -> Vec<i32> {
    let wakes = |number: &i32| {
        *number >= REALTIME_FIRST || *number == signal::SIGTERM || WAKING_SIGNALS.contains(number)
    };
    (1..=64).filter(|number| caught & signal::mask_bit(*number) != 0).filter(wakes).collect()
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
    fn a_process_that_catches_a_timer_is_never_declared_early() {
        assert!(can_be_woken(signal::mask_bit(14), false));
        assert!(can_be_woken(signal::mask_bit(40), false));
        assert!(!can_be_woken(signal::mask_bit(11) | signal::mask_bit(33), true));
        assert!(can_be_woken(signal::mask_bit(15), true));
        assert!(!can_be_woken(signal::mask_bit(15), false), "nobody ends a plan's child so");
        let caught = [2, 10, 11, 15, 33, 34].map(signal::mask_bit).iter().sum();
        assert_eq!(waking(caught), [10, 15, 34]);
    }
}
