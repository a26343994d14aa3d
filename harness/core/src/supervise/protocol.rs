//! What the front and a supervisor say to each other: JSON in frames.

use hotfire_plan::scenario::{Census, Limits};
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
    /// When the processes' possessions are counted.
    pub census: Census,
    /// The run's limits.
    pub limits: Limits,
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
