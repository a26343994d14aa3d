//! The verdict of a plan: what its runs showed against what the scenario expects.
//!
//! Deliberately absent: how many runs to make, and what to print.

use hotfire_plan::scenario::{Expectation, ExpectedFinding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::Sighting;
use super::interval::{Rate, wilson};
use super::known::KnownIssue;
use crate::diagnose::{Code, Finding};

/// What one run showed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunResult {
    /// Its findings, the most important first.
    pub findings: Vec<Finding>,
    /// Why it proves nothing, when the engine is not here or lacks an operation.
    pub skip: Option<String>,
    /// Whether it ran in a fresh process: rates are told from these alone.
    pub fresh: bool,
}

impl RunResult {
    pub(super) fn is_blind(&self) -> bool {
        self.first().is_some_and(is_environment)
    }

    /// The finding that the verdict is about. Those after it are its company: an orphan that a
    /// crash leaves behind is told, and judged with the crash; only the baseline must list it, too.
    pub(super) fn first(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

/// Findings that tell nothing of the engine: they start with E.
fn is_environment(finding: &Finding) -> bool {
    finding.code.starts_with('E')
}

/// What the finding is against the expectation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What the scenario expects.
    AsExpected,
    /// Something that it does not expect.
    New,
    /// It failed in some runs of the same plan, and passed in others.
    Flaky,
    /// The baseline lists what failed: not as it should be, but nothing new.
    Known,
    /// The baseline lists what failed, and its date has passed.
    Expired,
    /// It passed often enough to say that what the baseline lists is gone.
    Fixed,
    /// The engine is not here, or has no such operation.
    Skipped,
    /// What is required could not be observed.
    Blind,
}

impl Verdict {
    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsExpected => "as-expected",
            Self::New => "new",
            Self::Flaky => "flaky",
            Self::Known => "known",
            Self::Expired => "expired",
            Self::Fixed => "fixed",
            Self::Skipped => "skipped",
            Self::Blind => "blind",
        }
    }
}

/// The verdict of one plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanVerdict {
    /// PASS, the finding's status word, SKIP or BLIND.
    pub status: String,
    /// Against the expectation.
    pub verdict: Verdict,
    /// The expected status words, joined by `|`; `None` where a pass is expected.
    pub expected: Option<String>,
    /// Runs that were observed.
    pub runs: u32,
    /// Observed runs with a finding.
    pub failed: u32,
    /// Runs that could not be observed.
    pub blind: u32,
    /// The interval of `failed` of `runs`; `None` without an observed run or a failure.
    pub rate: Option<Rate>,
    /// The finding that the verdict is about: run and place in its list.
    pub finding: Option<(usize, usize)>,
    /// Its id.
    pub finding_id: Option<String>,
    /// The code of an environment finding, which decides the exit status.
    pub blind_code: Option<String>,
    /// What the baseline says of the finding, or of the one that is gone.
    pub known: Option<KnownIssue>,
    /// What the runs say of each entry of the baseline that names the plan.
    pub sightings: Vec<Sighting>,
    /// Why it was skipped, is blind, or is not as expected; a lowercase fragment.
    pub reason: Option<String>,
}

/// Judges all runs of one plan.
#[must_use]
pub fn judge(results: &[RunResult], expectation: &Expectation) -> PlanVerdict {
    let observed: Vec<(usize, &RunResult)> =
        results.iter().enumerate().filter(|(_, result)| !result.is_blind()).collect();
    let failing: Vec<(usize, &Finding)> = observed
        .iter()
        .filter_map(|(run, result)| result.first().map(|finding| (*run, finding)))
        .collect();
    let runs = count(observed.len());
    let failed = count(failing.len());
    let mut verdict = PlanVerdict {
        status: "PASS".to_owned(),
        verdict: Verdict::AsExpected,
        expected: expected_words(expectation),
        runs,
        failed,
        blind: count(results.len()) - runs,
        rate: (failed > 0).then(|| wilson(failed, runs)),
        finding: None,
        finding_id: None,
        blind_code: None,
        known: None,
        sightings: Vec::new(),
        reason: None,
    };
    match expectation {
        Expectation::Pass => judge_pass(&mut verdict, &failing),
        Expectation::Finding(expected) => judge_expected(&mut verdict, &failing, expected),
    }
    if failing.is_empty() {
        judge_unseen(&mut verdict, results);
    }
    verdict
}

/// Says of a leak that was expected and not seen why nobody counted.
pub fn tell_uncounted(verdict: &mut PlanVerdict, expectation: &Expectation, why: &str) {
    let Expectation::Finding(expected) = expectation else { return };
    let is_leak = expected.status.iter().any(|status| status == Code::FdLeak.status());
    let is_unseen = verdict.verdict == Verdict::New && verdict.failed == 0;
    if is_leak && is_unseen {
        let reason = verdict.reason.take().unwrap_or_default();
        verdict.reason = Some(format!("{reason}; {why}"));
    }
}

fn judge_pass(verdict: &mut PlanVerdict, failing: &[(usize, &Finding)]) {
    let Some(first) = failing.first() else { return };
    set_finding(verdict, *first);
    if verdict.failed < verdict.runs {
        verdict.verdict = Verdict::Flaky;
        verdict.reason = Some(format!("failed in {} of {} runs", verdict.failed, verdict.runs));
    } else {
        verdict.verdict = Verdict::New;
    }
}

fn judge_expected(
    verdict: &mut PlanVerdict,
    failing: &[(usize, &Finding)],
    expected: &ExpectedFinding,
) {
    let other = failing.iter().find(|(_, finding)| !matches(finding, expected));
    match (other, failing.first()) {
        (Some(other), _) => {
            set_finding(verdict, *other);
            verdict.verdict = Verdict::New;
            verdict.reason = Some(mismatch(other.1, expected));
        }
        (None, Some(first)) => set_finding(verdict, *first),
        (None, None) => {
            verdict.verdict = Verdict::New;
            let words = verdict.expected.as_deref().unwrap_or("a finding");
            let runs = runs_of(verdict.runs);
            verdict.reason = Some(format!("expected {words}, saw none in {runs}"));
        }
    }
}

/// No observed run shows a finding: runs that were skipped or not observed decide.
fn judge_unseen(verdict: &mut PlanVerdict, results: &[RunResult]) {
    if set_blind(verdict, results) {
        return;
    }
    if let Some(reason) = results.iter().find_map(|result| result.skip.as_ref()) {
        verdict.verdict = Verdict::Skipped;
        verdict.status = "SKIP".to_owned();
        verdict.reason = Some(reason.clone());
    } else if results.is_empty() {
        verdict.verdict = Verdict::Skipped;
        verdict.status = "SKIP".to_owned();
        verdict.reason = Some("no run was made".to_owned());
    }
}

/// Calls the plan blind, where any of its runs could not be observed.
pub(super) fn set_blind(verdict: &mut PlanVerdict, results: &[RunResult]) -> bool {
    let blind = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_blind())
        .find_map(|(run, result)| Some((run, result.first()?)));
    let Some((run, finding)) = blind else { return false };
    set_finding(verdict, (run, finding));
    verdict.verdict = Verdict::Blind;
    verdict.status = Code::ObserverLost.status().to_owned();
    verdict.blind_code = Some(finding.code.clone());
    let why = finding.evidence.first().map(|evidence| format!(": {}", evidence.text));
    let why = why.unwrap_or_default();
    let of = runs_of(count(results.len()));
    verdict.reason = Some(format!("{} of {of}: {}{why}", verdict.blind, finding.title));
    true
}

fn set_finding(verdict: &mut PlanVerdict, (run, finding): (usize, &Finding)) {
    verdict.status.clone_from(&finding.status);
    verdict.finding = Some((run, 0));
    verdict.finding_id = Some(finding.id.clone());
}

/// Whether the scenario expects such a finding.
#[must_use]
pub(super) fn is_as_expected(finding: &Finding, expectation: &Expectation) -> bool {
    match expectation {
        Expectation::Pass => false,
        Expectation::Finding(expected) => matches(finding, expected),
    }
}

/// Whether the finding is as described. An empty list allows anything.
#[must_use]
fn matches(finding: &Finding, expected: &ExpectedFinding) -> bool {
    let allows =
        |list: &[String], word: &str| list.is_empty() || list.iter().any(|one| one == word);
    let step = finding.step.as_ref().map(|step| step.index);
    allows(&expected.status, &finding.status)
        && allows(&expected.phase, &finding.phase)
        && allows(&expected.class, &finding.class)
        && (expected.step.is_empty() || step.is_some_and(|step| expected.step.contains(&step)))
}

pub(super) fn mismatch(finding: &Finding, expected: &ExpectedFinding) -> String {
    let steps: Vec<String> = expected.step.iter().map(ToString::to_string).collect();
    let step = finding.step.as_ref().map(|step| step.index.to_string()).unwrap_or_default();
    let differences: Vec<String> = [
        ("status", &expected.status, &finding.status),
        ("phase", &expected.phase, &finding.phase),
        ("class", &expected.class, &finding.class),
        ("step", &steps, &step),
    ]
    .into_iter()
    .filter(|(_, list, word)| !list.is_empty() && !list.contains(word))
    .map(|(name, list, word)| {
        let word = if word.is_empty() { "none" } else { word.as_str() };
        format!("expected {name} {}, saw {word}", list.join("|"))
    })
    .collect();
    differences.join("; ")
}

fn expected_words(expectation: &Expectation) -> Option<String> {
    match expectation {
        Expectation::Pass => None,
        Expectation::Finding(expected) if expected.status.is_empty() => {
            Some("a finding".to_owned())
        }
        Expectation::Finding(expected) => Some(expected.status.join("|")),
    }
}

fn runs_of(count: u32) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
