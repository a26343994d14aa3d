//! What was mapped before: a fault in memory that is mapped no more tells little by itself, but
//! much beside the mappings that were seen there a moment ago.
//!
//! Deliberately absent: mappings that came and went between two looks. To see each, all system
//! calls of the process would have to be stopped.

use std::collections::BTreeMap;

use hotfire_sys::monotonic_ns;
use hotfire_sys::procfs::{self, MapLine};

use super::supervisor::Supervisor;

/// Looks take at most this part of the time (1 in so many).
const COST_SHARE: u64 = 100;
/// Between two looks, at least.
const LOOK_NS_MIN: u64 = 5_000_000;
/// A run that goes on for long is looked at less often: once in this part of its age.
const AGE_SHARE: u64 = 50;
/// Processes that are looked at, and mappings that are kept of each.
const PROCESSES_MAX: usize = 8;
const LINES_MAX: usize = 8192;

/// The mappings of a run's processes, as they were last seen.
#[derive(Debug, Default)]
pub(super) struct Former {
    seen: BTreeMap<i32, Vec<MapLine>>,
    /// What a forked process had at its birth, and what its parent had before.
    inherited: BTreeMap<i32, Vec<MapLine>>,
    next_ns: u64,
}

impl Former {
    /// The last mapping that was seen to hold this address, and whether the process had it from its
    /// parent.
    pub(super) fn at(&self, process: i32, address: u64) -> Option<(&MapLine, bool)> {
        let at = |all| line_at(all, process, address);
        let place = |line: &MapLine| (line.start, line.end);
        let (seen, inherited) = (at(&self.seen), at(&self.inherited));
        // What the process mapped there itself is newer.
        let inherited = inherited.filter(|line| seen.is_none_or(|seen| place(seen) == place(line)));
        inherited.map(|line| (line, true)).or(seen.map(|line| (line, false)))
    }

    /// A process was forked: it has what its parent has, until it unmaps it.
    pub(super) fn inherit(&mut self, parent: i32, child: i32, at_birth: Vec<MapLine>) {
        let of_parent = |all: &BTreeMap<i32, Vec<MapLine>>| all.get(&parent).cloned();
        let inherited = of_parent(&self.inherited).unwrap_or_default();
        let seen = of_parent(&self.seen).unwrap_or_default();
        self.inherited.insert(child, merged(merged(inherited, seen), at_birth));
    }

    /// The process has another program now, or has ended: what was mapped was not its own.
    pub(super) fn forget(&mut self, process: i32) {
        self.seen.remove(&process);
        self.inherited.remove(&process);
    }

    fn note(&mut self, process: i32, now: Vec<MapLine>) {
        let before = self.seen.remove(&process).unwrap_or_default();
        self.seen.insert(process, merged(before, now));
    }
}

fn line_at(all: &BTreeMap<i32, Vec<MapLine>>, process: i32, address: u64) -> Option<&MapLine> {
    all.get(&process)?.iter().find(|line| (line.start..line.end).contains(&address))
}

/// What is mapped now, and what was before where nothing is mapped now.
fn merged(before: Vec<MapLine>, mut now: Vec<MapLine>) -> Vec<MapLine> {
    let count = now.len();
    for old in before {
        // Both are in the order of their addresses.
        let at = now.get(..count).unwrap_or_default().partition_point(|line| line.end <= old.start);
        let is_free = now.get(at).is_none_or(|line| at >= count || line.start >= old.end);
        if is_free && now.len() < LINES_MAX {
            now.push(old);
        }
    }
    now.sort_by_key(|line| line.start);
    now
}

impl Supervisor {
    /// Looks at what is mapped, when it is time.
    pub(super) fn look_at_mappings(&mut self) {
        let begun_ns = monotonic_ns();
        let Some(run) = &mut self.run else { return };
        if begun_ns < run.former.next_ns || run.ending {
            return;
        }
        for (process, _) in self.tasks.of_run().into_iter().take(PROCESSES_MAX) {
            if let Ok(lines) = procfs::maps(process) {
                run.former.note(process, lines);
            }
        }
        let ended_ns = monotonic_ns();
        let pause_ns = (ended_ns.saturating_sub(begun_ns) * COST_SHARE)
            .max(ended_ns.saturating_sub(run.begun_ns) / AGE_SHARE)
            .max(LOOK_NS_MIN);
        run.former.next_ns = ended_ns + pause_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start: u64, end: u64, path: &str) -> MapLine {
        MapLine {
            start,
            end,
            permissions: "r-xp".into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: path.into(),
        }
    }

    #[test]
    fn what_went_away_is_kept_until_something_else_comes_there() {
        let mut former = Former::default();
        former.note(7, vec![line(0x1000, 0x2000, "a"), line(0x4000, 0x6000, "b")]);
        former.note(7, vec![line(0x1000, 0x2000, "a")]);
        let path =
            |former: &Former, address| former.at(7, address).map(|(line, _)| line.path.clone());
        assert_eq!(path(&former, 0x5000).as_deref(), Some("b"));
        assert_eq!((path(&former, 0x3000), path(&former, 0x6000)), (None, None));
        former.note(7, vec![line(0x5000, 0x7000, "c")]);
        assert_eq!(path(&former, 0x4000), None, "part of it was mapped anew");
        assert_eq!(path(&former, 0x1000).as_deref(), Some("a"));
        assert!(former.at(8, 0x1000).is_none());
        let at = |former: &Former, process, address| {
            former
                .at(process, address)
                .map(|(line, is_of_parent)| (line.path.clone(), is_of_parent))
        };
        former.inherit(7, 9, vec![line(0x8000, 0x9000, "stack")]);
        assert_eq!(at(&former, 9, 0x8000), Some(("stack".into(), true)));
        assert_eq!(at(&former, 9, 0x5000), Some(("c".into(), true)), "its parent had it before");
        former.note(9, vec![line(0x8800, 0x9800, "d")]);
        former.note(9, Vec::new());
        assert_eq!(at(&former, 9, 0x8800), Some(("d".into(), false)), "it was its own since");
        former.inherit(9, 10, Vec::new());
        assert_eq!(at(&former, 10, 0x5000), Some(("c".into(), true)));
        former.forget(9);
        assert_eq!(at(&former, 9, 0x5000), None);
        former.forget(7);
        former.note(7, vec![line(0x9000, 0xa000, "d")]);
        assert_eq!(path(&former, 0x1000), None, "the program before an exec had it");
    }
}
