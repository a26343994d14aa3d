//! A run that does not go on is looked at three times: what each thread waits for, its stack, and
//! whether it came any further in between.
//!
//! Only the first look is kept whole. A thread that still sits in the same system call has the same
//! stack and is left alone: a stop would wake it. Deliberately absent: when to look (`stall`), what
//! it means (`diagnose`).

use std::collections::BTreeMap;

use hotfire_sys::procfs::{self, SyscallState};
use hotfire_sys::{TaskCounts, monotonic_ns, task_counts};

use super::capture::Standing;
use super::peers::Holders;
use super::stall::waking;
use super::supervisor::Supervisor;
use super::waits::SYS_RESTART;
use crate::observe::{Fact, ProcessRecord, Progress, Thread};
use crate::unwind::Frame;

/// Processes whose threads are looked at.
const PROCESSES_MAX: usize = 64;
/// Looks of a run that does not go on.
pub(super) const LOOKS: u32 = 3;
/// Calls that a stop ends with a part of their work done, descriptor first: write, writev, sendfile,
/// sendto, sendmsg, sendmmsg, pwritev2.
const WRITES: [i64; 7] = [1, 20, 40, 44, 46, 307, 328];
/// How long stopped threads may take to get back to where they were, before counts begin.
const SETTLE_NS: u64 = 30_000_000;
/// Between two looks.
const BETWEEN_NS: u64 = 100_000_000;
/// No look begins later than this after the end of the first one.
const LOOKS_NS: u64 = 2_000_000_000;

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) threads: Vec<Thread>,
    pub(super) processes: Vec<ProcessRecord>,
}

/// What one thread was and became.
#[derive(Debug)]
struct Trace {
    call: Option<SyscallState>,
    frames: Vec<Frame>,
    progress: Progress,
    /// It could be looked at each time.
    is_whole: bool,
    /// What the kernel had counted when the interval in hand began.
    begun: Option<(u64, TaskCounts)>,
}

impl Supervisor {
    /// Looks so many times at all threads of all processes of the run; takes about 100 ms for each
    /// look after the first.
    pub(super) fn look_closely(&mut self, looks_wanted: u32) -> Looks {
        let pids: Vec<i32> = self.tasks.of_run().iter().map(|(pid, _)| *pid).collect();
        let pids: Vec<i32> = pids.into_iter().take(PROCESSES_MAX).collect();
        self.begin_look();
        let holders = Holders::of(&pids);
        let mut looks = Looks::default();
        let mut traces: BTreeMap<i32, Trace> = BTreeMap::new();
        for pid in &pids {
            if self.goes_on_between(*pid) {
                continue;
            }
            let calls = self.calls_of(*pid);
            let Standing { threads, mut frames, interpreter_lock } =
                self.threads_and_stacks(*pid, Some(&holders));
            looks.processes.push(self.process(*pid, &threads, interpreter_lock));
            for thread in &threads {
                let frames = frames.remove(&thread.tid).unwrap_or_default();
                let call = calls.get(&thread.tid).cloned();
                traces.insert(thread.tid, Trace::begin(call, frames));
            }
            looks.threads.extend(threads);
        }
        // The first one may have to read large symbol tables.
        let deadline = monotonic_ns().saturating_add(LOOKS_NS);
        for _ in 1..looks_wanted {
            if monotonic_ns() > deadline || !self.look_again(&pids, &mut traces) {
                break;
            }
        }
        for thread in &mut looks.threads {
            let trace = traces.remove(&thread.tid);
            thread.progress = match trace {
                Some(trace) if trace.is_whole && trace.progress.looks > 1 => {
                    Fact::Known(trace.progress)
                }
                _ => Fact::Unavailable("the thread could not be looked at again".to_owned()),
            };
        }
        looks
    }

    /// One more look; false when the run has ended meanwhile, or is to end.
    fn look_again(&mut self, pids: &[i32], traces: &mut BTreeMap<i32, Trace>) -> bool {
        let is_over = |supervisor: &Self| {
            supervisor.terminating
                || supervisor.run.as_ref().is_none_or(|run| run.root_end.is_some())
        };
        self.pump_until(SETTLE_NS, is_over);
        for pid in pids {
            for (tid, call) in self.calls_of(*pid) {
                if let Some(trace) = traces.get_mut(&tid) {
                    trace.settle(call);
                }
            }
        }
        self.each_thread(pids, traces, |pid, tid, trace| {
            trace.begun = Some(monotonic_ns()).zip(task_counts(pid, tid).ok());
        });
        self.pump_until(BETWEEN_NS, is_over);
        if is_over(self) {
            return false;
        }
        self.each_thread(pids, traces, |pid, tid, trace| trace.end(pid, tid));
        for pid in pids {
            let calls = self.calls_of(*pid);
            let moved: Vec<i32> = self
                .tasks
                .threads_of(*pid)
                .into_iter()
                .filter(|tid| traces.get_mut(tid).is_some_and(|it| it.moved(calls.get(tid))))
                .collect();
            if moved.is_empty() {
                continue;
            }
            self.begin_look();
            let mut frames = self.frames_of(*pid, &moved);
            for tid in moved {
                let frames = frames.remove(&tid).unwrap_or_default();
                if let Some(trace) = traces.get_mut(&tid) {
                    trace.compare(&frames);
                }
            }
        }
        true
    }

    fn each_thread(
        &self,
        pids: &[i32],
        traces: &mut BTreeMap<i32, Trace>,
        mut look: impl FnMut(i32, i32, &mut Trace),
    ) {
        for pid in pids {
            for tid in self.tasks.threads_of(*pid) {
                if let Some(trace) = traces.get_mut(&tid) {
                    look(*pid, tid, trace);
                }
            }
        }
    }

    fn calls_of(&self, pid: i32) -> BTreeMap<i32, SyscallState> {
        let tids = self.tasks.threads_of(pid).into_iter();
        tids.filter_map(|tid| Some((tid, procfs::syscall(pid, tid).ok()?))).collect()
    }

    fn process(
        &self,
        pid: i32,
        threads: &[Thread],
        interpreter_lock: Fact<Option<i32>>,
    ) -> ProcessRecord {
        let fork = self.run.as_ref().and_then(|run| run.forks.get(&pid));
        let living = threads.iter().filter(|thread| !matches!(thread.state, 'Z' | 'X')).count();
        ProcessRecord {
            pid,
            parent: procfs::stat(pid).map_or(0, |stat| stat.parent),
            command: procfs::command_line(pid),
            threads: u32::try_from(living).unwrap_or(u32::MAX),
            fork: fork.cloned(),
            interpreter_lock,
            caught: procfs::signal_masks(pid).map_or(Vec::new(), |masks| waking(masks.caught)),
            stopped: false,
        }
    }
}

impl Trace {
    fn begin(call: Option<SyscallState>, frames: Vec<Frame>) -> Self {
        let in_call = matches!(call, Some(SyscallState::In { .. }));
        let progress = Progress {
            looks: 1,
            over_us: 0,
            cpu_us: 0,
            queued_us: 0,
            switches: 0,
            transfers: Some(0),
            looks_in_call: u32::from(in_call),
            same_call: in_call,
            frames_common: frames.len(),
            same_function: true,
        };
        Self { call, frames, progress, is_whole: true, begun: None }
    }

    /// Adds what was counted since the interval began.
    fn end(&mut self, pid: i32, tid: i32) {
        let (Some((begun_ns, before)), Ok(now)) = (self.begun.take(), task_counts(pid, tid)) else {
            self.is_whole = false;
            return;
        };
        let us = |before: u64, now: u64| now.saturating_sub(before) / 1000;
        let progress = &mut self.progress;
        progress.over_us += us(begun_ns, monotonic_ns());
        progress.cpu_us += us(before.cpu_ns, now.cpu_ns);
        progress.queued_us +=
            us(before.queued_ns.unwrap_or_default(), now.queued_ns.unwrap_or_default());
        progress.switches += now.voluntary_switches.saturating_sub(before.voluntary_switches);
        let transfers = before.transfers.zip(now.transfers);
        let transfers = transfers.map(|(before, now)| now.saturating_sub(before));
        progress.transfers = progress.transfers.zip(transfers).map(|(sum, more)| sum + more);
    }

    /// A stop ends a write where it is, and the program goes on with the rest, from where it handles
    /// that: that is no progress of its own.
    fn settle(&mut self, call: SyscallState) {
        if self.progress.looks == 1
            && self.call.as_ref().is_some_and(|first| is_resumed(first, &call))
        {
            self.call = Some(call);
        }
    }

    /// Takes note of the call that it is in now; whether its stack may be another one.
    fn moved(&mut self, call: Option<&SyscallState>) -> bool {
        self.progress.looks += 1;
        let in_call = matches!(call, Some(SyscallState::In { .. }));
        self.progress.looks_in_call += u32::from(in_call);
        self.progress.same_call &= self.call.as_ref().zip(call).is_some_and(|(a, b)| is_same(a, b));
        !self.progress.same_call
    }

    fn compare(&mut self, frames: &[Frame]) {
        let (common, same_function) = compare(&self.frames, frames);
        self.progress.frames_common = self.progress.frames_common.min(common);
        self.progress.same_function &= same_function;
    }
}

/// Whether the second call may be the first one gone on with: from the same place, or a write to the
/// same descriptor.
fn is_resumed(first: &SyscallState, call: &SyscallState) -> bool {
    use SyscallState::In;
    match (first, call) {
        (In { number, arguments, place }, In { number: now, arguments: given, place: at }) => {
            let same_descriptor = WRITES.contains(number) && arguments.first() == given.first();
            number == now && (place == at || same_descriptor)
        }
        _ => false,
    }
}

/// A stop lets some waits go on as `restart_syscall`, with the registers of the call.
fn is_same(first: &SyscallState, other: &SyscallState) -> bool {
    use SyscallState::In;
    match (first, other) {
        (In { number, arguments, place }, In { number: now, arguments: given, place: at }) => {
            (number == now || *now == SYS_RESTART) && arguments == given && place == at
        }
        _ => first == other,
    }
}

/// How many frames of `first`, from the outermost inwards, are still there; and whether the
/// innermost function is the same.
fn compare(first: &[Frame], other: &[Frame]) -> (usize, bool) {
    let same_function = |a: &Frame, b: &Frame| match (a.function_start, b.function_start) {
        (Some(a), Some(b)) => a == b,
        _ => a.pc == b.pc,
    };
    let mut common = 0;
    for (at, (a, b)) in first.iter().rev().zip(other.iter().rev()).enumerate() {
        let is_innermost = at + 1 == first.len() || at + 1 == other.len();
        // A function moves its stack pointer only where it begins and ends, and for a call.
        if !same_function(a, b) || (a.sp != b.sp && !is_innermost) {
            break;
        }
        common += 1;
        // It has gone on inside of this function: what it has called since is another call.
        if a.pc != b.pc {
            break;
        }
    }
    let innermost = first.first().zip(other.first());
    (common, innermost.is_some_and(|(a, b)| same_function(a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::FoundBy;

    fn frame(pc: u64, sp: u64, function_start: u64) -> Frame {
        Frame {
            pc,
            sp,
            found_by: FoundBy::UnwindInfo,
            exact: false,
            signal_trampoline: false,
            doubtful: false,
            function_start: Some(function_start),
        }
    }

    #[test]
    fn frames_are_common_up_to_the_one_that_went_on() {
        let main = frame(0x10, 0x900, 0x8);
        let work = frame(0x110, 0x800, 0x100);
        let first = [frame(0x210, 0x700, 0x200), work, main];
        assert_eq!(compare(&first, &first), (3, true));
        // A loop in the innermost function.
        let later = [frame(0x218, 0x6f8, 0x200), work, main];
        assert_eq!(compare(&first, &later), (3, true));
        // It has returned to `work`, which called another one.
        let other = [frame(0x310, 0x700, 0x300), frame(0x118, 0x800, 0x100), main];
        assert_eq!(compare(&first, &other), (2, false));
        // The same functions, called anew from a place that is deeper.
        let anew = [frame(0x210, 0x500, 0x200), frame(0x110, 0x600, 0x100), main];
        assert_eq!(compare(&first, &anew), (1, true));
        assert_eq!(compare(&first, &[]), (0, false));
    }

    #[test]
    fn a_write_that_a_stop_cut_short_is_gone_on_with_from_anywhere() {
        let call = |number, descriptor, place| SyscallState::In {
            number,
            arguments: [descriptor, place, 0, 0, 0, 0],
            place: [place, 2],
        };
        let settled = |number, then: SyscallState| {
            let mut trace = Trace::begin(Some(call(number, 1, 1)), vec![frame(1, 1, 1)]);
            trace.settle(then.clone());
            trace.call == Some(then)
        };
        assert!(settled(1, call(1, 1, 7)));
        assert!(!settled(1, call(1, 2, 7)), "another descriptor");
        assert!(!settled(0, call(0, 1, 7)), "a read, which was not cut");
        assert!(settled(0, call(0, 1, 1)));
    }

    #[test]
    fn the_same_call_from_the_same_place_is_no_progress() {
        let call =
            |argument| SyscallState::In { number: 202, arguments: [argument; 6], place: [1, 2] };
        let mut trace = Trace::begin(Some(call(1)), vec![frame(1, 1, 1)]);
        assert!(!trace.moved(Some(&call(1))));
        assert!(trace.progress.same_call && trace.progress.frames_common == 1);
        assert!(trace.moved(Some(&call(2))), "another word");
        assert!(trace.moved(Some(&call(1))), "it has moved, though it is back");
        assert_eq!((trace.progress.looks_in_call, trace.progress.same_call), (4, false));
        let mut runs = Trace::begin(Some(SyscallState::Running), Vec::new());
        assert!(runs.moved(Some(&SyscallState::Running)), "its stack must be compared");
        assert_eq!(runs.progress.looks_in_call, 0);
    }
}
