//! A death that was recorded, judged as if it had been watched.
//!
//! Deliberately absent: reading the record (`corefile`); rates, for it is one death.

use std::collections::BTreeSet;

use hotfire_plan::Program;
use hotfire_plan::scenario::Expectation;

use super::command::CommandReport;
use super::runner::{Attempt, Looking};
use crate::diagnose::Context;
use crate::judge::judge;
use crate::observe::Observation;
use crate::symbolize::LineReader;

/// Judges the observation of a core file; `lines` tells where in its source it was.
#[must_use]
pub fn judge_core(observation: Observation, lines: &mut LineReader) -> CommandReport {
    let program = Program::default();
    let context = Context { program: &program, ledger_used: false, host_module: None };
    let mut looking = Looking { context, seen: BTreeSet::new(), keeps_first: true };
    let (words, ending) = (observation.command.clone(), observation.ending.clone());
    let mut attempt = looking.attempt(observation, lines);
    attempt.unseen.push(("the output", "a core file does not tell it".to_owned()));
    let attempts = vec![attempt];
    let results: Vec<_> = attempts.iter().map(Attempt::result).collect();
    let verdict = judge(&results, &Expectation::Pass);
    CommandReport { words, attempts, verdict, ending, leftovers: Vec::new() }
}
