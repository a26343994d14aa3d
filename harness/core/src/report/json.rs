//! The JSON contract `hotfire/1`: one object per invocation. 64-bit values are hex strings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::{Finding, LivingProcess, Reproduced};
pub use crate::judge::{BaselineEntry, EntryState, KnownIssue, Rate};

/// The whole answer of one invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `hotfire/1`.
    pub schema: String,
    /// The verb: run, replay, …
    pub verb: String,
    /// The seed, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// The exit status of the command.
    pub exit_code: i32,
    /// The command line.
    #[serde(default)]
    pub command: Vec<String>,
    /// Counts.
    pub summary: Summary,
    /// One entry per plan.
    pub results: Vec<PlanResult>,
    /// One entry per finding.
    pub findings: Vec<Finding>,
    /// Of `attach`: the processes that were looked at, with all their threads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<LivingProcess>,
    /// One entry per entry of the baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<BaselineEntry>,
    /// What could not be seen.
    #[serde(default)]
    pub unavailable: Vec<Unavailable>,
    /// The signal that ended the invocation early; then `unrun` tells what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// Plans with runs that were not made; empty unless the invocation ended early.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrun: Vec<UnrunPlan>,
}

/// Counts of one invocation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Runs in all, confirmations included, skipped ones not.
    pub runs: u32,
    /// Runs without a finding.
    pub passed: u32,
    /// Runs with a finding.
    pub failed: u32,
    /// Findings.
    pub findings: u32,
    /// Plans skipped.
    pub skipped: u32,
    /// Runs that could not be observed.
    pub blind: u32,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// The result of one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanResult {
    /// The scenario's name; `plan` for one given on the command line.
    pub scenario: String,
    /// The engine, as in plan text.
    pub engine: String,
    /// The plan, canonical text.
    pub plan: String,
    /// The scenario's file; left out for one that is built in, and for a plan that is none's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The plan's line in that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// PASS or the finding's status word, or SKIP or BLIND.
    pub status: String,
    /// The expected status word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// as-expected, new, known, expired, fixed, flaky, skipped or blind.
    pub verdict: String,
    /// Runs in all.
    pub runs: u32,
    /// Runs with a finding.
    pub failed: u32,
    /// Wall time of all runs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The failure rate's interval, from fresh processes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The finding's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// In how many of the observed fresh processes of this plan the finding showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduced: Option<Reproduced>,
    /// What the baseline says, where the verdict is known, expired or fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownIssue>,
    /// Why it was skipped or blind, or is not as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A plan with runs that were not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnrunPlan {
    /// The scenario's name; `plan` for one given on the command line.
    pub scenario: String,
    /// The engine, as in plan text.
    pub engine: String,
    /// The plan, canonical text.
    pub plan: String,
    /// Runs that are missing, confirmations included.
    pub missing: u32,
    /// How many of these were under way when the invocation was stopped.
    pub in_flight: u32,
    /// Runs that were made; they are judged in `results` where there are any.
    pub made: u32,
}

/// What could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unavailable {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}
