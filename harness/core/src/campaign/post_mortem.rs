//! What nobody started here, judged as if it had been: a death that was recorded, a process that
//! lives.
//!
//! Deliberately absent: reading the record (`corefile`), looking at the process (`supervise`); rates,
//! for each is one.

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
    judge_one(observation, lines, "a core file does not tell it")
}

/// Judges the observation of processes that go on; all their stacks get lines, with a finding and
/// without.
#[must_use]
pub fn judge_living(mut observation: Observation, lines: &mut LineReader) -> CommandReport {
    let without_lines = lines.add_lines(&mut observation);
    observation.soft_errors.extend(without_lines);
    judge_one(observation, lines, "it goes where its user sent it")
}

fn judge_one(observation: Observation, lines: &mut LineReader, no_output: &str) -> CommandReport {
    let program = Program::default();
    let context = Context { program: &program, ledger_used: false, host_module: None };
    let mut looking = Looking { context, seen: BTreeSet::new(), keeps_first: true };
    let (words, ending) = (observation.command.clone(), observation.ending.clone());
    let mut attempt = looking.attempt(observation, lines);
    attempt.unseen.push(("the output", no_output.to_owned()));
    let attempts = vec![attempt];
    let results: Vec<_> = attempts.iter().map(Attempt::result).collect();
    let verdict = judge(&results, &Expectation::Pass);
    let (leftovers, rising) = (Vec::new(), Vec::new());
    CommandReport { words, attempts, verdict, ending, leftovers, rising }
}
