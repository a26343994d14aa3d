//! Runs subjects, confirms what failed in fresh processes, and judges.
//!
//! Deliberately absent: retrying until green. A confirmation only ever adds runs to the count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hotfire_plan::scenario::Census;
use hotfire_plan::{Program, plan_id};
use hotfire_sys::{SysError, monotonic_ns};

use super::pool::{Pool, PoolConfig, PoolEnd, Work};
use super::subject::{Settings, Subject, Watching};
use super::sweep::sweep;
use crate::diagnose::{Context, Finding, Reproduced, diagnose, hints_at_leak, skip_reason};
use crate::judge::{
    BaselineEntry, PlanVerdict, Rate, RunResult, judge, judge_entries, judge_known, tell_uncounted,
    wilson,
};
use crate::observe::{CENSUS_OFF, Fact, LaunchMode, NO_HOST, Observation};
use crate::supervise::Job;
use crate::symbolize::LineReader;

/// What an untraced run does not protect.
const UNTRACED: &str = "the runs are not traced; only each child itself is protected";

/// What is said of names in shared memory that another program may have made.
const UNCLAIMED: &str = "the run's processes were not seen to hold them alone; they are left there";

/// One run with what it showed. Only the first run of each finding keeps its facts: a campaign of
/// a hundred thousand runs must fit into memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// How the child was made.
    pub mode: LaunchMode,
    /// Wall time in microseconds.
    pub wall_us: u64,
    /// What is wrong, the most important first. Later runs of a known finding keep no evidence.
    pub findings: Vec<Finding>,
    /// Why it proves nothing.
    pub skip: Option<String>,
    /// What could not be seen: what, and why.
    pub unseen: Vec<(&'static str, String)>,
    /// The facts, in the first run of each finding, and in the first of all where that is wanted.
    pub observation: Option<Box<Observation>>,
}

/// Makes attempts of observations: what was seen before is not kept again.
pub(super) struct Looking<'a> {
    pub(super) context: Context<'a>,
    pub(super) seen: BTreeSet<String>,
    /// The next one keeps its facts, whatever it shows.
    pub(super) keeps_first: bool,
}

impl Looking<'_> {
    /// Lines are looked up once for each finding: they cost more than a run.
    pub(super) fn attempt(
        &mut self,
        mut observation: Observation,
        lines: &mut LineReader,
    ) -> Attempt {
        let mut findings = diagnose(&observation, &self.context);
        let mut without_lines = Vec::new();
        if findings.iter().any(|finding| !self.seen.contains(&finding.id)) {
            without_lines = lines.add_lines(&mut observation);
            findings = diagnose(&observation, &self.context);
        }
        let skip = skip_reason(&observation, &self.context);
        let mut is_first = std::mem::take(&mut self.keeps_first);
        for finding in &mut findings {
            if self.seen.insert(finding.id.clone()) {
                is_first = true;
            } else {
                strip(finding);
            }
        }
        Attempt {
            mode: observation.mode,
            wall_us: observation.wall_us,
            findings,
            skip,
            unseen: without_lines
                .into_iter()
                .map(|reason| ("some lines of source", reason))
                .chain(unseen(&observation))
                .collect(),
            observation: is_first.then(|| Box::new(observation)),
        }
    }
}

/// Every finding once, with the facts of the first run that showed it.
pub(super) fn first_findings(
    attempts: &[Attempt],
) -> impl Iterator<Item = (&Observation, &Finding)> {
    let mut seen = BTreeSet::new();
    attempts
        .iter()
        .filter_map(|attempt| Some((attempt.observation.as_deref()?, &attempt.findings)))
        .flat_map(|(observation, findings)| findings.iter().map(move |one| (observation, one)))
        .filter(move |(_, finding)| seen.insert(finding.id.clone()))
}

impl Attempt {
    /// What the judge wants to know of it.
    pub(super) fn result(&self) -> RunResult {
        RunResult {
            findings: self.findings.clone(),
            skip: self.skip.clone(),
            fresh: self.mode == LaunchMode::Spawn,
        }
    }

    pub(super) fn shows(&self, id: &str) -> bool {
        self.findings.iter().any(|finding| finding.id == id)
    }

    fn is_blind(&self) -> bool {
        self.findings.iter().any(|finding| finding.code.starts_with('E'))
    }
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
    /// The interval of the failure rate in fresh processes; `None` when there was no failure.
    pub rate: Option<Rate>,
    /// How its runs were watched.
    pub watching: Watching,
    /// From the begin of its first run to the end of its last, microseconds. Its runs may lie
    /// beside one another, and between them may lie runs of other plans.
    pub wall_us: u64,
}

impl SubjectReport {
    /// The finding that the verdict is about, with the run that kept its facts.
    #[must_use]
    pub fn main_finding(&self) -> Option<(&Observation, &Finding)> {
        let id = self.verdict.finding_id.as_deref()?;
        self.first_findings().find(|(_, finding)| finding.id == id)
    }

    /// The facts of the first run, where they were kept.
    #[must_use]
    pub fn first_run(&self) -> Option<&Observation> {
        self.attempts.first()?.observation.as_deref()
    }

    /// Every finding once, with the facts of the first run that showed it.
    pub fn first_findings(&self) -> impl Iterator<Item = (&Observation, &Finding)> {
        first_findings(&self.attempts)
    }

    /// In how many of the observed fresh processes a finding showed.
    #[must_use]
    pub fn reproduced(&self, id: &str) -> Option<Reproduced> {
        let fresh = || fresh(&self.attempts);
        let of = count(fresh().count());
        let failed = count(fresh().filter(|attempt| attempt.shows(id)).count());
        (of > 0).then_some(Reproduced { failed, of })
    }
}

/// A campaign's result.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignReport {
    /// The subjects that had at least one run, in the order given.
    pub subjects: Vec<SubjectReport>,
    /// The baseline's entries, judged by all subjects; empty when the campaign ended early.
    pub baseline: Vec<BaselineEntry>,
    /// Subjects with runs that were not made, in the order given; empty unless it ended early.
    pub unrun: Vec<Unrun>,
    /// The signal that ended the campaign early.
    pub interrupted: Option<i32>,
    /// Why workers could not be kept alive; the campaign ended early.
    pub failure: Option<String>,
}

/// What an early end kept from being run.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrun {
    /// What was to be run.
    pub subject: Subject,
    /// How many runs are missing, confirmations included.
    pub missing: u32,
    /// How many of these were under way and were ended.
    pub in_flight: u32,
    /// How many runs were made.
    pub made: u32,
}

/// Which run of which subject a job is.
struct Ticket {
    subject: usize,
    confirmation: bool,
    /// What was seen of this run at its ends, when it is made again to be looked at more closely.
    first_look: Option<Box<Observation>>,
}

/// What becomes of one subject.
#[derive(Default)]
struct Progress {
    /// Runs that were asked for and have not ended.
    open: u32,
    /// First runs that have been handed out.
    handed_out: u32,
    confirmed: bool,
    /// Something stays: its runs are looked at after each step.
    is_close: bool,
    seen: BTreeSet<String>,
    /// When the first run began and the last ended (CLOCK_MONOTONIC, nanoseconds).
    span_ns: Option<(u64, u64)>,
    attempts: Vec<Attempt>,
    report: Option<SubjectReport>,
}

struct Campaign<'a> {
    settings: &'a Settings,
    subjects: &'a [Subject],
    programs: Vec<Program>,
    tickets: BTreeMap<u64, Ticket>,
    next_id: u64,
    confirmations: VecDeque<Job>,
    progress: Vec<Progress>,
    host_module: Option<String>,
    lines: LineReader,
    on_subject: &'a mut dyn FnMut(&SubjectReport),
}

/// Runs all subjects. `on_subject` hears of each as soon as it is judged.
///
/// # Errors
/// The workers cannot be started.
pub fn run_campaign(
    pool: PoolConfig,
    settings: &Settings,
    subjects: &[Subject],
    on_subject: &mut dyn FnMut(&SubjectReport),
) -> Result<CampaignReport, SysError> {
    let lines = LineReader::new(pool.program.clone());
    let mut campaign = Campaign::new(settings, subjects, lines, on_subject);
    let mut pool = Pool::start(pool)?;
    let end = pool.work(&mut campaign);
    let in_hand = pool.in_hand();
    // The pool ends whatever child is left.
    campaign.lines.rest();
    drop(pool);
    let (interrupted, failure) = match end {
        PoolEnd::Finished => (None, None),
        PoolEnd::Interrupted(signal) => (Some(signal), None),
        PoolEnd::Failed(error) => (None, Some(error.to_string())),
    };
    let unrun = campaign.unrun(&in_hand);
    let mut reports = campaign.into_reports();
    let mut baseline = Vec::new();
    // Half a campaign proves nothing gone.
    if interrupted.is_none() && failure.is_none() {
        let verdicts = reports.iter_mut().map(|report| &mut report.verdict);
        baseline = judge_entries(&mut verdicts.collect::<Vec<_>>(), &settings.baseline);
    }
    Ok(CampaignReport { subjects: reports, baseline, unrun, interrupted, failure })
}

impl Work for Campaign<'_> {
    fn next(&mut self) -> Option<Job> {
        if let Some(job) = self.confirmations.pop_front() {
            return Some(job);
        }
        let (index, run) = self.progress.iter_mut().zip(self.subjects).enumerate().find_map(
            |(index, (progress, subject))| {
                let run = progress.handed_out;
                (run < subject.runs.max(1)).then(|| {
                    progress.handed_out += 1;
                    (index, run)
                })
            },
        )?;
        let mode = self.settings.mode_for(self.subjects.get(index)?);
        self.job(index, run, mode, false)
    }

    fn done(&mut self, job: Job, observation: Observation) {
        let Some(ticket) = self.tickets.remove(&job.id) else { return };
        let Ticket { subject, confirmation, first_look } = ticket;
        // The look that was close from the start is the last one.
        let is_asked = job.census == Census::Ends || first_look.is_some();
        let hints = is_asked && self.hints_at_leak(subject, &observation);
        if hints && job.census == Census::Ends {
            return self.look_closer(job, subject, confirmation, observation);
        }
        // The closer look shows what the first one saw, but for something that comes and goes.
        let observation = match first_look {
            Some(first_look) if !hints => *first_look,
            Some(first_look) => {
                sweep(&first_look, &observation);
                observation
            }
            None => observation,
        };
        let Some(attempt) = self.attempt(subject, observation) else { return };
        let fails = !attempt.findings.is_empty() && !attempt.is_blind();
        if let Some(progress) = self.progress.get_mut(subject) {
            progress.open = progress.open.saturating_sub(1);
            progress.extend_span(attempt.wall_us);
            progress.attempts.push(attempt);
        }
        if fails && !confirmation {
            self.confirm(subject);
        }
        if self.progress.get(subject).is_some_and(|progress| progress.open == 0) {
            self.judge(subject);
        }
    }
}

impl<'a> Campaign<'a> {
    fn new(
        settings: &'a Settings,
        subjects: &'a [Subject],
        lines: LineReader,
        on_subject: &'a mut dyn FnMut(&SubjectReport),
    ) -> Self {
        let host = std::path::Path::new(&settings.host_program).file_name();
        let progress =
            |subject: &Subject| Progress { open: subject.runs.max(1), ..Progress::default() };
        Self {
            settings,
            subjects,
            programs: subjects.iter().map(|subject| Program::from(&subject.plan)).collect(),
            tickets: BTreeMap::new(),
            next_id: 0,
            confirmations: VecDeque::new(),
            progress: subjects.iter().map(progress).collect(),
            host_module: host.map(|name| name.to_string_lossy().into_owned()),
            lines,
            on_subject,
        }
    }

    /// The job of one run of a subject.
    fn job(&mut self, index: usize, run: u32, mode: LaunchMode, confirmation: bool) -> Option<Job> {
        let id = self.next_id;
        self.next_id += 1;
        self.tickets.insert(id, Ticket { subject: index, confirmation, first_look: None });
        let job = self.settings.job(self.subjects.get(index)?, id, run, mode);
        let is_close = self.progress.get(index)?.is_close && job.census == Census::Ends;
        Some(if is_close { Job { census: Census::Steps, ..job } } else { job })
    }

    fn hints_at_leak(&self, subject: usize, observation: &Observation) -> bool {
        self.context(subject).is_some_and(|context| hints_at_leak(observation, &context))
    }

    /// Makes the run again with a census after each step, which tells where things are born, and
    /// whose a name in shared memory is.
    fn look_closer(&mut self, job: Job, subject: usize, confirmation: bool, seen: Observation) {
        let id = self.next_id;
        self.next_id += 1;
        let first_look = Some(Box::new(seen));
        self.tickets.insert(id, Ticket { subject, confirmation, first_look });
        if let Some(progress) = self.progress.get_mut(subject) {
            progress.is_close = true;
        }
        self.confirmations.push_front(Job { id, census: Census::Steps, ..job });
    }

    fn context(&self, subject: usize) -> Option<Context<'_>> {
        Some(Context {
            program: self.programs.get(subject)?,
            ledger_used: self.settings.watching.ledger,
            host_module: self.host_module.as_deref(),
        })
    }

    fn attempt(&mut self, subject: usize, observation: Observation) -> Option<Attempt> {
        let progress = self.progress.get_mut(subject)?;
        let keeps_first = self.settings.keep_first && progress.attempts.is_empty();
        let seen = std::mem::take(&mut progress.seen);
        let context = Context {
            program: self.programs.get(subject)?,
            ledger_used: self.settings.watching.ledger,
            host_module: self.host_module.as_deref(),
        };
        let mut looking = Looking { context, seen, keeps_first };
        let attempt = looking.attempt(observation, &mut self.lines);
        let seen = looking.seen;
        self.progress.get_mut(subject)?.seen = seen;
        Some(attempt)
    }

    /// Once per subject: repeats a failing plan in fresh processes, as far as its own runs are
    /// not fresh already.
    fn confirm(&mut self, index: usize) {
        let Some(subject) = self.subjects.get(index) else { return };
        let is_fresh = self.settings.mode_for(subject) == LaunchMode::Spawn;
        let runs = subject.runs.max(1);
        let count = self.settings.confirmations.saturating_sub(if is_fresh { runs } else { 0 });
        let Some(progress) = self.progress.get_mut(index).filter(|progress| !progress.confirmed)
        else {
            return;
        };
        progress.confirmed = true;
        progress.open += count;
        for run in runs..runs + count {
            let job = self.job(index, run, LaunchMode::Spawn, true);
            self.confirmations.extend(job);
        }
    }

    fn judge(&mut self, index: usize) {
        let Some(subject) = self.subjects.get(index) else { return };
        let Some(progress) = self.progress.get_mut(index) else { return };
        let report = judged(subject, progress, self.settings);
        let report = progress.report.insert(report);
        (self.on_subject)(report);
    }

    /// The reports of all subjects that had a run; those that were interrupted are judged by what
    /// they had.
    fn into_reports(self) -> Vec<SubjectReport> {
        let settings = self.settings;
        self.progress
            .into_iter()
            .zip(self.subjects)
            .filter_map(|(mut progress, subject)| {
                let had_runs = !progress.attempts.is_empty();
                let report = progress.report.take();
                report.or_else(|| had_runs.then(|| judged(subject, &mut progress, settings)))
            })
            .collect()
    }

    /// What was asked for and not made; `in_hand` are the jobs that workers ran at the end.
    fn unrun(&self, in_hand: &BTreeSet<u64>) -> Vec<Unrun> {
        let under_way = |index: usize| {
            let tickets = in_hand.iter().filter_map(|id| self.tickets.get(id));
            count(tickets.filter(|ticket| ticket.subject == index).count())
        };
        self.progress
            .iter()
            .zip(self.subjects)
            .enumerate()
            .filter(|(_, (progress, _))| progress.open > 0)
            .map(|(index, (progress, subject))| Unrun {
                subject: subject.clone(),
                missing: progress.open,
                in_flight: under_way(index),
                made: count(progress.attempts.len()),
            })
            .collect()
    }
}

impl Progress {
    /// A run of this length has just ended.
    fn extend_span(&mut self, wall_us: u64) {
        let now = monotonic_ns();
        let begun = now.saturating_sub(wall_us.saturating_mul(1000));
        let first = self.span_ns.map_or(begun, |(first, _)| first.min(begun));
        self.span_ns = Some((first, now));
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn judged(subject: &Subject, progress: &mut Progress, settings: &Settings) -> SubjectReport {
    let attempts = std::mem::take(&mut progress.attempts);
    let results: Vec<RunResult> = attempts.iter().map(Attempt::result).collect();
    let mut verdict = judge(&results, &subject.expect);
    if subject.census == Census::Off {
        tell_uncounted(&mut verdict, &subject.expect, "the census is off");
    } else if !settings.watching.traced {
        tell_uncounted(&mut verdict, &subject.expect, "untraced runs have no census");
    }
    let id = plan_id(&subject.plan);
    let name = subject.name(&id);
    judge_known(&mut verdict, &results, &subject.expect, name, &settings.baseline);
    let (failed, of) = fresh(&attempts).fold((0, 0), |(failed, of), attempt| {
        (failed + u32::from(!attempt.findings.is_empty()), of + 1)
    });
    let rate = (verdict.failed > 0 && of > 0).then(|| wilson(failed, of));
    let wall_us = progress.span_ns.map_or(0, |(first, last)| last.saturating_sub(first) / 1000);
    let watching = settings.watching;
    SubjectReport { subject: subject.clone(), attempts, verdict, rate, watching, wall_us }
}

/// Runs in fresh processes that could be observed.
fn fresh(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(|attempt| attempt.mode == LaunchMode::Spawn && !attempt.is_blind())
}

/// What a repeated finding need not carry again.
pub(super) fn strip(finding: &mut Finding) {
    finding.evidence.clear();
    finding.threads.clear();
    finding.output_tail = None;
    finding.minimal_plan = None;
}

fn unseen(observation: &Observation) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    if let Fact::Unavailable(reason) = &observation.recorder
        && reason != NO_HOST
    {
        notes.push(("recorder", reason.clone()));
    }
    if !observation.traced {
        notes.push(("threads, registers and hidden processes", UNTRACED.to_owned()));
    }
    match &observation.census {
        // Untraced runs are told above.
        Fact::Unavailable(reason) if observation.traced && reason != CENSUS_OFF => {
            notes.push(("the census", reason.clone()));
        }
        Fact::Known(census) if census.points_cut > 0 => {
            notes.push(("a part of the census", "more step borders than are kept".to_owned()));
        }
        Fact::Known(census) if !census.shared_unclaimed.is_empty() => {
            notes.push(("who made new names in /dev/shm", UNCLAIMED.to_owned()));
        }
        _ => {}
    }
    notes.extend(observation.mode_note.iter().map(|note| ("fork mode", note.clone())));
    let errors = observation.soft_errors.iter();
    notes.extend(errors.map(|error| ("a part of an observation", error.clone())));
    notes
}

#[cfg(test)]
mod tests {
    use crate::observe::{CensusRecord, bare_observation};

    use super::*;

    fn told(census: Fact<CensusRecord>) -> Vec<(&'static str, String)> {
        let mut notes = unseen(&Observation { census, ..bare_observation() });
        notes.retain(|(what, _)| *what != "recorder");
        notes
    }

    #[test]
    fn what_the_census_could_not_see_is_told() {
        assert_eq!(told(Fact::Unavailable(CENSUS_OFF.to_owned())), []);
        assert_eq!(told(Fact::Known(CensusRecord::default())), []);
        let reason = "the border before the exit was not seen";
        assert_eq!(told(Fact::Unavailable(reason.to_owned())), [("the census", reason.to_owned())]);
        let cut = CensusRecord { points_cut: 1, ..CensusRecord::default() };
        assert_eq!(told(Fact::Known(cut)).len(), 1);
        let shared_unclaimed = vec!["ring".to_owned()];
        let unclaimed = CensusRecord { shared_unclaimed, ..CensusRecord::default() };
        assert_eq!(told(Fact::Known(unclaimed)).len(), 1);
    }
}
