//! Births and ends of threads, as the kernel tells of each: no sampling, so a run of milliseconds
//! is seen as well as one of hours.
//!
//! Of some births the maker's stack is read while it stands there. Deliberately absent: threads of
//! untraced runs.

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::{Tracee, monotonic_ns, procfs};

use super::supervisor::{Manners, Supervisor};
use super::tasks::Role;
use super::waits::thread;
use crate::observe::{BirthPoint, BirthStack, ThreadBirths};

/// Processes that are followed, and births and ends of each.
const PROCESSES_MAX: usize = 256;
const EVENTS_MAX: usize = 65_536;
/// A process that made fewer threads is not told of.
const BORN_MIN: u32 = 32;
/// Points that are kept, evenly.
const POINTS_MAX: usize = 512;
/// Stacks that are read of one process.
const STACKS_MAX: usize = 20;
/// `exit` and `exit_group` (x86-64).
pub(super) const SYS_EXIT: u64 = 60;
pub(super) const SYS_EXIT_GROUP: u64 = 231;

/// The threads that the processes of a run made.
#[derive(Debug, Default)]
pub(super) struct Births {
    processes: BTreeMap<i32, Nursling>,
    /// Those that have ended and whose number another process has taken.
    ended: Vec<(i32, Nursling)>,
    /// More processes or events came than are followed.
    pub(super) is_cut: bool,
}

/// One process.
#[derive(Debug, Default)]
struct Nursling {
    is_child: bool,
    command: String,
    /// Times, nanoseconds, and whether each is an end.
    events: Vec<(u64, bool)>,
    born: u32,
    stacks: Vec<BirthStack>,
    /// When it ended, and whether by itself.
    end: Option<(u64, bool)>,
}

impl Births {
    /// A thread was born: which one of its process that is, where its maker's stack is wanted.
    fn note(&mut self, process: i32, is_child: bool) -> Option<u32> {
        if self.processes.len() >= PROCESSES_MAX && !self.processes.contains_key(&process) {
            self.is_cut = true;
            return None;
        }
        let own = self.processes.entry(process).or_default();
        if own.end.is_some() {
            self.ended.push((process, std::mem::take(own)));
        }
        own.is_child = is_child;
        own.born += 1;
        if own.events.len() >= EVENTS_MAX {
            self.is_cut = true;
            return None;
        }
        own.events.push((monotonic_ns(), false));
        (own.stacks.len() < STACKS_MAX && is_looked_at(own.born)).then_some(own.born)
    }

    fn keep(&mut self, process: i32, stack: BirthStack) {
        if let Some(own) = self.processes.get_mut(&process) {
            own.stacks.push(stack);
        }
    }

    fn thread_ended(&mut self, process: i32) {
        if let Some(own) = self.processes.get_mut(&process)
            && own.events.len() < EVENTS_MAX
        {
            own.events.push((monotonic_ns(), true));
        }
    }

    /// The process has another program now: what made them is gone, and so are they.
    pub(super) fn forget(&mut self, process: i32) {
        self.processes.remove(&process);
    }

    /// What is told of them. Only of processes that were seen to end: others may go on for ever.
    pub(super) fn finish(self) -> Vec<ThreadBirths> {
        if self.ended.is_empty() && self.processes.is_empty() {
            // The system is asked for its processors by several files.
            return Vec::new();
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = u32::try_from(processors).unwrap_or(u32::MAX);
        let told = |(pid, own): (i32, Nursling)| own.finish(pid, processors);
        self.ended.into_iter().chain(self.processes).filter_map(told).collect()
    }
}

impl Nursling {
    fn finish(self, pid: i32, processors: u32) -> Option<ThreadBirths> {
        let (end_ns, exited) = self.end?;
        let (first_ns, _) = *self.events.first()?;
        if self.born < BORN_MIN || self.events.len() >= EVENTS_MAX {
            return None;
        }
        let micros = |time_ns: u64| time_ns.saturating_sub(first_ns) / 1000;
        let mut count = BirthPoint { time_us: 0, born: 0, ended: 0 };
        let mut points = Vec::new();
        for (time_ns, is_end) in &self.events {
            count.time_us = micros(*time_ns);
            let side = if *is_end { &mut count.ended } else { &mut count.born };
            *side += 1;
            points.push(count);
        }
        Some(ThreadBirths {
            pid,
            command: self.command,
            is_child: self.is_child,
            exited,
            processors,
            life_us: micros(end_ns),
            points: thinned(&points),
            stacks: self.stacks,
        })
    }
}

/// At doubling counts and halfway between them: few looks, and one near any count.
fn is_looked_at(born: u32) -> bool {
    let is_double = |number: u32| number.is_power_of_two();
    born >= BORN_MIN && (is_double(born) || (born.is_multiple_of(3) && is_double(born / 3)))
}

/// At most so many, evenly, with the first and the last one.
fn thinned(points: &[BirthPoint]) -> Vec<BirthPoint> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let mut kept: Vec<BirthPoint> = points.iter().copied().step_by(step).collect();
    if kept.last() != points.last() {
        kept.extend(points.last());
    }
    kept
}

impl Supervisor {
    /// A thread was made by another one, which stands there.
    pub(super) fn note_birth(&mut self, process: i32, maker: i32) {
        let Some(role) = self.tasks.role(process).filter(|role| role.is_of_run()) else { return };
        let is_visitor = self.manners() == Manners::Visitor;
        let Some(run) = &mut self.run else { return };
        // A visitor sees no end, and holds nobody for a count.
        if !run.is_command() || run.ending || is_visitor {
            return;
        }
        let Some(born) = run.births.note(process, role == Role::Root) else { return };
        self.begin_look();
        // Without its mappings it has no stack, and is killed just now.
        let maps = procfs::maps(maker).unwrap_or_default();
        let mut own = thread(process, maker, &maps, None);
        self.add_stacks(
            std::slice::from_mut(&mut own),
            &maps,
            &BTreeSet::new(),
            Some((maker, None)),
        );
        if let Some(run) = &mut self.run {
            run.births.keep(process, BirthStack { born, maker: own });
        }
    }

    /// A thread is about to end with this status: by itself, with its process, or because another
    /// one ends that.
    pub(super) fn note_end(&mut self, tid: i32, status: i64) {
        let Some(process) = self.tasks.process_of(tid) else { return };
        let Some(run) = &mut self.run else { return };
        let Some(own) = run.births.processes.get_mut(&process) else { return };
        if own.end.is_some() || run.ending {
            return;
        }
        let by_signal = status & 0x7f != 0;
        let call = Tracee::new(tid).call_number().unwrap_or(u64::MAX);
        if by_signal || call == SYS_EXIT_GROUP {
            own.command = procfs::command_line(tid);
            own.end = Some((monotonic_ns(), !by_signal));
        } else if call == SYS_EXIT {
            run.births.thread_ended(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_read_at_few_births() {
        let looked: Vec<u32> = (1..400).filter(|born| is_looked_at(*born)).collect();
        assert_eq!(looked, [32, 48, 64, 96, 128, 192, 256, 384]);
    }

    #[test]
    fn counts_are_exact_and_thinned_evenly() {
        let mut births = Births::default();
        for _ in 0..2000 {
            births.note(7, true);
        }
        births.thread_ended(7);
        assert_eq!(births.processes[&7].born, 2000);
        births.processes.get_mut(&7).unwrap().end = Some((monotonic_ns(), true));
        births.note(8, false);
        let told = births.finish();
        assert_eq!(told.len(), 1, "the other one made only one thread");
        assert!(told[0].points.len() <= POINTS_MAX + 1);
        let last = told[0].points.last().unwrap();
        assert_eq!((last.born, last.ended), (2000, 1));
        assert!(told[0].points.is_sorted_by_key(|point| point.time_us));
    }

    #[test]
    fn a_process_that_goes_on_is_not_told_of() {
        let mut births = Births::default();
        for _ in 0..100 {
            births.note(7, true);
        }
        assert_eq!(births.finish(), []);
    }
}
