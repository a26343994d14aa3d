//! What the run's processes held at step borders, and which names they left in shared memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why there is no census where nobody asked for one.
pub const CENSUS_OFF: &str = "not asked for";

/// All counts of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CensusRecord {
    /// The counts at the borders, in the order of their time.
    #[serde(default)]
    pub points: Vec<CensusPoint>,
    /// Names that are new in `/dev/shm` after the run, and which it was seen to hold.
    #[serde(default)]
    pub shared_left: Vec<SharedLeft>,
    /// Names that are new in `/dev/shm` after the run, and that nobody was seen to hold: another
    /// program may have made them.
    #[serde(default)]
    pub shared_unclaimed: Vec<String>,
    /// Step borders that were looked at and not kept, because there were too many.
    #[serde(default)]
    pub points_cut: u32,
}

/// The points of each loop, in the order of their time: from the begin of its first turn that was
/// looked at, or from the end of the loop before it, to the end of its last turn.
#[must_use]
pub fn loops(points: &[CensusPoint]) -> Vec<&[CensusPoint]> {
    let mut found = Vec::new();
    let mut rest = points;
    while let Some(length) = first_loop(rest) {
        let Some((of_loop, later)) = rest.split_at_checked(length) else { break };
        found.push(of_loop);
        rest = later;
    }
    found
}

/// How many turns at a loop's begin tell nothing of growth: one-time initialisation happens there.
#[must_use]
pub fn turns_left_out(turns: usize) -> usize {
    (turns / 4).max(2)
}

/// How many points there are up to the end of the first loop; `None`: there is no loop.
fn first_loop(points: &[CensusPoint]) -> Option<usize> {
    let mut length = None;
    let mut last_turn = None;
    for (index, point) in points.iter().enumerate() {
        if point.border != CensusBorder::Turn {
            continue;
        }
        if last_turn.is_some_and(|last| last >= point.turn) {
            break;
        }
        (last_turn, length) = (Some(point.turn), Some(index + 1));
    }
    length
}

/// A name with each run of digits as `N`: ports, ids and indices change, what it names does not.
#[must_use]
pub fn without_numbers(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match (letter.is_ascii_digit(), text.ends_with('N')) {
            (true, true) => {}
            (true, false) => text.push('N'),
            (false, _) => text.push(letter),
        }
    }
    text
}

/// Where lane 0 stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CensusBorder {
    /// Before the first step.
    Start,
    /// After a step or a block of lanes; also before a turn's first step, where the turn before it
    /// was not looked at.
    Step,
    /// After a turn of an outermost loop.
    Turn,
    /// Before the exit.
    End,
}

/// The child and its descendants at one border. Kinds are counted, never listed one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CensusPoint {
    /// Which border.
    pub border: CensusBorder,
    /// The step of lane 0 that ended last in time; 0: none.
    pub step: u32,
    /// The turn of the outermost loop, from 0.
    pub turn: u64,
    /// How long the supervisor waited for things to go away by themselves, microseconds.
    #[serde(default)]
    pub grace_us: u64,
    /// Threads of the child by name.
    #[serde(default)]
    pub threads: BTreeMap<String, u32>,
    /// Open descriptors of the child by what they are: a path, `pipe`, `[eventfd]`,
    /// `listening tcp port N`, …
    #[serde(default)]
    pub descriptors: BTreeMap<String, u32>,
    /// Names in `/dev/shm` that are new since the run began and that the child was seen to hold,
    /// now or at an earlier border.
    #[serde(default)]
    pub shared: u32,
    /// Living processes that the child made.
    #[serde(default)]
    pub processes: u32,
    /// Mappings of the child.
    #[serde(default)]
    pub mappings: u32,
    /// Private memory of the child that was written, bytes; where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_dirty_bytes: Option<u64>,
}

/// A name left in shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLeft {
    /// The name below `/dev/shm`; `sem.NAME` for a semaphore.
    pub name: String,
    /// The step after which it was first seen; 0: none was seen. Exact only when every step's
    /// border was looked at.
    #[serde(default)]
    pub step: u32,
    /// Whether the supervisor removed it.
    #[serde(default)]
    pub was_removed: bool,
}
