//! The threads that a process made, each by its birth: exact, because every birth stops its maker.
//!
//! Deliberately absent: whether they are too many (`diagnose`).

use serde::{Deserialize, Serialize};

use super::Thread;

/// The threads of one process, its first one aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadBirths {
    /// The process.
    pub pid: i32,
    /// Its command line, cut at 4 KiB.
    pub command: String,
    /// The child itself, or a process that it made.
    pub is_child: bool,
    /// It called `exit`; else a signal ended it.
    pub exited: bool,
    /// Processors that a process may use here.
    pub processors: u32,
    /// From the first birth to the end of the process, microseconds.
    pub life_us: u64,
    /// Births, and ends of threads before the end of their process, in the order of their time.
    pub points: Vec<BirthPoint>,
    /// Where threads were made, in the order of their births; not of all.
    pub stacks: Vec<BirthStack>,
}

/// How many threads had been made and had ended at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BirthPoint {
    /// Since the first birth, microseconds.
    pub time_us: u64,
    /// Births so far, this one included.
    pub born: u32,
    /// Ends so far, this one included.
    pub ended: u32,
}

/// The stack of a thread that makes another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BirthStack {
    /// Which birth it is, from 1.
    pub born: u32,
    /// The thread that makes it, with its stack.
    pub maker: Thread,
}
