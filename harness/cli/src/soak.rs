//! `run --soak N`: beside each plan, the same lifecycle N times in one process; and what it means
//! when only that fails.
//!
//! Deliberately absent: how a plan is made to cycle (hotfire-plan), what is chance and what is not
//! (hotfire-core's `judge`), and growth from cycle to cycle.

use std::collections::BTreeMap;

use hotfire_core::campaign::{Attempt, CampaignReport, Subject, SubjectReport};
use hotfire_core::diagnose::{Evidence, Finding, LikelyCause};
use hotfire_core::judge::{SoakRuns, SoakVerdict, judge_soak};
use hotfire_core::report::Unavailable;
use hotfire_plan::scenario::Expectation;
use hotfire_plan::{Program, Soaked};

use crate::args::RunArgs;

/// Runs of a plan alone, where nobody says how many: without them a soak proves nothing.
const ALONE_RUNS: u32 = 20;
/// The longest soak, however many cycles; a wait has a deadline.
const RUN_MS_MAX: u64 = 3_600_000;
/// The rule that names the cause.
const RULE: &str = "state-left-over";
const ENDS_OTHERWISE: &str =
    "a finding is expected of it, and a cycle would end otherwise: it would drop the engines";
const CAUSE: &str = "state is left over from earlier cycles";

/// The soaks of an invocation.
#[derive(Debug, Default)]
pub(crate) struct Soaks {
    pairs: Vec<Pair>,
    /// Scenarios whose plans have no cycles, by the reason.
    refused: BTreeMap<String, Vec<String>>,
}

/// A plan and its soak.
#[derive(Debug)]
struct Pair {
    alone: Subject,
    soak: Subject,
    soaked: Soaked,
}

/// The subjects, each followed by its soak where one was asked for and the plan has cycles.
pub(crate) fn with_soaks(subjects: Vec<Subject>, args: &RunArgs) -> (Vec<Subject>, Soaks) {
    let mut soaks = Soaks::default();
    let Some(cycles) = args.soak else { return (subjects, soaks) };
    let mut all = Vec::new();
    for subject in subjects {
        let soaked = match soaked(&subject, cycles) {
            Ok(soaked) => soaked,
            Err(why) => {
                soaks.refused.entry(why).or_default().push(subject.scenario.clone());
                all.push(subject);
                continue;
            }
        };
        let compares = subject.expect == Expectation::Pass && args.runs.is_none();
        let runs = subject.runs.max(if compares { cycles.min(ALONE_RUNS) } else { 0 });
        let soak = soak_of(&subject, &soaked, args.shared.timeout.is_some());
        let alone = Subject { runs, ..subject };
        all.extend([alone.clone(), soak.clone()]);
        soaks.pairs.push(Pair { alone, soak, soaked });
    }
    (all, soaks)
}

fn soaked(subject: &Subject, cycles: u32) -> Result<Soaked, String> {
    let soaked = Soaked::new(&subject.plan, cycles).map_err(|why| why.to_string())?;
    if soaked.drops > 0 && subject.expect != Expectation::Pass {
        return Err(ENDS_OTHERWISE.to_owned());
    }
    Ok(soaked)
}

/// What is expected of one lifecycle holds for each cycle; the limits of a step stay, that of the
/// run grows unless it was given.
fn soak_of(subject: &Subject, soaked: &Soaked, keep_limit: bool) -> Subject {
    let mut soak = Subject { plan: soaked.plan.clone(), runs: 1, ..subject.clone() };
    if !keep_limit {
        let limit = soak.limits.run_ms;
        let longest = limit.max(RUN_MS_MAX);
        soak.limits.run_ms = limit.saturating_mul(u64::from(soaked.cycles)).min(longest);
    }
    let steps = Program::from(&subject.plan).steps.len();
    if let Expectation::Finding(expected) = &mut soak.expect {
        expected.step.iter_mut().for_each(|step| *step = soaked.step(*step, steps));
    }
    soak
}

impl Soaks {
    /// Says of each soak that failed whether its plan fails alone, too, and what follows.
    pub(crate) fn judge(&self, campaign: &mut CampaignReport) {
        for pair in &self.pairs {
            let place = |wanted: &Subject| {
                campaign.subjects.iter().position(|report| report.subject == *wanted)
            };
            let (alone, soak) = (place(&pair.alone), place(&pair.soak));
            let alone = alone.and_then(|index| campaign.subjects.get(index)).map(Lives::of);
            let soak = soak.and_then(|index| campaign.subjects.get_mut(index));
            if let (Some(alone), Some(soak)) = (alone, soak) {
                judge(pair, &alone, soak);
            }
        }
    }

    /// What was not soaked, with the reason.
    pub(crate) fn unavailable(&self) -> Vec<Unavailable> {
        let line = |(why, names): (&String, &Vec<String>)| {
            let mut names = names.clone();
            names.dedup();
            Unavailable { what: format!("soak of {}", names.join(", ")), reason: why.clone() }
        };
        self.refused.iter().map(line).collect()
    }
}

/// What became of the runs that were observed. What is left behind is no failure here: it grows
/// with the cycles, and no cycle ends of it.
#[derive(Default)]
struct Lives {
    passed: u32,
    failed: u32,
}

impl Lives {
    fn of(report: &SubjectReport) -> Self {
        let mut lives = Self::default();
        for attempt in report.attempts.iter().filter(|attempt| attempt.skip.is_none()) {
            match attempt.findings.first() {
                Some(finding) if finding.code.starts_with('E') => {}
                _ if failure(attempt).is_some() => lives.failed += 1,
                _ => lives.passed += 1,
            }
        }
        lives
    }
}

fn judge(pair: &Pair, alone: &Lives, soak: &mut SubjectReport) {
    let failures: Vec<&Finding> = soak.attempts.iter().filter_map(failure).collect();
    let cycles: Vec<Option<u32>> =
        failures.iter().map(|finding| cycle(finding, &pair.soaked)).collect();
    let Some(id) = failures.first().map(|finding| finding.id.clone()) else { return };
    if pair.soak.expect != Expectation::Pass {
        return;
    }
    if alone.failed > 0 {
        explain(soak, "it fails in processes of its own, too".to_owned());
        return;
    }
    let Lives { passed, failed } = Lives::of(soak);
    let verdict = judge_soak(SoakRuns {
        alone: alone.passed,
        cycles: pair.soaked.cycles,
        passed,
        failed_in: &cycles,
    });
    let conclusion = match verdict {
        SoakVerdict::LeftOver => CAUSE.to_owned(),
        SoakVerdict::MayBeChance { runs } => {
            format!("it may be chance, --runs {runs} would tell")
        }
    };
    let place = place(&cycles, pair.soaked.cycles);
    let claim = format!("only in one process, {place}: {conclusion}");
    let counts = format!(
        "{failed} of {} soaks failed; in processes of their own {alone} of {alone} passed",
        failed + passed,
        alone = alone.passed
    );
    explain(soak, format!("{claim} ({counts})"));
    tell(soak, &id, [claim, counts], verdict);
}

/// What the baseline says of it stays.
fn explain(soak: &mut SubjectReport, text: String) {
    let known = soak.verdict.reason.take().filter(|_| soak.verdict.known.is_some());
    soak.verdict.reason = Some(known.map_or(text.clone(), |known| format!("{known}; {text}")));
}

/// What ended the run, or went wrong in a step.
fn failure(attempt: &Attempt) -> Option<&Finding> {
    attempt.findings.first().filter(|it| !it.code.starts_with('E') && !it.is_left_behind())
}

/// The cycle of the step that the finding is about. `None`: it came after the last cycle, or in a
/// hammer.
fn cycle(finding: &Finding, soaked: &Soaked) -> Option<u32> {
    let step = finding.step.as_ref()?;
    soaked.cycle_of(step.index, step.iteration)
}

fn place(cycles: &[Option<u32>], of: u32) -> String {
    let known: Vec<u32> = cycles.iter().flatten().copied().collect();
    match (known.iter().min(), known.iter().max()) {
        _ if known.len() < cycles.len() => format!("within or after {of} cycles"),
        (Some(first), Some(last)) if first == last => format!("in cycle {first} of {of}"),
        (Some(first), Some(last)) => format!("in cycles {first} to {last} of {of}"),
        _ => format!("within or after {of} cycles"),
    }
}

/// Puts the comparison into the finding. A cause that was named by what the crash itself shows
/// stays.
fn tell(soak: &mut SubjectReport, id: &str, facts: [String; 2], verdict: SoakVerdict) {
    let findings = soak
        .attempts
        .iter_mut()
        .filter(|attempt| attempt.observation.is_some())
        .flat_map(|attempt| &mut attempt.findings);
    for finding in findings.filter(|finding| finding.id == id) {
        let facts = facts.clone().map(|text| Evidence { text, source: "soak".to_owned() });
        finding.evidence.splice(0..0, facts);
        if verdict == SoakVerdict::LeftOver && finding.likely_cause.is_none() {
            finding.likely_cause = Some(LikelyCause {
                rule: RULE.to_owned(),
                text: CAUSE.to_owned(),
                signs: 2,
                of: 2,
            });
        }
    }
}
