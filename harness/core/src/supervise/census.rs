//! Counts what the child holds while its lane 0 stands at a step border, and which names the run
//! leaves in `/dev/shm`.
//!
//! A border is a SIGURG that lane 0 queues to itself: its signal stop is the stop. Before the exit
//! the child is held for the grace period as long as something that grew with the turns of a loop
//! is still there. Deliberately absent: whether it grew too much (see `diagnose`); the counts of
//! descendants' own threads and descriptors.

use std::collections::{BTreeMap, BTreeSet};

use hotfire_plan::scenario::Census;
use hotfire_recorder::{Border, GATE_VALUE, Gate};
use hotfire_sys::census::{self, SharedName};
use hotfire_sys::procfs::{self, MapLine};
use hotfire_sys::{SysError, Tracee, monotonic_ns, signal};

use super::run::Run;
use super::supervisor::Supervisor;
use super::tasks::Role;
use crate::observe::{
    CENSUS_OFF, CensusBorder, CensusPoint, CensusRecord, Fact, HostStage, Recorded, SharedLeft,
    loops, turns_left_out, without_numbers,
};

/// Where paths of shared names begin.
const SHARED: &str = "/dev/shm/";
/// Borders of steps kept of a run; those of turns are kept up to four times as many.
const POINTS_MAX: usize = 1024;
const TURN_POINTS_MAX: usize = 4 * POINTS_MAX;
/// Kinds listed per point; the rest is counted as `…`.
const KINDS_MAX: usize = 64;
/// Fewer turns tell no growth, so nothing is waited for (`diagnose` needs eight after the first
/// two).
const TURNS_MIN: usize = 10;
/// A growth that is worth waiting for: this many more than at the first turn that counts, or this
/// many bytes.
const GROWTH_MIN: u32 = 3;
const GROWTH_BYTES_MIN: u64 = 128 << 10;

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
    /// How long threads were held, nanoseconds: no limit of the run counts it.
    held_ns: u64,
    points_cut: u32,
    /// Why something could not be counted; the first reason.
    failure: Option<String>,
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

    /// Whether a thread is held, which then does nothing.
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// How long threads were held in all, nanoseconds.
    pub(super) fn held_ns(&self) -> u64 {
        self.held_ns
    }

    /// Everything counted, once all processes of the run have ended.
    pub(super) fn finish(
        self,
        census: Census,
        traced: bool,
        recorder: &Fact<Recorded>,
    ) -> Fact<CensusRecord> {
        let unavailable = |reason: &str| Fact::Unavailable(reason.to_owned());
        let on_its_way_out =
            recorder.known().is_some_and(|recorded| recorded.stage == HostStage::Exiting);
        let has_end = self.points.iter().any(|point| point.border == CensusBorder::End);
        match (census, self.failure) {
            (Census::Off, _) => return unavailable(CENSUS_OFF),
            _ if !traced => return unavailable("the run is not traced"),
            (_, Some(failure)) => return Fact::Unavailable(failure),
            _ if self.points.is_empty() => return unavailable("no step border was reached"),
            _ if on_its_way_out && !has_end => {
                return unavailable("the border before the exit was not seen");
            }
            _ => {}
        }
        let Some(before) = self.shared_before else {
            return unavailable("/dev/shm could not be read");
        };
        let Ok(after) = census::shared_names() else {
            return unavailable("/dev/shm could not be read after the run");
        };
        let new: Vec<SharedName> =
            after.into_iter().filter(|shared| !before.contains(shared)).collect();
        let mut record = CensusRecord {
            points: self.points,
            points_cut: self.points_cut,
            ..CensusRecord::default()
        };
        let inodes = new.iter().filter(|shared| self.claimed.contains_key(shared));
        // What a process outside of the run still holds may be that one's.
        let in_use = census::shared_in_use(&inodes.map(|shared| shared.inode).collect());
        for shared in new {
            match self.claimed.get(&shared).filter(|_| !in_use.contains(&shared.inode)) {
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
        let total = |counts: &BTreeMap<String, u32>| counts.values().sum::<u32>();
        let more = |now: u32, then: u32| now >= then.saturating_add(GROWTH_MIN);
        let more_bytes = |now: u64, then: u64| now >= then.saturating_add(GROWTH_BYTES_MIN);
        let bytes = |point: &CensusPoint| point.private_dirty_bytes;
        loops(&self.points).into_iter().any(|of_loop| {
            let turns = of_loop.iter().filter(|point| point.border == CensusBorder::Turn);
            let count = turns.clone().count();
            let then = turns.clone().nth(turns_left_out(count)).filter(|_| count >= TURNS_MIN);
            then.is_some_and(|then| {
                more(total(&now.threads), total(&then.threads))
                    || more(total(&now.descriptors), total(&then.descriptors))
                    || more(now.processes, then.processes)
                    || bytes(now).zip(bytes(then)).is_some_and(|(now, then)| more_bytes(now, then))
            })
        })
    }

    fn keep(&mut self, point: CensusPoint) {
        let has_room = match point.border {
            CensusBorder::End => true,
            CensusBorder::Turn => self.points.len() < TURN_POINTS_MAX,
            CensusBorder::Start | CensusBorder::Step => self.points.len() < POINTS_MAX,
        };
        if has_room {
            self.points.push(point);
        } else {
            self.points_cut = self.points_cut.saturating_add(1);
        }
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
        let gate = run.and_then(Run::gate);
        let Some(gate) = gate else { return false };
        let point = match self.count(tid, gate) {
            Ok(point) => point,
            Err(error) => {
                self.not_counted(&error);
                return false;
            }
        };
        let Some(run) = &mut self.run else { return false };
        if gate.border == Border::End && run.counts.may_still_shrink(&point) {
            run.counts.held = Some(Held { tid, gate, since_ns: monotonic_ns() });
            return true;
        }
        run.counts.keep(point);
        false
    }

    /// A process that is gone is no failure: its end tells more.
    fn not_counted(&mut self, error: &SysError) {
        if let Some(run) = self.run.as_mut().filter(|_| !error.is_gone()) {
            let failure = || format!("the child could not be counted: {error}");
            run.counts.failure.get_or_insert_with(failure);
        }
    }

    /// Counts again what is held before the exit, and lets it go on when there is nothing more to
    /// wait for.
    pub(super) fn check_border(&mut self) {
        let Some(run) = &mut self.run else { return };
        let Some(held) = run.counts.held.take() else { return };
        let grace_ns = run.job.limits.grace_ms * 1_000_000;
        let waited_ns = monotonic_ns().saturating_sub(held.since_ns);
        let point = self.count(held.tid, held.gate);
        let tid = held.tid;
        let Some(run) = &mut self.run else { return };
        match point {
            Ok(point) if waited_ns < grace_ns && run.counts.may_still_shrink(&point) => {
                run.counts.held = Some(held);
                return;
            }
            Ok(point) => run.counts.keep(CensusPoint { grace_us: waited_ns / 1000, ..point }),
            Err(error) => self.not_counted(&error),
        }
        if let Some(run) = &mut self.run {
            run.counts.held_ns += waited_ns;
        }
        // It may have been killed meanwhile; then its end comes next.
        let _ = Tracee::new(tid).resume(0);
    }

    fn count(&mut self, pid: i32, gate: Gate) -> Result<CensusPoint, SysError> {
        let maps = procfs::maps(pid)?;
        let descriptors = census::descriptors(pid)?;
        let shared = self.claim(&maps, &census::shared_open(pid, &descriptors), gate.step)?;
        let targets: Vec<&str> =
            descriptors.iter().map(|descriptor| descriptor.target.as_str()).collect();
        let threads = procfs::threads(pid)?;
        let names = threads.iter().filter_map(|tid| Some(procfs::stat(*tid).ok()?.name));
        let is_other = |(_, role): &&(i32, Role)| *role != Role::Root;
        let processes = self.tasks.of_run().iter().filter(is_other).count();
        Ok(CensusPoint {
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
        })
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
    /// They are known by their inodes: glibc makes a named semaphore under another name first, and
    /// `maps` goes on telling that one (sem_open.c).
    fn claim(
        &mut self,
        maps: &[MapLine],
        open: &BTreeSet<u64>,
        step: u32,
    ) -> Result<u32, SysError> {
        let Some(run) = &mut self.run else { return Ok(0) };
        let Some(before) = &run.counts.shared_before else { return Ok(0) };
        let mapped = maps.iter().filter(|map| map.path.starts_with(SHARED));
        let held: BTreeSet<u64> = mapped.map(|map| map.inode).chain(open.iter().copied()).collect();
        let claimed = &mut run.counts.claimed;
        if held.is_empty() && claimed.is_empty() {
            return Ok(0);
        }
        let mut there = 0;
        for shared in census::shared_names()? {
            if held.contains(&shared.inode) && !before.contains(&shared) {
                claimed.entry(shared).or_insert(step);
                there += 1;
            } else if claimed.contains_key(&shared) {
                there += 1;
            }
        }
        Ok(there)
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
pub(super) fn kinds(pid: i32, targets: &[&str]) -> Vec<String> {
    let has_sockets = targets.iter().any(|target| target.starts_with("socket:"));
    let listening = if has_sockets { census::listening(pid) } else { BTreeMap::new() };
    targets.iter().map(|target| kind(target, &listening)).collect()
}

fn kind(target: &str, listening: &BTreeMap<u64, String>) -> String {
    let inode = |rest: &str| rest.trim_matches(['[', ']']).parse::<u64>().ok();
    match target.split_once(':') {
        Some(("socket", rest)) => match inode(rest).and_then(|inode| listening.get(&inode)) {
            // Each has a port of its own.
            Some(address) => format!("listening {}", without_numbers(address)),
            None => "socket".to_owned(),
        },
        Some(("pipe", _)) => "pipe".to_owned(),
        Some(("anon_inode", name)) => name.to_owned(),
        _ => target.to_owned(),
    }
}

pub(super) fn counted(names: impl IntoIterator<Item = String>) -> BTreeMap<String, u32> {
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
        assert_eq!(of("socket:[7]"), "listening tcp port N");
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

    fn point(border: CensusBorder, turn: u64, threads: u32) -> CensusPoint {
        CensusPoint {
            border,
            step: 1,
            turn,
            grace_us: 0,
            threads: BTreeMap::from([("worker".to_owned(), threads)]),
            descriptors: BTreeMap::new(),
            shared: 0,
            processes: 0,
            mappings: 0,
            private_dirty_bytes: Some(1 << 20),
        }
    }

    /// A loop with as many threads after each turn.
    fn turns(threads: &[u32]) -> Counts {
        let turns = (0..).zip(threads);
        let points = turns.map(|(turn, threads)| point(CensusBorder::Turn, turn, *threads));
        Counts { points: points.collect(), ..Counts::default() }
    }

    #[test]
    fn only_what_grew_with_the_turns_is_waited_for() {
        let end = point(CensusBorder::End, 0, 9);
        assert!(turns(&[6; 10]).may_still_shrink(&end));
        assert!(!turns(&[7; 10]).may_still_shrink(&end));
        assert!(!turns(&[6; 9]).may_still_shrink(&end), "too few turns to tell");
        let mut warm = [9; 10];
        warm[..2].fill(1);
        assert!(!turns(&warm).may_still_shrink(&end), "the first turns start what stays");
        let bytes = Some((1 << 20) + GROWTH_BYTES_MIN);
        let more = CensusPoint { private_dirty_bytes: bytes, ..point(CensusBorder::End, 0, 6) };
        assert!(turns(&[6; 10]).may_still_shrink(&more));
        let starts = vec![point(CensusBorder::Start, 0, 1); 20];
        assert!(!Counts { points: starts, ..Counts::default() }.may_still_shrink(&end));
    }

    #[test]
    fn borders_of_steps_never_crowd_out_those_of_turns() {
        let mut counts = Counts::default();
        for turn in 0..1500 {
            counts.keep(point(CensusBorder::Step, turn, 1));
        }
        counts.keep(point(CensusBorder::Turn, 0, 1));
        counts.keep(point(CensusBorder::End, 0, 1));
        assert_eq!((counts.points.len(), counts.points_cut), (POINTS_MAX + 2, 1500 - 1024));
    }

    #[test]
    fn a_census_without_its_end_is_none() {
        let recorded = |stage| {
            Fact::Known(Recorded {
                stage,
                refusal: None,
                lanes: Vec::new(),
                heartbeat: None,
                ledger: None,
                damage: Vec::new(),
            })
        };
        let told = |counts: Counts, stage| {
            let census = counts.finish(Census::Ends, true, &recorded(stage));
            census.known().is_some()
        };
        let counts = || Counts {
            points: vec![point(CensusBorder::Start, 0, 1)],
            ..Counts::before(Census::Ends)
        };
        assert!(told(counts(), HostStage::Running), "it died in a step");
        assert!(!told(counts(), HostStage::Exiting));
        let mut whole = counts();
        whole.keep(point(CensusBorder::End, 0, 1));
        assert!(told(whole, HostStage::Exiting));
        let failed = Counts { failure: Some("no right".to_owned()), ..counts() };
        assert!(!told(failed, HostStage::Running));
    }
}
