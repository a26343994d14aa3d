//! What the recorder told, in a form that can be stored.
//!
//! Deliberately absent: the layout (the recorder crate has it).

use serde::{Deserialize, Serialize};

/// Why there is no recorder where a command was run as it is.
pub const NO_HOST: &str = "the command is no host of ours";

/// The recorder's content after the child's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// How far the host came.
    pub stage: HostStage,
    /// Why the host refused the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Lanes that ran, by number.
    pub lanes: Vec<LaneRecord>,
    /// The loop thread's heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// The ledger; `None` when it was off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerRecord>,
    /// What did not add up in the recorder; lowercase fragments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
}

/// How far the host came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStage {
    /// It never attached to the recorder.
    Unborn,
    /// It was reading its plan.
    Attached,
    /// Steps ran.
    Running,
    /// The process was on its way out.
    Exiting,
    /// It could not run the plan.
    Refused,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// Its number; 0 is the main lane.
    pub lane: u16,
    /// Its thread.
    pub tid: i32,
    /// The step in flight when the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<StepInFlight>,
    /// The steps that ended, oldest first; the last 64 or so.
    pub steps: Vec<StepRecord>,
    /// How many steps ended in all.
    pub ended: u64,
}

/// A step that had begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepInFlight {
    /// Its number in the plan, from 1.
    pub step: u32,
    /// How often it had been begun before in this lane, from 0.
    pub iteration: u64,
    /// CLOCK_MONOTONIC at its begin, nanoseconds.
    pub begun_ns: u64,
}

/// A step that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number in the plan, from 1.
    pub step: u32,
    /// How often it had been begun before in this lane, from 0.
    pub iteration: u64,
    /// CLOCK_MONOTONIC at its end, nanoseconds.
    pub ended_ns: u64,
    /// Its duration, microseconds; `None` when the begin record was overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How it ended: ok, failed, illegal, unsupported, cancelled, missing, timeout or panic.
    pub outcome: String,
    /// The result's digest; 0: nothing to compare.
    pub digest: u64,
    /// Units made.
    pub count: u64,
    /// The digest is none of those that the engine's own models can give.
    pub torn: bool,
    /// The error's text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The loop thread's heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Beats in all.
    pub beats: u64,
    /// The longest gap between two beats, or up to the end of the run, microseconds.
    pub gap_max_us: u64,
    /// The step that the loop ran in that gap; 0: none.
    pub gap_step: u32,
    /// The gap that the scenario allows, microseconds.
    pub allowed_us: u64,
}

/// The ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Events in all; more than `events` when old ones were overwritten.
    pub total: u64,
    /// The last events, oldest first.
    pub events: Vec<LedgerEntry>,
}

/// One event of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// Acquired, or else released.
    pub acquired: bool,
    /// engine, model, tensor, session, worker, process, device, semaphore or other.
    pub resource: String,
    /// Its id.
    pub id: u64,
    /// The id of what it belongs to; 0: none.
    pub parent: u64,
    /// Where its memory starts; 0: none.
    pub address: u64,
    /// Its memory's length in bytes.
    pub bytes: u64,
}
