//! What reports tell of the baseline's entries: the list of failures that are known and owned.
//!
//! Deliberately absent: deciding; the words are made where the verdict is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A failure that somebody knows of, as a report names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownIssue {
    /// Where it is tracked, a URL.
    pub issue: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Why it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last day on which it is accepted, YYYY-MM-DD.
    pub expires: String,
    /// Days from today to that day; negative: so long past.
    pub days_left: i64,
    /// The entry in the baseline, `FILE:LINE`.
    pub place: String,
}

/// What this invocation says of an entry of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// What it lists was seen.
    Seen,
    /// It was not seen in so many runs that it can be called fixed.
    Fixed,
    /// It was not seen, in too few runs to say more.
    Undecided,
    /// No plan that it names was run.
    NotRun,
}

/// An entry of the baseline after this invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineEntry {
    /// The plans that it names: a scenario's name or pattern, and a plan's id where it has one.
    pub selects: String,
    /// What it lists: a signature, or a class with status and phase.
    pub lists: String,
    /// The issue with its date.
    pub known: KnownIssue,
    /// What was seen.
    pub state: EntryState,
    /// Runs in fresh processes that count for the state.
    pub runs: u32,
    /// Whether the entry makes the command fail: it is fixed, and `strict-fixed` is set.
    pub fails: bool,
    /// What was seen and what to do, a lowercase fragment.
    pub reason: String,
}
