//! Findings of all runs of a plan against what is expected. Pure.
//!
//! Deliberately absent: baselines, and running anything again.

mod exit;
mod interval;
mod known;
mod soak;
mod verdict;

pub use exit::exit_code;
pub use interval::{Rate, wilson};
pub use known::{BaselineEntry, EntryState, KnownIssue};
pub use soak::{SoakVerdict, judge_soak};
pub use verdict::{PlanVerdict, RunResult, Verdict, judge};
