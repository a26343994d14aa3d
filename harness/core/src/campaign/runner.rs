//! Runs subjects, confirms what failed in fresh processes, and judges.
//!
//! Deliberately absent: retrying until green. A confirmation only ever adds runs to the count.

use std::collections::BTreeMap;

use hotfire_plan::Program;
use hotfire_sys::SysError;

use super::pool::{Pool, PoolConfig, PoolEnd};
use super::subject::{Settings, Subject};
use crate::diagnose::{Context, Finding, Reproduced, diagnose, skip_reason};
use crate::judge::{PlanVerdict, Rate, RunResult, judge, wilson};
use crate::observe::{LaunchMode, Observation};
use crate::supervise::Job;

/// One run with what it showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The facts.
    pub observation: Observation,
    /// What is wrong, the most important first.
    pub findings: Vec<Finding>,
    /// Why it proves nothing.
    pub skip: Option<String>,
}

/// All runs of one subject, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectReport {
    /// What was run.
    pub subject: Subject,
    /// All runs, in the order of their ends.
    pub attempts: Vec<Attempt>,
    /// The verdict.
    pub verdict: PlanVerdict,
    /// Failures in fresh processes; `None` when there was no failure.
    pub fresh: Option<Reproduced>,
    /// The interval of that rate.
    pub rate: Option<Rate>,
}

impl SubjectReport {
    /// The finding that the verdict is about, with its run.
    #[must_use]
    pub fn main_finding(&self) -> Option<(&Attempt, &Finding)> {
        let (run, place) = self.verdict.finding?;
        let attempt = self.attempts.get(run)?;
        Some((attempt, attempt.findings.get(place)?))
    }
}

/// A campaign's result.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignReport {
    /// The subjects that had at least one run, in the order given.
    pub subjects: Vec<SubjectReport>,
    /// Subjects that were never run.
    pub unrun: usize,
    /// The signal that ended the campaign early.
    pub interrupted: Option<i32>,
}

/// Which run of which subject a job is.
struct Ticket {
    subject: usize,
    confirmation: bool,
}

struct Campaign<'a> {
    settings: &'a Settings,
    subjects: &'a [Subject],
    programs: Vec<Program>,
    tickets: BTreeMap<u64, Ticket>,
    open: Vec<u32>,
    attempts: Vec<Vec<Attempt>>,
    confirmed: Vec<bool>,
    host_module: Option<String>,
}

/// Runs all subjects. `on_subject` hears of each as soon as it is judged.
///
/// # Errors
/// The workers cannot be started, or die again and again.
pub fn run_campaign(
    pool: PoolConfig,
    settings: &Settings,
    subjects: &[Subject],
    on_subject: &mut dyn FnMut(&SubjectReport),
) -> Result<CampaignReport, SysError> {
    let mut campaign = Campaign::new(settings, subjects);
    let jobs = campaign.first_jobs();
    let mut pool = Pool::start(pool)?;
    let end = pool.run(jobs, &mut |job, observation| {
        let (more, judged) = campaign.on_done(&job, observation);
        if let Some(subject) = judged {
            on_subject(&campaign.report(subject));
        }
        more
    })?;
    drop(pool);
    let interrupted = match end {
        PoolEnd::Finished => None,
        PoolEnd::Interrupted(signal) => Some(signal),
    };
    let ran = |index: &usize| campaign.attempts.get(*index).is_some_and(|runs| !runs.is_empty());
    let reports: Vec<SubjectReport> =
        (0..subjects.len()).filter(ran).map(|index| campaign.report(index)).collect();
    Ok(CampaignReport { unrun: subjects.len() - reports.len(), subjects: reports, interrupted })
}

impl<'a> Campaign<'a> {
    fn new(settings: &'a Settings, subjects: &'a [Subject]) -> Self {
        let host = std::path::Path::new(&settings.host_program).file_name();
        Self {
            settings,
            subjects,
            programs: subjects.iter().map(|subject| Program::from(&subject.plan)).collect(),
            tickets: BTreeMap::new(),
            open: vec![0; subjects.len()],
            attempts: vec![Vec::new(); subjects.len()],
            confirmed: vec![false; subjects.len()],
            host_module: host.map(|name| name.to_string_lossy().into_owned()),
        }
    }

    fn first_jobs(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (index, subject) in self.subjects.iter().enumerate() {
            let mode = self.settings.mode_for(subject);
            jobs.extend(self.jobs(index, (0, subject.runs.max(1)), mode, false));
        }
        jobs
    }

    /// Jobs for `count` runs of a subject, numbered from `first`.
    fn jobs(
        &mut self,
        index: usize,
        (first, count): (u32, u32),
        mode: LaunchMode,
        confirmation: bool,
    ) -> Vec<Job> {
        let Some(subject) = self.subjects.get(index) else { return Vec::new() };
        if let Some(open) = self.open.get_mut(index) {
            *open += count;
        }
        (first..first + count)
            .map(|run| {
                let id = self.tickets.len() as u64;
                self.tickets.insert(id, Ticket { subject: index, confirmation });
                self.settings.job(subject, id, run, mode)
            })
            .collect()
    }

    /// Takes in a run: more jobs to confirm it, and the subject when all its runs are done.
    fn on_done(&mut self, job: &Job, observation: Observation) -> (Vec<Job>, Option<usize>) {
        let Some(Ticket { subject, confirmation }) = self.tickets.get(&job.id) else {
            return (Vec::new(), None);
        };
        let (subject, confirmation) = (*subject, *confirmation);
        let Some(attempt) = self.attempt(subject, observation) else { return (Vec::new(), None) };
        let fails = attempt.findings.iter().any(|finding| !finding.code.starts_with('E'));
        if let Some(attempts) = self.attempts.get_mut(subject) {
            attempts.push(attempt);
        }
        if let Some(open) = self.open.get_mut(subject) {
            *open = open.saturating_sub(1);
        }
        let more = if fails && !confirmation { self.confirm(subject) } else { Vec::new() };
        let done = self.open.get(subject) == Some(&0);
        (more, done.then_some(subject))
    }

    fn attempt(&self, subject: usize, observation: Observation) -> Option<Attempt> {
        let context = Context {
            program: self.programs.get(subject)?,
            ledger_used: self.settings.ledger,
            host_module: self.host_module.as_deref(),
        };
        let findings = diagnose(&observation, &context);
        let skip = skip_reason(&observation, &context);
        Some(Attempt { findings, skip, observation })
    }

    /// Once per subject: repeats a failing plan in fresh processes, as far as its own runs are
    /// not fresh already.
    fn confirm(&mut self, index: usize) -> Vec<Job> {
        let first_time = self.confirmed.get(index) == Some(&false);
        let Some(subject) = self.subjects.get(index).filter(|_| first_time) else {
            return Vec::new();
        };
        if let Some(confirmed) = self.confirmed.get_mut(index) {
            *confirmed = true;
        }
        let is_fresh = self.settings.mode_for(subject) == LaunchMode::Spawn;
        let fresh = if is_fresh { subject.runs.max(1) } else { 0 };
        let count = self.settings.confirmations.saturating_sub(fresh);
        let first = subject.runs.max(1);
        self.jobs(index, (first, count), LaunchMode::Spawn, true)
    }

    fn report(&self, index: usize) -> SubjectReport {
        let attempts = self.attempts.get(index).cloned().unwrap_or_default();
        let results: Vec<RunResult> = attempts
            .iter()
            .map(|attempt| RunResult {
                findings: attempt.findings.clone(),
                skip: attempt.skip.clone(),
            })
            .collect();
        let subject = self.subjects.get(index).cloned().unwrap_or_else(Subject::empty);
        let verdict = judge(&results, &subject.expect);
        let fresh = (verdict.failed > 0).then(|| fresh_failures(&attempts));
        let rate = fresh.filter(|fresh| fresh.of > 0).map(|fresh| wilson(fresh.failed, fresh.of));
        SubjectReport { subject, attempts, verdict, fresh, rate }
    }
}

/// Failures among the runs in fresh processes that could be observed.
fn fresh_failures(attempts: &[Attempt]) -> Reproduced {
    let observed = attempts.iter().filter(|attempt| {
        attempt.observation.mode == LaunchMode::Spawn
            && !attempt.findings.iter().any(|finding| finding.code.starts_with('E'))
    });
    observed.fold(Reproduced { failed: 0, of: 0 }, |count, attempt| Reproduced {
        failed: count.failed + u32::from(!attempt.findings.is_empty()),
        of: count.of + 1,
    })
}
