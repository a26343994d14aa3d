//! The gate: what is not as expected against the baseline of known failures.
//!
//! A listed failure is green as long as its date and its rate allow; whatever is not listed keeps
//! the verdict that it has. Deliberately absent: expectations of the scenario (`verdict.rs`), which
//! come first, and running anything again.

use hotfire_plan::scenario::Expectation;

use super::baseline::{Baseline, KnownFailure, PlanName};
use super::interval::{clopper_pearson, passes_needed};
use super::known::{BaselineEntry, EntryState, KnownIssue};
use super::verdict::{PlanVerdict, RunResult, Verdict, is_as_expected, mismatch, set_blind};
use crate::diagnose::Finding;

/// What the runs of one plan say of one entry that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The entry's place in the baseline.
    pub entry: usize,
    /// Whether any run showed what it lists.
    pub seen: bool,
    /// Observed runs in fresh processes that went as expected.
    pub clean: u32,
}

/// What the baseline says of a finding that was not expected, the mildest first.
#[derive(Debug, Clone, PartialEq)]
enum Standing<'a> {
    Known(&'a KnownFailure),
    Expired(&'a KnownFailure),
    /// It is listed, but shows more often than is allowed.
    TooOften(&'a KnownFailure, String),
    Unlisted,
}

impl Standing<'_> {
    fn severity(&self) -> u8 {
        match self {
            Self::Known(_) => 0,
            Self::Expired(_) => 1,
            Self::TooOften(..) => 2,
            Self::Unlisted => 3,
        }
    }
}

/// Holds a plan's verdict against the baseline: the worst of its unexpected findings decides.
pub fn judge_known(
    verdict: &mut PlanVerdict,
    runs: &[RunResult],
    expectation: &Expectation,
    plan: PlanName<'_>,
    baseline: &Baseline,
) {
    let named: Vec<(usize, &KnownFailure)> = baseline.naming(plan).collect();
    if named.is_empty() {
        return;
    }
    verdict.sightings = named
        .iter()
        .map(|(index, entry)| Sighting {
            entry: *index,
            seen: runs.iter().any(|run| shows(run, entry)),
            clean: count(runs, |run| run.fresh && is_clean(run, expectation)),
        })
        .collect();
    let standings = runs.iter().enumerate().flat_map(|(run, result)| {
        let findings = unexpected(result, expectation);
        findings.map(move |(place, finding)| ((run, place), finding))
    });
    let standings = standings
        .map(|(place, finding)| (place, finding, standing(finding, &named, runs, baseline)));
    // Of equals the first run speaks.
    let worst = standings.reduce(
        |worst, next| {
            if next.2.severity() > worst.2.severity() { next } else { worst }
        },
    );
    if let Some((place, finding, standing)) = worst {
        match (&standing, expectation) {
            (Standing::Unlisted, Expectation::Finding(expected)) => {
                verdict.reason = Some(mismatch(finding, expected));
            }
            (Standing::Unlisted, Expectation::Pass) if place.1 > 0 => {
                let status = &finding.status;
                verdict.reason = Some(format!("{status}, which is not listed, beside what is"));
            }
            _ => {}
        }
        settle(verdict, (place, finding), &standing, baseline);
    }
    if verdict.verdict == Verdict::Known && set_blind(verdict, runs) {
        // What was seen is accepted; nobody knows what was not.
        let issue = verdict.known.take().map(|known| known.issue).unwrap_or_default();
        let reason = verdict.reason.take().unwrap_or_default();
        verdict.reason = Some(format!("{reason}; what was seen is known: {issue}"));
    }
}

fn settle(
    verdict: &mut PlanVerdict,
    (place, finding): ((usize, usize), &Finding),
    standing: &Standing<'_>,
    baseline: &Baseline,
) {
    verdict.status.clone_from(&finding.status);
    verdict.finding = Some(place);
    verdict.finding_id = Some(finding.id.clone());
    let entry = match standing {
        Standing::Unlisted => return,
        Standing::Known(entry) | Standing::Expired(entry) | Standing::TooOften(entry, _) => entry,
    };
    let known = baseline.issue(entry);
    let owner = known.owner.as_deref().map(|owner| format!(" ({owner})")).unwrap_or_default();
    let issue = format!("{}{owner}", known.issue);
    match standing {
        Standing::TooOften(_, excess) => {
            verdict.reason = Some(format!("listed at {}, but {excess}: {issue}", known.place));
        }
        Standing::Expired(_) => {
            verdict.verdict = Verdict::Expired;
            let ago = days(-known.days_left);
            verdict.reason = Some(format!(
                "accepted until {} only, {ago} ago: {issue}; fix it, or agree on a new date at {}",
                known.expires, known.place
            ));
        }
        Standing::Known(_) | Standing::Unlisted => {
            verdict.verdict = Verdict::Known;
            let left = days(known.days_left);
            verdict.reason = Some(format!("known, {left} left: {issue}"));
        }
    }
    verdict.known = Some(known);
}

fn standing<'a>(
    finding: &Finding,
    named: &[(usize, &'a KnownFailure)],
    runs: &[RunResult],
    baseline: &Baseline,
) -> Standing<'a> {
    let of_entry = |entry: &'a KnownFailure| {
        let fresh = count(runs, |run| run.fresh && !run.is_blind());
        let seen = count(runs, |run| run.fresh && shows(run, entry));
        if baseline.today > entry.expires {
            Standing::Expired(entry)
        } else if let Some(excess) = excess(seen, fresh, entry.max_rate) {
            Standing::TooOften(entry, excess)
        } else {
            Standing::Known(entry)
        }
    };
    let listing = named.iter().filter(|(_, entry)| entry.lists(finding));
    let standings = listing.map(|(_, entry)| of_entry(entry));
    // Where several entries list it, the one that allows most counts.
    standings.min_by_key(Standing::severity).unwrap_or(Standing::Unlisted)
}

/// How the rate is above what is allowed, where that is sure: the whole interval lies above it.
fn excess(seen: u32, of: u32, rate_max: f64) -> Option<String> {
    let low = clopper_pearson(seen, of).low;
    (low > rate_max).then(|| {
        format!(
            "shown by {seen} of {of} fresh runs, at least {:.1} % (Clopper-Pearson, 95 %), where \
             {:.1} % are allowed",
            low * 100.0,
            rate_max * 100.0
        )
    })
}

/// Judges each entry by all plans that it names, and calls those plans fixed that passed where
/// their entry's failure is gone.
#[must_use]
pub fn judge_entries(verdicts: &mut [&mut PlanVerdict], baseline: &Baseline) -> Vec<BaselineEntry> {
    let mut judged = Vec::new();
    for (index, entry) in baseline.entries.iter().enumerate() {
        let of_entry = |verdict: &PlanVerdict| {
            verdict.sightings.iter().find(|sighting| sighting.entry == index).copied()
        };
        let sightings: Vec<Sighting> =
            verdicts.iter().filter_map(|verdict| of_entry(verdict)).collect();
        let told = judge_entry(entry, &sightings, baseline);
        if told.state == EntryState::Fixed {
            let passed = verdicts.iter_mut().filter(|verdict| {
                verdict.status == "PASS"
                    && verdict.verdict == Verdict::AsExpected
                    && of_entry(verdict).is_some()
            });
            let KnownIssue { issue, place, .. } = &told.known;
            for verdict in passed {
                verdict.verdict = Verdict::Fixed;
                verdict.reason = Some(format!("{} at {place}: {issue}", told.reason));
                verdict.known = Some(told.known.clone());
            }
        }
        judged.push(told);
    }
    judged
}

fn judge_entry(entry: &KnownFailure, sightings: &[Sighting], baseline: &Baseline) -> BaselineEntry {
    // Which of its plans has the failure is not known: the one with the fewest runs decides.
    let runs = sightings.iter().map(|sighting| sighting.clean).min();
    let seen = sightings.iter().any(|sighting| sighting.seen);
    let needed = entry.min_rate.map(passes_needed);
    let made = runs.unwrap_or(0);
    let noun = if made == 1 { "run" } else { "runs" };
    let (state, reason) = match (runs, seen, needed) {
        (None, ..) => (EntryState::NotRun, "no plan that it names was run".to_owned()),
        (_, true, _) => (EntryState::Seen, "seen".to_owned()),
        (Some(0), ..) => (
            EntryState::Undecided,
            "no run in a fresh process went as expected; undecided".to_owned(),
        ),
        _ if let Some(why) = baseline.unproven(entry) => {
            (EntryState::Undecided, format!("not seen in {made} fresh {noun}; undecided, {why}"))
        }
        (_, _, Some(needed)) if made >= needed => (
            EntryState::Fixed,
            format!("not seen in {made} fresh {noun}, {needed} are enough: remove the entry"),
        ),
        (_, _, Some(needed)) => (
            EntryState::Undecided,
            format!("not seen in {made} fresh {noun}; undecided, --runs {needed} would tell"),
        ),
        (_, _, None) => (
            EntryState::Undecided,
            format!("not seen in {made} fresh {noun}; undecided, the entry has no min-rate"),
        ),
    };
    BaselineEntry {
        selects: entry.selector(),
        lists: entry.description(),
        known: baseline.issue(entry),
        state,
        runs: made,
        fails: state == EntryState::Fixed && baseline.strict_fixed,
        reason,
    }
}

/// The run's findings that the baseline must list, by their places: the first one, where the
/// scenario does not expect it, and what is left behind beside it. Other company is the first
/// one's consequence.
fn unexpected<'a>(
    run: &'a RunResult,
    expectation: &Expectation,
) -> impl Iterator<Item = (usize, &'a Finding)> {
    let first = run.first().filter(|_| !run.is_blind());
    let judged = first.filter(|first| !is_as_expected(first, expectation));
    let all = judged.map(|_| run.findings.iter().enumerate());
    all.into_iter().flatten().filter(|(place, finding)| {
        *place == 0 || (finding.is_left_behind() && !is_as_expected(finding, expectation))
    })
}

/// Whether the run could have shown a failure, and went as expected instead.
fn is_clean(run: &RunResult, expectation: &Expectation) -> bool {
    !run.is_blind() && run.skip.is_none() && unexpected(run, expectation).next().is_none()
}

/// Also where another finding stands before it: then it is not gone.
fn shows(run: &RunResult, entry: &KnownFailure) -> bool {
    run.findings.iter().any(|finding| entry.lists(finding))
}

fn count(runs: &[RunResult], wanted: impl Fn(&RunResult) -> bool) -> u32 {
    u32::try_from(runs.iter().filter(|run| wanted(run)).count()).unwrap_or(u32::MAX)
}

fn days(number: i64) -> String {
    if number == 1 { "1 day".to_owned() } else { format!("{number} days") }
}
