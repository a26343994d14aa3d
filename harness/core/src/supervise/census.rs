//! Counts what the child holds while its lane 0 stands at a step border, and which names the run
//! leaves in `/dev/shm`.
//!
//! A border is a SIGURG that lane 0 queues to itself: its signal stop is the stop. Before the exit
//! the child is held for the grace period as long as something that grew with the turns of a loop
//! is still there. Deliberately absent: whether it grew too much (see `diagnose`); the counts of
//! descendants' own threads and descriptors.

use std::collections::{BTreeMap, BTreeSet};

use hotfire_plan::scenario::Census;
use hotfire_recorder::{Border, GATE_VALUE, Gate, read_gate};
use hotfire_sys::census::{self, SharedName};
use hotfire_sys::procfs::{self, MapLine};
use hotfire_sys::{Tracee, monotonic_ns, signal};

use super::convert::fetch;
use super::supervisor::Supervisor;
use super::tasks::Role;
use crate::observe::{CensusBorder, CensusPoint, CensusRecord, Fact, SharedLeft};

/// Where paths of shared names begin.
const SHARED: &str = "/dev/shm/";
/// Points kept of a run.
const POINTS_MAX: usize = 1024;
/// Kinds listed per point; the rest is counted as `…`.
const KINDS_MAX: usize = 64;
/// Fewer turns tell no growth, so nothing is waited for (`diagnose` needs eight after the first
/// two).
const TURNS_MIN: usize = 10;
/// A growth that is worth waiting for: this many more than at the first turn.
const GROWTH_MIN: u32 = 3;

/// The counts of the run in hand.
#[derive(Debug, Default)]
pub(super) struct Counts {
    points: Vec<CensusPoint>,
    /// Names that stood in `/dev/shm` before the run; `None` when they could not be read.
    shared_before: Option<BTreeSet<SharedName>>,
    /// New names that the child was seen to hold, with the step after which.
    claimed: BTreeMap<SharedName, u32>,
    /// The thread that is held before the exit, its point, and until when.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    tid: i32,
    gate: Gate,
    since_ns: u64,
}

impl Counts {
    /// What is there before the run.
    pub(super) fn before(census: Census) -> Self {
        let shared = (census != Census::Off).then(census::shared_names).and_then(Result::ok);
        Self { shared_before: shared.map(BTreeSet::from_iter), ..Self::default() }
    }

    /// Everything counted, once all processes of the run have ended.
    pub(super) fn finish(self, census: Census, traced: bool) -> Fact<CensusRecord> {
        let unavailable = |reason: &str| Fact::Unavailable(reason.to_owned());
        match census {
            Census::Off => return unavailable("not asked for"),
            _ if !traced => return unavailable("the run is not traced"),
            _ if self.points.is_empty() => return unavailable("no step border was reached"),
            _ => {}
        }
        let Some(before) = self.shared_before else {
            return unavailable("/dev/shm could not be read");
        };
        let after = census::shared_names().unwrap_or_default();
        let new: Vec<SharedName> =
            after.into_iter().filter(|shared| !before.contains(shared)).collect();
        let mut record = CensusRecord { points: self.points, ..CensusRecord::default() };
        for shared in new {
            match self.claimed.get(&shared) {
                Some(step) => record.shared_left.push(SharedLeft {
                    was_removed: census::remove_shared(&shared).is_ok(),
                    name: shared.name,
                    step: *step,
                }),
                None => record.shared_unclaimed.push(shared.name),
            }
        }
        Fact::Known(record)
    }

    /// Whether something that grew from turn to turn is still there: it may be on its way out.
    fn may_still_shrink(&self, now: &CensusPoint) -> bool {
        let mut turns = self.points.iter().filter(|point| point.border == CensusBorder::Turn);
        let first = turns.next();
        if turns.count() + 1 < TURNS_MIN {
            return false;
        }
        let total = |counts: &BTreeMap<String, u32>| counts.values().sum::<u32>();
        first.is_some_and(|first| {
            let more = |now: u32, then: u32| now >= then.saturating_add(GROWTH_MIN);
            more(total(&now.threads), total(&first.threads))
                || more(total(&now.descriptors), total(&first.descriptors))
                || more(now.processes, first.processes)
        })
    }
}

impl Supervisor {
    /// Takes a stop at a border; false when the signal is the program's own.
    pub(super) fn on_border(&mut self, tid: i32, signal: i32) -> bool {
        if signal != signal::SIGURG || self.tasks.role(tid) != Some(Role::Root) {
            return false;
        }
        let Ok(info) = Tracee::new(tid).signal_info() else { return false };
        if signal::queued_value(&info) != Some((GATE_VALUE, tid)) {
            return false;
        }
        if !self.stand_at_border(tid) {
            // It may have been killed meanwhile; then its end comes next.
            let _ = Tracee::new(tid).resume(0);
        }
        true
    }

    /// Counts; whether the thread is to be held.
    fn stand_at_border(&mut self, tid: i32) -> bool {
        let run = self.run.as_ref().filter(|run| !run.ending);
        let gate = run.and_then(|run| read_gate(&mut fetch(&run.recorder)).ok().flatten());
        let Some(gate) = gate else { return false };
        let point = self.count(tid, gate);
        let Some(run) = &mut self.run else { return false };
        if gate.border == Border::End && run.counts.may_still_shrink(&point) {
            run.counts.held = Some(Held { tid, gate, since_ns: monotonic_ns() });
            return true;
        }
        self.keep_point(point);
        false
    }

    /// Counts again what is held before the exit, and lets it go on when there is nothing more to
    /// wait for.
    pub(super) fn check_border(&mut self) {
        let Some(run) = &mut self.run else { return };
        let Some(held) = run.counts.held.take() else { return };
        let grace_ns = run.job.limits.grace_ms * 1_000_000;
        let waited_ns = monotonic_ns().saturating_sub(held.since_ns);
        let mut point = self.count(held.tid, held.gate);
        point.grace_us = waited_ns / 1000;
        let Some(run) = &mut self.run else { return };
        if waited_ns < grace_ns && run.counts.may_still_shrink(&point) {
            run.counts.held = Some(held);
            return;
        }
        let tid = held.tid;
        self.keep_point(point);
        // It may have been killed meanwhile; then its end comes next.
        let _ = Tracee::new(tid).resume(0);
    }

    fn keep_point(&mut self, point: CensusPoint) {
        if let Some(run) = &mut self.run
            && (run.counts.points.len() < POINTS_MAX || point.border == CensusBorder::End)
        {
            run.counts.points.push(point);
        }
    }

    fn count(&mut self, pid: i32, gate: Gate) -> CensusPoint {
        let maps = procfs::maps(pid).unwrap_or_default();
        let descriptors = census::descriptors(pid).unwrap_or_default();
        let targets: Vec<&str> =
            descriptors.iter().map(|descriptor| descriptor.target.as_str()).collect();
        let shared = self.claim(&maps, &targets, gate.step);
        let threads = procfs::threads(pid).unwrap_or_default();
        let names = threads.iter().filter_map(|tid| Some(procfs::stat(*tid).ok()?.name));
        let is_other = |(_, role): &&(i32, Role)| *role != Role::Root;
        let processes = self.tasks.of_run().iter().filter(is_other).count();
        CensusPoint {
            border: border(gate.border),
            step: gate.step,
            turn: gate.turn,
            grace_us: 0,
            threads: counted(names),
            descriptors: counted(kinds(pid, &targets)),
            shared,
            processes: u32::try_from(processes).unwrap_or(u32::MAX),
            mappings: u32::try_from(maps.len()).unwrap_or(u32::MAX),
            private_dirty_bytes: self.memory(pid, gate.border),
        }
    }

    /// Private memory that was written. The kernel walks all page tables for it, so it is asked
    /// only where it can be compared: in a loop, or where every step's border is looked at.
    fn memory(&self, pid: i32, border: Border) -> Option<u64> {
        let run = self.run.as_ref()?;
        let has_turned =
            || run.counts.points.iter().any(|point| point.border == CensusBorder::Turn);
        let wanted = run.job.census == Census::Steps || border == Border::Turn || has_turned();
        wanted.then(|| census::private_dirty_bytes(pid).ok()).flatten()
    }

    /// Notes which new names in `/dev/shm` the child holds; how many of those noted are there now.
    ///
    /// A mapping is known by its inode: glibc makes a named semaphore under another name first,
    /// and `maps` goes on telling that one (sem_open.c).
    fn claim(&mut self, maps: &[MapLine], targets: &[&str], step: u32) -> u32 {
        let Some(run) = &mut self.run else { return 0 };
        let Some(before) = &run.counts.shared_before else { return 0 };
        let mapped: BTreeSet<u64> =
            maps.iter().filter(|map| map.path.starts_with(SHARED)).map(|map| map.inode).collect();
        let open: BTreeSet<&str> =
            targets.iter().filter_map(|target| target.strip_prefix(SHARED)).collect();
        if mapped.is_empty() && open.is_empty() && run.counts.claimed.is_empty() {
            return 0;
        }
        let claimed = &mut run.counts.claimed;
        let mut there = 0;
        for shared in census::shared_names().unwrap_or_default() {
            let is_held = mapped.contains(&shared.inode) || open.contains(shared.name.as_str());
            if is_held && !before.contains(&shared) {
                claimed.entry(shared).or_insert(step);
                there += 1;
            } else if claimed.contains_key(&shared) {
                there += 1;
            }
        }
        there
    }
}

fn border(border: Border) -> CensusBorder {
    match border {
        Border::Start => CensusBorder::Start,
        Border::Step => CensusBorder::Step,
        Border::Turn => CensusBorder::Turn,
        Border::End => CensusBorder::End,
    }
}

/// What descriptors are, without what differs from one to the next of a kind.
fn kinds(pid: i32, targets: &[&str]) -> Vec<String> {
    let has_sockets = targets.iter().any(|target| target.starts_with("socket:"));
    let listening = if has_sockets { census::listening(pid) } else { BTreeMap::new() };
    targets.iter().map(|target| kind(target, &listening)).collect()
}

fn kind(target: &str, listening: &BTreeMap<u64, String>) -> String {
    let inode = |rest: &str| rest.trim_matches(['[', ']']).parse::<u64>().ok();
    match target.split_once(':') {
        Some(("socket", rest)) => match inode(rest).and_then(|inode| listening.get(&inode)) {
            Some(address) => format!("listening {address}"),
            None => "socket".to_owned(),
        },
        Some(("pipe", _)) => "pipe".to_owned(),
        Some(("anon_inode", name)) => name.to_owned(),
        _ => target.to_owned(),
    }
}

fn counted(names: impl IntoIterator<Item = String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for name in names {
        let known = counts.len() < KINDS_MAX || counts.contains_key(&name);
        *counts.entry(if known { name } else { "…".to_owned() }).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_by_kind() {
        let listening = BTreeMap::from([(7, "tcp port 80".to_owned())]);
        let of = |target| kind(target, &listening);
        assert_eq!(of("socket:[7]"), "listening tcp port 80");
        assert_eq!(of("socket:[8]"), "socket");
        assert_eq!(of("pipe:[9]"), "pipe");
        assert_eq!(of("anon_inode:[eventfd]"), "[eventfd]");
        assert_eq!(of("/a/b:c"), "/a/b:c");
    }

    #[test]
    fn many_kinds_are_cut_and_none_is_lost() {
        let names = (0..100).map(|index| format!("{index:03}"));
        let counts = counted(names);
        assert_eq!((counts.len(), counts.values().sum::<u32>()), (KINDS_MAX + 1, 100));
        assert_eq!(counts.get("…"), Some(&36));
    }

    #[test]
    fn only_what_grew_with_the_turns_is_waited_for() {
        let point = |border, threads| CensusPoint {
            border,
            step: 1,
            turn: 0,
            grace_us: 0,
            threads: BTreeMap::from([("worker".to_owned(), threads)]),
            descriptors: BTreeMap::new(),
            shared: 0,
            processes: 0,
            mappings: 0,
            private_dirty_bytes: None,
        };
        let counts = |points| Counts { points, ..Counts::default() };
        let end = point(CensusBorder::End, 9);
        let turns = |threads, count| {
            counts(vec![point(CensusBorder::Turn, threads); count]).may_still_shrink(&end)
        };
        assert!(turns(6, 10));
        assert!(!turns(7, 10));
        assert!(!turns(6, 9), "too few turns to tell");
        assert!(!counts(vec![point(CensusBorder::Start, 1); 20]).may_still_shrink(&end));
    }
}
