//! What the run's processes held at step borders, and which names they left in shared memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
}

/// Where lane 0 stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CensusBorder {
    /// Before the first step.
    Start,
    /// After a step or a block of lanes.
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
    /// `listening tcp port 8080`, …
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
