//! A command of its user's own, run once or several times under watch, and judged.
//!
//! Deliberately absent: workers and confirmations; the command runs in its user's terminal, as
//! often as asked.

use std::collections::BTreeSet;

use hotfire_plan::Program;
use hotfire_plan::scenario::Expectation;
use hotfire_sys::SysError;

use super::runner::{Attempt, Looking, strip};
use crate::diagnose::{
    Context, Death, Evidence, Finding, Reproduced, Scene, StageTable, add_stage, data_race,
    rising_notes,
};
use crate::judge::{PlanVerdict, RunResult, judge, wilson};
use crate::observe::{Descendant, DescendantEnd, Ending, Observation};
use crate::supervise::{Watched, Wrapper};
use crate::symbolize::LineReader;

/// Whether processes that outlive the command are a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They go on, and are listed.
    Allow,
    /// They are ended, and listed.
    Kill,
    /// They are ended, and a finding.
    Fail,
}

/// All runs of a command, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandReport {
    /// Its words.
    pub words: Vec<String>,
    /// Its runs, in order.
    pub attempts: Vec<Attempt>,
    /// The verdict.
    pub verdict: PlanVerdict,
    /// How the last run of the command itself ended.
    pub ending: Ending,
    /// Processes that outlived it and are no finding, a line each.
    pub leftovers: Vec<String>,
    /// What it held more and more of and is no finding, a line each.
    pub rising: Vec<String>,
}

/// Runs a command `runs` times, or until somebody wants no more. `lines` tells where in its source
/// the first run of each finding was, `stages` what the last lines that it printed say of it.
///
/// # Errors
/// It could not be started (ENOENT, EACCES, …), or may not be traced (EPERM).
pub fn run_command(
    watched: &Watched,
    leftovers: Leftovers,
    runs: u32,
    lines: &mut LineReader,
    stages: &StageTable,
) -> Result<CommandReport, SysError> {
    let mut wrapper = Wrapper::new()?;
    let program = Program::default();
    let context = Context { program: &program, ledger_used: false, host_module: None };
    let mut looking = Looking { context, seen: BTreeSet::new(), keeps_first: true };
    let mut attempts = Vec::new();
    let mut scenes = Vec::new();
    let mut ending = Ending::Ended;
    let mut left = Vec::new();
    let mut rising = Vec::new();
    for _ in 0..runs.max(1) {
        if wrapper.is_interrupted() {
            break;
        }
        let mut observation = wrapper.watch(watched)?;
        ending = observation.ending.clone();
        if leftovers != Leftovers::Fail {
            left.extend(take_leftovers(&mut observation, leftovers));
        }
        scenes.push(Scene::of(&observation, &context));
        let (output, samples) = (observation.output.clone(), observation.samples.clone());
        let mut attempt = looking.attempt(observation, lines);
        if attempt.observation.is_some() {
            attempt.findings.iter_mut().for_each(|finding| add_stage(finding, &output, stages));
        }
        rising.extend(rising_notes(&samples, &attempt.findings));
        attempts.push(attempt);
        // The next run's children are to be all that this process has.
        lines.rest();
    }
    join_deaths(&mut attempts, &scenes);
    let results: Vec<RunResult> = attempts.iter().map(Attempt::result).collect();
    let verdict = judge(&results, &Expectation::Pass);
    let words = watched.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(CommandReport { words, attempts, verdict, ending, leftovers: left, rising })
}

/// Makes one finding of the deaths that are one bug, where all of them together show it.
fn join_deaths(attempts: &mut [Attempt], scenes: &[Option<Scene>]) {
    let is_death = |finding: &&Finding| finding.code.starts_with(['C', 'X']);
    let findings: Vec<Option<&Finding>> =
        attempts.iter().map(|attempt| attempt.findings.first().filter(is_death)).collect();
    let died = u32::try_from(findings.iter().flatten().count()).unwrap_or(u32::MAX);
    // A death without its stacks may be another bug's.
    let all: Option<Vec<Death<'_>>> = findings
        .into_iter()
        .zip(scenes)
        .filter_map(|(finding, scene)| Some((finding?, scene.as_ref())))
        .map(|(finding, scene)| Some(Death { scene: scene?, finding }))
        .collect();
    let Some(mut race) = all.and_then(|deaths| data_race(&deaths, None)) else { return };
    let of = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
    let rate = wilson(died, of);
    let (low, high) = (rate.low * 100.0, rate.high * 100.0);
    let text = format!("{died} of {of} runs died so, {low:.0} to {high:.0} % (Wilson, 95 %)");
    race.evidence.insert(1, Evidence { text, source: "all runs".to_owned() });
    for first in attempts.iter_mut().filter_map(|attempt| attempt.findings.first_mut()) {
        if is_death(&&*first) {
            first.clone_from(&race);
            strip(&mut race);
        }
    }
}

/// Takes the processes that outlived the command, where that is no fault, out of the facts.
fn take_leftovers(observation: &mut Observation, leftovers: Leftovers) -> Vec<String> {
    let what = if leftovers == Leftovers::Kill { "was ended" } else { "goes on" };
    let outlived = |one: &&mut Descendant| matches!(one.end, DescendantEnd::LeftBehind { .. });
    let lines = observation.descendants.iter_mut().filter(outlived).map(|one| {
        one.end = DescendantEnd::EndedWithRun;
        let detached = if one.detached { ", which had detached itself," } else { "" };
        format!("process {} `{}`{detached} outlived the command and {what}", one.pid, one.command)
    });
    lines.collect()
}

impl CommandReport {
    /// The finding that the verdict is about, with the run that kept its facts.
    #[must_use]
    pub fn main_finding(&self) -> Option<(&Observation, &Finding)> {
        let id = self.verdict.finding_id.as_deref()?;
        self.first_findings().find(|(_, finding)| finding.id == id)
    }

    /// In how many of the runs that could be observed a finding showed; one run has no rate.
    #[must_use]
    pub fn reproduced(&self, id: &str) -> Option<Reproduced> {
        let shows = |attempt: &&Attempt| attempt.shows(id);
        let failed = self.attempts.iter().filter(shows).count();
        let failed = u32::try_from(failed).unwrap_or(u32::MAX);
        (self.verdict.runs > 1).then_some(Reproduced { failed, of: self.verdict.runs })
    }

    /// The facts of the first run of each finding, or of the first run where there is none.
    pub fn kept(&self) -> impl Iterator<Item = &Observation> {
        self.attempts.iter().filter_map(|attempt| attempt.observation.as_deref())
    }

    /// Every finding once, with the facts of the first run that showed it.
    pub fn first_findings(&self) -> impl Iterator<Item = (&Observation, &Finding)> {
        super::runner::first_findings(&self.attempts)
    }
}
