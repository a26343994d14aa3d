//! Diagnosis and verdicts from stored observations: no process is started here.
//!
//! Deliberately absent: whether the observations are true; the supervisor's tests show that.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod aborts;
mod accesses;
mod births;
mod blame;
mod build;
mod calls;
mod ci;
mod findings;
mod gate;
mod hangs;
mod kills;
mod leaks;
mod living;
mod mutations;
mod races;
mod reports;
mod rising;
mod rules;
mod verdicts;
