//! Counts what a command's processes hold while they run, at a pace that slows down with the run:
//! descriptors, threads, and the living processes themselves.
//!
//! Nobody is stopped for it. A count of descriptors is one system call, whatever their number.
//! Deliberately absent: untraced runs, and processes that have ended and wait to be reaped.

use std::collections::BTreeMap;

use hotfire_sys::{Tracee, census, monotonic_ns, procfs};

use super::births::{SYS_EXIT, SYS_EXIT_GROUP};
use super::census::{counted, kinds};
use super::supervisor::Supervisor;
use super::tasks::Role;
use crate::observe::{HeldPoint, LivingPoint, SampledProcess, Samples, without_numbers};

/// Between two samples of a process that is new.
const PACE_NS: u64 = 200_000_000;
/// Samples that are kept of one process. With more, each second one is dropped, and the next ones
/// come at half the pace.
const POINTS_MAX: usize = 256;
/// Processes that are followed at a time, and those that are told of.
const PROCESSES_MAX: usize = 64;
const TOLD_MAX: usize = 8;
/// What did not become so many more is not told of.
const HELD_MORE_MIN: u32 = 16;
const LIVING_MORE_MIN: u32 = 8;

/// What a run's processes held.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    processes: BTreeMap<i32, Followed>,
    ended: Vec<SampledProcess>,
    left_out: u32,
    living: Series<LivingPoint>,
    due_ns: u64,
}

/// One process that lives.
#[derive(Debug)]
struct Followed {
    is_child: bool,
    series: Series<HeldPoint>,
}

/// Points at an even pace, however long they go on.
#[derive(Debug)]
struct Series<T> {
    points: Vec<T>,
    pace_ns: u64,
    due_ns: u64,
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self { points: Vec::new(), pace_ns: PACE_NS, due_ns: 0 }
    }
}

impl<T> Series<T> {
    fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns
    }

    fn push(&mut self, now_ns: u64, point: T) {
        if self.points.len() >= POINTS_MAX {
            let mut keeps = false;
            self.points.retain(|_| {
                keeps = !keeps;
                keeps
            });
            self.pace_ns = self.pace_ns.saturating_mul(2);
        }
        self.points.push(point);
        self.due_ns = now_ns.saturating_add(self.pace_ns);
    }

    /// Whether there is at least so much more at the end than at the begin.
    fn has_grown(&self, by: u32, count: impl Fn(&T) -> u32) -> bool {
        let counts = self.points.first().map(&count).zip(self.points.last().map(&count));
        counts.is_some_and(|(first, last)| last >= first.saturating_add(by))
    }
}

impl Followed {
    /// What is told of it, where it held more and more.
    fn finish(self, pid: i32, command: String) -> Option<SampledProcess> {
        let (is_child, series) = (self.is_child, self.series);
        let more = series.has_grown(HELD_MORE_MIN, |point| point.descriptors)
            || series.has_grown(HELD_MORE_MIN, |point| point.threads);
        let (points, at_exit) = (series.points, BTreeMap::new());
        more.then_some(SampledProcess { pid, command, is_child, exited: false, points, at_exit })
    }
}

impl Sampling {
    /// The process has ended, or has another program now.
    pub(super) fn forget(&mut self, process: i32) {
        self.processes.remove(&process);
    }

    /// Of more than are told, the one that grew least is left out; never the child itself.
    fn keep(&mut self, process: SampledProcess) {
        self.ended.push(process);
        if self.ended.len() > TOLD_MAX {
            let order = |one: &SampledProcess| (one.is_child, growth(one));
            let least = (0..self.ended.len()).min_by_key(|at| self.ended.get(*at).map(order));
            least.map(|at| self.ended.remove(at));
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// What is told of the run. Processes that still live were not seen to end.
    pub(super) fn finish(mut self) -> Samples {
        for (pid, followed) in std::mem::take(&mut self.processes) {
            if let Some(process) = followed.finish(pid, procfs::command_line(pid)) {
                self.keep(process);
            }
        }
        let has_grown = self.living.has_grown(LIVING_MORE_MIN, |point| point.processes);
        let living = if has_grown { self.living.points } else { Vec::new() };
        Samples { processes: self.ended, living, left_out: self.left_out }
    }
}

/// How much more it held at its end, of what there was most more of.
fn growth(process: &SampledProcess) -> u32 {
    let ends = process.points.first().zip(process.points.last());
    ends.map_or(0, |(first, last)| {
        let descriptors = last.descriptors.saturating_sub(first.descriptors);
        descriptors.max(last.threads.saturating_sub(first.threads))
    })
}

impl Supervisor {
    /// Counts what the processes of a command hold, where a count is due.
    pub(super) fn sample_holdings(&mut self) {
        let now = monotonic_ns();
        let Some(run) = &mut self.run else { return };
        let is_wanted = run.is_command() && run.job.traced && !run.ending;
        if !is_wanted || now < run.sampling.due_ns {
            return;
        }
        let sampling = &mut run.sampling;
        sampling.due_ns = now.saturating_add(PACE_NS);
        let time_us = now.saturating_sub(run.begun_ns) / 1000;
        let processes = self.tasks.of_run();
        if sampling.living.is_due(now) {
            let living = u32::try_from(processes.len()).unwrap_or(u32::MAX);
            sampling.living.push(now, LivingPoint { time_us, processes: living });
        }
        let threads = self.tasks.thread_counts();
        for (pid, role) in processes {
            let is_new = !sampling.processes.contains_key(&pid);
            if is_new && sampling.processes.len() >= PROCESSES_MAX {
                continue;
            }
            let is_child = role == Role::Root;
            let new = || Followed { is_child, series: Series::default() };
            let followed = sampling.processes.entry(pid).or_insert_with(new);
            if !followed.series.is_due(now) {
                continue;
            }
            // It may be gone just now; its end comes next.
            let Ok(descriptors) = census::descriptor_count(pid) else { continue };
            let threads = threads.get(&pid).copied().unwrap_or(0);
            followed.series.push(now, HeldPoint { time_us, descriptors, threads });
        }
    }

    /// A thread is about to end with this status. With its process go the descriptors, which it still
    /// holds now.
    pub(super) fn note_held(&mut self, tid: i32, status: i64) {
        let Some(process) = self.tasks.process_of(tid) else { return };
        let Some(run) = self.run.as_mut().filter(|run| !run.ending) else { return };
        if !run.sampling.processes.contains_key(&process) {
            return;
        }
        let by_signal = status & 0x7f != 0;
        let call = Tracee::new(tid).call_number().unwrap_or(u64::MAX);
        let is_last = call == SYS_EXIT && self.tasks.threads_of(process).len() == 1;
        if !(by_signal || is_last || call == SYS_EXIT_GROUP) {
            return;
        }
        let Some(followed) = run.sampling.processes.remove(&process) else { return };
        let command = procfs::command_line(tid);
        let Some(mut told) = followed.finish(process, command) else { return };
        told.exited = !by_signal;
        if told.exited {
            let open = census::descriptors(tid).unwrap_or_default();
            let targets: Vec<&str> = open.iter().map(|one| one.target.as_str()).collect();
            let kinds = kinds(tid, &targets);
            told.at_exit = counted(kinds.iter().map(|kind| without_numbers(kind)));
        }
        run.sampling.keep(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_grew_most_is_told_and_the_child_in_any_case() {
        let process = |pid, more| SampledProcess {
            pid,
            command: String::new(),
            is_child: pid == 0,
            exited: true,
            points: [0, more]
                .map(|count| HeldPoint { time_us: 0, descriptors: count, threads: 0 })
                .to_vec(),
            at_exit: BTreeMap::new(),
        };
        let mut sampling = Sampling::default();
        (1..=9).for_each(|pid| sampling.keep(process(pid, 100 - pid.unsigned_abs())));
        sampling.keep(process(0, 1));
        let told = sampling.finish();
        let pids: Vec<i32> = told.processes.iter().map(|one| one.pid).collect();
        assert_eq!((pids, told.left_out), (vec![1, 2, 3, 4, 5, 6, 7, 0], 2));
    }

    #[test]
    fn a_long_series_keeps_an_even_pace_and_few_points() {
        let mut series = Series::default();
        let mut now = 0;
        for count in 0..1000u32 {
            now = series.due_ns.max(now);
            assert!(series.is_due(now) && (count == 0 || !series.is_due(now - 1)));
            series.push(now, (now, count));
        }
        assert!(series.points.len() <= POINTS_MAX);
        let gaps: Vec<u64> = series.points.windows(2).map(|two| two[1].0 - two[0].0).collect();
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(most <= &(least * 2), "{gaps:?}");
        assert_eq!(series.points[0].1, 0, "the first one stays");
        assert_eq!(series.points.last().unwrap().1, 999);
    }

    #[test]
    fn what_does_not_become_more_is_not_told_of() {
        let held = |counts: &[(u32, u32)]| {
            let mut series = Series::default();
            for (descriptors, threads) in counts {
                let point = HeldPoint { time_us: 0, descriptors: *descriptors, threads: *threads };
                series.push(0, point);
            }
            Followed { is_child: true, series }.finish(7, String::new()).is_some()
        };
        assert!(!held(&[]));
        assert!(!held(&[(4, 1), (500, 90), (19, 16)]));
        assert!(held(&[(4, 1), (20, 1)]));
        assert!(held(&[(4, 1), (4, 17)]));
    }
}
