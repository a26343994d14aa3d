//! What the front and a supervisor say to each other: JSON in frames.

use serde::{Deserialize, Serialize};

use crate::observe::{LaunchMode, Observation};

/// One run to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Comes back with the observation.
    pub id: u64,
    /// The program that drives the engine.
    pub host: HostProgram,
    /// The plan text for the host.
    pub plan: String,
    /// How the child is to be made.
    pub mode: LaunchMode,
    /// Whether the run is traced. Without, only its own process is protected, a death has no
    /// registers or threads, and no hang is declared before its limit.
    pub traced: bool,
    /// The run's seed.
    pub seed: u64,
    /// Whether the engine may report to the ledger.
    pub ledger: bool,
    /// The run's limits.
    pub limits: RunLimits,
}

/// A program that understands the recorder (and the forkserver's protocol).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProgram {
    /// Its path.
    pub program: String,
    /// Its arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Its whole environment, `K=V`.
    pub environment: Vec<String>,
    /// The engine kinds that a forkserver prepares.
    pub prepare: Vec<String>,
}

/// Limits of one run, all in milliseconds but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// The longest step.
    pub step_ms: u64,
    /// The longest run.
    pub run_ms: u64,
    /// The longest way out after the last step.
    pub exit_ms: u64,
    /// How long a leftover process may take to end by itself.
    pub grace_ms: u64,
    /// The longest gap between heartbeats; 0: none is watched.
    pub beat_ms: u64,
    /// The most processes alive at once.
    pub processes: u32,
}

impl From<&hotfire_plan::scenario::Limits> for RunLimits {
    fn from(limits: &hotfire_plan::scenario::Limits) -> Self {
        Self {
            step_ms: limits.step_ms,
            run_ms: limits.run_ms,
            exit_ms: limits.exit_ms,
            grace_ms: limits.grace_ms,
            beat_ms: limits.beat_ms,
            processes: limits.processes,
        }
    }
}

impl From<RunLimits> for hotfire_plan::scenario::Limits {
    fn from(limits: RunLimits) -> Self {
        Self {
            step_ms: limits.step_ms,
            run_ms: limits.run_ms,
            exit_ms: limits.exit_ms,
            grace_ms: limits.grace_ms,
            beat_ms: limits.beat_ms,
            processes: limits.processes,
        }
    }
}

/// What a supervisor sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A run is over.
    Done {
        /// The job.
        id: u64,
        /// What was seen.
        observation: Box<Observation>,
    },
}
