//! What a scenario file says, as data.
//!
//! Deliberately absent: the file format (`parse.rs`).

use crate::plan::{EngineSpec, Plan};
use serde::{Deserialize, Serialize};

/// A scenario file, parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name: lower-case words joined by `-`; unique in a run.
    pub name: String,
    /// One sentence for `list`.
    pub summary: String,
    /// What it reproduces: a report, an issue. Empty: nothing in particular.
    pub reproduces: String,
    /// One of load, swap, fail-init, concurrent-generate, shutdown, or another word.
    pub lifecycle: String,
    /// The engine that `ENGINE` stands for in the plans, when the command names none.
    pub engine: EngineSpec,
    /// The plans, as written (with the line each starts at, for SARIF and messages).
    pub plans: Vec<ScenarioPlan>,
    /// Limits of each run.
    pub limits: Limits,
    /// What is expected of each plan.
    pub expect: Expectation,
    /// Runs of each plan; `--runs` wins.
    pub runs: u32,
    /// When the processes' possessions are counted; `--census` wins.
    pub census: Census,
}

/// When the supervisor counts what the run's processes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Census {
    /// Never.
    Off,
    /// Before the first step, after each turn of an outermost loop, and before the exit.
    #[default]
    Ends,
    /// After each step of the main lane, too: tells in which step something was born, and costs
    /// a stop there.
    Steps,
}

impl Census {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Ends, Self::Steps];

    /// The word in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ends => "ends",
            Self::Steps => "steps",
        }
    }
}

/// One plan of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioPlan {
    /// The plan.
    pub plan: Plan,
    /// The line in the scenario file, from 1.
    pub line: u32,
}

/// Limits of one run. Every wait has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest step, milliseconds.
    pub step_ms: u64,
    /// The longest run, milliseconds.
    pub run_ms: u64,
    /// The longest way out after the last step, milliseconds.
    pub exit_ms: u64,
    /// How long a leftover process may take to end by itself, milliseconds.
    pub grace_ms: u64,
    /// The longest gap between two heartbeats, milliseconds; 0: no heartbeat is watched.
    pub beat_ms: u64,
    /// The most processes alive at once.
    pub processes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            step_ms: 10_000,
            run_ms: 60_000,
            exit_ms: 10_000,
            grace_ms: 300,
            beat_ms: 0,
            processes: 64,
        }
    }
}

/// What is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// No finding in any run.
    Pass,
    /// At least one run fails, and every finding is as described.
    Finding(ExpectedFinding),
}

/// The finding that a scenario must show. Empty lists allow anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedFinding {
    /// Allowed status words, e.g. `SIGSEGV`.
    pub status: Vec<String>,
    /// Allowed phases, e.g. `swap`.
    pub phase: Vec<String>,
    /// Allowed classes, e.g. `null-dereference`.
    pub class: Vec<String>,
    /// Allowed steps in flight on the victim's lane, by number from 1.
    pub step: Vec<u32>,
}
