//! Findings of all runs of a plan against what is expected. Pure.
//!
//! Deliberately absent: reading files, the clock, and running anything again.

mod baseline;
mod date;
mod exit;
mod gate;
mod interval;
mod known;
mod soak;
mod verdict;

pub use baseline::{Baseline, KnownFailure, PlanName, Unproven};
pub use date::Date;
pub use exit::exit_code;
pub use gate::{Sighting, judge_entries, judge_known};
pub use interval::{Rate, clopper_pearson, passes_needed, wilson};
pub use known::{BaselineEntry, EntryState, KnownIssue};
pub use soak::{SoakRuns, SoakVerdict, judge_soak};
pub use verdict::{PlanVerdict, RunResult, Verdict, judge, tell_uncounted};
