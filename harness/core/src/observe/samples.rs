//! What the processes of a command held while it ran: counts at an even pace.
//!
//! Deliberately absent: whether it is too much (`diagnose`), and processes that held no more at
//! their end than at their begin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All samples of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Samples {
    /// Processes that held more and more, in the order of their ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<SampledProcess>,
    /// How many processes of the run lived, where they became more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub living: Vec<LivingPoint>,
    /// Processes that held more and more, too, and are not told of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Samples {
    /// Nothing became more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.living.is_empty()
    }
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledProcess {
    /// The process.
    pub pid: i32,
    /// Its command line, cut at 4 KiB.
    pub command: String,
    /// The child itself, or a process that it made.
    pub is_child: bool,
    /// It called `exit`; else a signal ended it, or it was not seen to end.
    pub exited: bool,
    /// What it held at times, in their order.
    pub points: Vec<HeldPoint>,
    /// Its descriptors by what they are, when it had called `exit` and held them still; numbers in
    /// their names are `N`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_exit: BTreeMap<String, u32>,
}

/// What a process held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPoint {
    /// Since the run's begin, microseconds.
    pub time_us: u64,
    /// Open descriptors.
    pub descriptors: u32,
    /// Living threads.
    pub threads: u32,
}

/// How many processes lived at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingPoint {
    /// Since the run's begin, microseconds.
    pub time_us: u64,
    /// Living processes of the run, the child among them.
    pub processes: u32,
}
