//! `run --soak N`: beside each plan, the same lifecycle N times in one process; and what it means
//! when only that fails.
//!
//! Deliberately absent: how a plan is made to cycle (hotfire-plan), what is chance and what is not
//! (hotfire-core's `judge`), and growth from cycle to cycle.

use std::collections::BTreeMap;

use hotfire_core::campaign::{Attempt, CampaignReport, Subject, SubjectReport};
use hotfire_core::diagnose::{Evidence, LikelyCause};
use hotfire_core::judge::{SoakVerdict, judge_soak};
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
            let alone = alone.and_then(|index| campaign.subjects.get(index)).map(Alone::of);
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

/// How a plan did in processes of its own.
struct Alone {
    passed: u32,
    failed: u32,
}

impl Alone {
    fn of(report: &SubjectReport) -> Self {
        let passes = |it: &&Attempt| it.findings.is_empty() && it.skip.is_none();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            passed: count(report.attempts.iter().filter(passes).count()),
            failed: report.verdict.failed,
        }
    }
}

fn judge(pair: &Pair, alone: &Alone, soak: &mut SubjectReport) {
    let failing = soak.attempts.iter().filter(|attempt| is_failure(attempt));
    let cycles: Vec<Option<u32>> = failing.map(|attempt| cycle(attempt, &pair.soaked)).collect();
    if cycles.is_empty() || pair.soak.expect != Expectation::Pass {
        return;
    }
    if alone.failed > 0 {
        explain(soak, "it fails in processes of its own, too".to_owned());
        return;
    }
    // What failed after the last cycle, or in a hammer, failed in the last cycle at the latest.
    let latest: Vec<u32> = cycles.iter().map(|it| it.unwrap_or(pair.soaked.cycles)).collect();
    let verdict = judge_soak(alone.passed, &latest);
    let conclusion = match verdict {
        SoakVerdict::LeftOver => CAUSE.to_owned(),
        SoakVerdict::MayBeChance { runs } => {
            format!("it may be chance, --runs {runs} would tell")
        }
    };
    let place = place(&cycles, pair.soaked.cycles);
    let claim = format!("only in one process, {place}: {conclusion}");
    let counts = format!(
        "{} of {} soaks failed; in processes of their own {passed} of {passed} passed",
        soak.verdict.failed,
        soak.verdict.runs,
        passed = alone.passed
    );
    explain(soak, format!("{claim} ({counts})"));
    tell(soak, [claim, counts], verdict);
}

/// What the baseline says of it stays.
fn explain(soak: &mut SubjectReport, text: String) {
    let known = soak.verdict.reason.take().filter(|_| soak.verdict.known.is_some());
    soak.verdict.reason = Some(known.map_or(text.clone(), |known| format!("{known}; {text}")));
}

fn is_failure(attempt: &Attempt) -> bool {
    attempt.findings.first().is_some_and(|finding| !finding.code.starts_with('E'))
}

/// The cycle of the step that the run's finding is about.
fn cycle(attempt: &Attempt, soaked: &Soaked) -> Option<u32> {
    let step = attempt.findings.first()?.step.as_ref()?;
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
fn tell(soak: &mut SubjectReport, facts: [String; 2], verdict: SoakVerdict) {
    let Some(id) = soak.verdict.finding_id.clone() else { return };
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
