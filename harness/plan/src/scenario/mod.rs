//! A scenario: a file with plans, limits, the expectation and what it reproduces.
//!
//! Deliberately absent: opening files; the command reads the text and hands it in.

mod parse;
mod types;

pub use types::{Census, Expectation, ExpectedFinding, Limits, Scenario, ScenarioPlan};
