//! The gate: known failures, each with its near misses.

use hotfire_core::judge::{
    Baseline, BaselineEntry, Date, EntryState, KnownFailure, PlanName, PlanVerdict, RunResult,
    Unproven, Verdict, exit_code, judge, judge_entries, judge_known,
};
use hotfire_core::observe::{DescendantEnd, Ending};
use hotfire_plan::scenario::{Expectation, ExpectedFinding};

use crate::build::{crash, descendant, healthy};

const PLAN: &str = "create a = reference; load a tiny; generate a 16; exit";
const ID: &str = "0011223344556677";
const TODAY: &str = "2026-11-21";

fn passing() -> RunResult {
    RunResult { fresh: true, ..RunResult::default() }
}

fn crashing() -> RunResult {
    let case = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18)));
    RunResult { findings: case.findings(), ..passing() }
}

fn aborting() -> RunResult {
    let case = healthy(PLAN).in_step(2).crashed(crash(6, -6, None));
    RunResult { findings: case.findings(), ..passing() }
}

/// The listed crash, and processes that it leaves behind.
fn crashing_with_orphans() -> RunResult {
    let orphan = descendant(200, DescendantEnd::LeftBehind { outlived_us: 500_000 });
    let case = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18))).with_descendant(orphan);
    let findings = case.findings();
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["C101", "L401"]);
    RunResult { findings, ..passing() }
}

fn blind(ending: Ending) -> RunResult {
    RunResult { findings: healthy(PLAN).ending(ending).findings(), ..passing() }
}

fn skipped() -> RunResult {
    RunResult { skip: Some("not fetched".to_owned()), ..passing() }
}

/// So many crashes among so many runs.
fn mixed(failed: usize, of: usize) -> Vec<RunResult> {
    (0..of).map(|run| if run < failed { crashing() } else { passing() }).collect()
}

fn signature(run: &RunResult) -> String {
    run.findings[0].signature.value.clone()
}

fn entry() -> KnownFailure {
    KnownFailure {
        scenario: "swap".to_owned(),
        plan: None,
        signature: Some(signature(&crashing())),
        class: None,
        status: None,
        phase: None,
        issue: "https://example.org/7".to_owned(),
        owner: Some("ada".to_owned()),
        reason: None,
        expires: date("2026-12-01"),
        max_rate: 1.0,
        min_rate: Some(0.5),
        line: 3,
    }
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn baseline(entries: Vec<KnownFailure>) -> Baseline {
    Baseline { file: "known.toml".to_owned(), entries, today: date(TODAY), ..Baseline::empty() }
}

fn judged_as(
    name: PlanName<'_>,
    runs: &[RunResult],
    expectation: &Expectation,
    baseline: &Baseline,
) -> PlanVerdict {
    let mut verdict = judge(runs, expectation);
    judge_known(&mut verdict, runs, expectation, name, baseline);
    verdict
}

fn judged(runs: &[RunResult], entries: Vec<KnownFailure>) -> PlanVerdict {
    let name = PlanName { scenario: "swap", id: ID };
    judged_as(name, runs, &Expectation::Pass, &baseline(entries))
}

fn words(verdict: &PlanVerdict) -> (&str, &str, i32) {
    (&verdict.status, verdict.verdict.name(), exit_code(std::slice::from_ref(verdict), &[]))
}

fn entries(plans: &mut [PlanVerdict], baseline: &Baseline) -> Vec<BaselineEntry> {
    judge_entries(&mut plans.iter_mut().collect::<Vec<_>>(), baseline)
}

/// The only entry, after these runs of the only plan that it names.
fn entry_after(runs: &[RunResult], entry: KnownFailure) -> BaselineEntry {
    let mut plans = [judged(runs, vec![entry.clone()])];
    entries(&mut plans, &baseline(vec![entry])).remove(0)
}

#[test]
fn a_listed_failure_is_known_and_told() {
    let verdict = judged(&mixed(5, 5), vec![entry()]);
    assert_eq!(words(&verdict), ("SIGSEGV", "known", 0));
    assert_eq!(verdict.reason.as_deref(), Some("known, 10 days left: https://example.org/7 (ada)"));
    let known = verdict.known.unwrap();
    assert_eq!((known.place.as_str(), known.days_left), ("known.toml:3", 10));
    // One that shows now and then is listed, too; without an entry it is flaky.
    assert_eq!(words(&judged(&mixed(2, 5), vec![entry()])), ("SIGSEGV", "known", 0));
    assert_eq!(words(&judged(&mixed(2, 5), Vec::new())), ("SIGSEGV", "flaky", 100));
    assert_eq!(words(&judged(&mixed(5, 5), Vec::new())), ("SIGSEGV", "new", 100));
}

#[test]
fn words_can_list_a_failure() {
    let finding = crashing().findings.remove(0);
    let by_words = KnownFailure {
        signature: None,
        class: Some(finding.class.clone()),
        status: Some("SIGSEGV".to_owned()),
        phase: Some(finding.phase.clone()),
        ..entry()
    };
    assert_eq!(words(&judged(&mixed(1, 1), vec![by_words.clone()])), ("SIGSEGV", "known", 0));
    let other = |change: fn(&mut KnownFailure)| {
        let mut entry = by_words.clone();
        change(&mut entry);
        judged(&mixed(1, 1), vec![entry]).verdict
    };
    assert_eq!(other(|entry| entry.class = Some("deadlock".to_owned())), Verdict::New);
    assert_eq!(other(|entry| entry.status = Some("SIGBUS".to_owned())), Verdict::New);
    assert_eq!(other(|entry| entry.phase = Some("exit".to_owned())), Verdict::New);
}

#[test]
fn what_is_not_listed_stays_new() {
    let other_signature = KnownFailure { signature: Some(signature(&aborting())), ..entry() };
    let other_scenario = KnownFailure { scenario: "swap-deadlock".to_owned(), ..entry() };
    let other_plan = KnownFailure { plan: Some("7766554433221100".to_owned()), ..entry() };
    for entry in [other_signature, other_scenario, other_plan] {
        assert_eq!(words(&judged(&mixed(5, 5), vec![entry])), ("SIGSEGV", "new", 100));
    }
    let same_plan = KnownFailure { plan: Some(ID.to_owned()), ..entry() };
    let pattern = KnownFailure { scenario: "sw*".to_owned(), ..entry() };
    for entry in [same_plan, pattern] {
        assert_eq!(words(&judged(&mixed(5, 5), vec![entry])), ("SIGSEGV", "known", 0));
    }
}

#[test]
fn a_new_failure_beside_a_known_one_decides() {
    let verdict = judged(&[crashing(), aborting()], vec![entry()]);
    assert_eq!(words(&verdict), ("SIGABRT", "new", 100));
    assert_eq!(verdict.finding, Some((1, 0)));
    assert_eq!(verdict.finding_id, Some(aborting().findings[0].id.clone()));
}

#[test]
fn what_is_left_behind_beside_a_known_failure_must_be_listed_too() {
    let verdict = judged(&[crashing(), crashing_with_orphans()], vec![entry()]);
    assert_eq!(words(&verdict), ("ORPHANS", "new", 100));
    assert_eq!(verdict.finding, Some((1, 1)));
    assert_eq!(verdict.reason.as_deref(), Some("ORPHANS, which is not listed, beside what is"));
    let orphans = KnownFailure {
        signature: Some(crashing_with_orphans().findings[1].signature.value.clone()),
        ..entry()
    };
    let both = judged(&[crashing_with_orphans()], vec![entry(), orphans.clone()]);
    assert_eq!(words(&both), ("SIGSEGV", "known", 0));
    let old = KnownFailure { expires: date("2026-11-20"), ..orphans };
    let expired = judged(&[crashing_with_orphans()], vec![entry(), old]);
    assert_eq!(words(&expired), ("ORPHANS", "expired", 100));
    // Company of any other kind is the crash's consequence, and an expected crash is not judged.
    let mut company = crashing();
    company.findings.extend(aborting().findings);
    assert_eq!(words(&judged(&[company], vec![entry()])), ("SIGSEGV", "known", 0));
    let name = PlanName { scenario: "swap", id: ID };
    let segv = Expectation::Finding(ExpectedFinding {
        status: vec!["SIGSEGV".to_owned()],
        ..ExpectedFinding::default()
    });
    let caught = judged_as(name, &[crashing_with_orphans()], &segv, &baseline(vec![entry()]));
    assert_eq!(words(&caught), ("SIGSEGV", "as-expected", 0));
}

#[test]
fn the_baseline_does_not_make_a_blind_run_green() {
    let lost = || blind(Ending::ObserverLost("SIGKILL".to_owned()));
    let verdict = judged(&[crashing(), lost()], vec![entry()]);
    assert_eq!(words(&verdict), ("BLIND", "blind", 97));
    assert_eq!((verdict.finding, verdict.known), (Some((1, 0)), None));
    let reason = verdict.reason.unwrap();
    assert!(reason.starts_with("1 of 2 runs: "), "{reason}");
    assert!(reason.ends_with("; what was seen is known: https://example.org/7"), "{reason}");
    let unstarted = blind(Ending::NotStarted("no such file".to_owned()));
    assert_eq!(words(&judged(&[unstarted, crashing()], vec![entry()])), ("BLIND", "blind", 101));
    // An entry cannot list that nothing was seen.
    let unseen = KnownFailure { signature: None, status: Some("BLIND".to_owned()), ..entry() };
    assert_eq!(words(&judged(&[lost()], vec![unseen])), ("BLIND", "blind", 97));
    // A new crash is conclusive, whatever was not seen.
    assert_eq!(words(&judged(&[aborting(), lost()], vec![entry()])), ("SIGABRT", "new", 100));
}

#[test]
fn the_last_day_counts_and_the_day_after_does_not() {
    let until = |day: &str| {
        let entry = KnownFailure { expires: date(day), ..entry() };
        judged(&mixed(5, 5), vec![entry])
    };
    assert_eq!(words(&until(TODAY)), ("SIGSEGV", "known", 0));
    let expired = until("2026-11-20");
    assert_eq!(words(&expired), ("SIGSEGV", "expired", 100));
    let reason = expired.reason.unwrap();
    assert!(reason.starts_with("accepted until 2026-11-20 only, 1 day ago: https:"), "{reason}");
    assert_eq!(expired.known.unwrap().days_left, -1);
    // A second entry that has not expired covers it.
    let old = KnownFailure { expires: date("2026-11-20"), ..entry() };
    assert_eq!(words(&judged(&mixed(5, 5), vec![old, entry()])), ("SIGSEGV", "known", 0));
}

#[test]
fn more_often_than_allowed_is_not_known() {
    // Clopper-Pearson: 9 of 10 is at least 55.5 %.
    let at_most = |max_rate| {
        let entry = KnownFailure { max_rate, ..entry() };
        judged(&mixed(9, 10), vec![entry])
    };
    assert_eq!(words(&at_most(0.556)), ("SIGSEGV", "known", 0));
    let exceeded = at_most(0.554);
    assert_eq!(words(&exceeded), ("SIGSEGV", "flaky", 100));
    let reason = exceeded.reason.unwrap();
    assert!(reason.contains("shown by 9 of 10 fresh runs, at least 55.5 %"), "{reason}");
    // One failure never proves a rate, and forked runs tell none.
    let rare = KnownFailure { max_rate: 0.1, ..entry() };
    assert_eq!(judged(&mixed(1, 1), vec![rare.clone()]).verdict, Verdict::Known);
    let forked: Vec<RunResult> =
        mixed(9, 10).into_iter().map(|run| RunResult { fresh: false, ..run }).collect();
    assert_eq!(judged(&forked, vec![rare.clone()]).verdict, Verdict::Known);
    assert_eq!(judged(&mixed(9, 10), vec![rare]).verdict, Verdict::Flaky);
}

#[test]
fn what_a_scenario_expects_is_not_touched() {
    let name = PlanName { scenario: "swap", id: ID };
    let segv = Expectation::Finding(ExpectedFinding {
        status: vec!["SIGSEGV".to_owned()],
        ..ExpectedFinding::default()
    });
    let listed = baseline(vec![KnownFailure { expires: date("2026-11-20"), ..entry() }]);
    let caught = judged_as(name, &mixed(5, 5), &segv, &listed);
    assert_eq!(words(&caught), ("SIGSEGV", "as-expected", 0));
    // What it does not expect can be known.
    let abort = KnownFailure { signature: Some(signature(&aborting())), ..entry() };
    let other = judged_as(name, &[crashing(), aborting()], &segv, &baseline(vec![abort]));
    assert_eq!(words(&other), ("SIGABRT", "known", 0));
    // An expected failure that is gone is no matter of the baseline.
    let none = judged_as(name, &mixed(0, 5), &segv, &baseline(vec![entry()]));
    assert_eq!(words(&none), ("PASS", "new", 100));
}

#[test]
fn fixed_needs_enough_passes() {
    // (1 - 0.5)^5 is 3 %, (1 - 0.5)^4 is 6 %.
    let told = entry_after(&mixed(0, 5), entry());
    assert_eq!((told.state, told.runs, told.fails), (EntryState::Fixed, 5, false));
    assert_eq!(told.reason, "not seen in 5 fresh runs, 5 are enough: remove the entry");
    let few = entry_after(&mixed(0, 4), entry());
    assert_eq!(few.state, EntryState::Undecided);
    assert_eq!(few.reason, "not seen in 4 fresh runs; undecided, --runs 5 would tell");
    let always = KnownFailure { min_rate: Some(1.0), ..entry() };
    assert_eq!(entry_after(&mixed(0, 1), always).state, EntryState::Fixed);
    let unknown = KnownFailure { min_rate: None, ..entry() };
    assert_eq!(entry_after(&mixed(0, 500), unknown).state, EntryState::Undecided);
    assert_eq!(entry_after(&mixed(1, 500), entry()).state, EntryState::Seen);
    // Forked and skipped runs prove nothing.
    let forked = vec![RunResult { fresh: false, ..passing() }; 50];
    assert_eq!(entry_after(&forked, entry()).state, EntryState::Undecided);
    assert_eq!(entry_after(&vec![skipped(); 50], entry()).state, EntryState::Undecided);
    // Runs that died of something else say nothing of this failure.
    assert_eq!(entry_after(&vec![aborting(); 50], entry()).runs, 0);
}

#[test]
fn a_failure_in_company_is_not_gone() {
    let mut company = aborting();
    company.findings.extend(crashing().findings);
    let mut runs = mixed(0, 50);
    runs.push(company);
    assert_eq!(entry_after(&runs, entry()).state, EntryState::Seen);
}

#[test]
fn a_fixed_plan_is_called_so_and_strictness_fails_the_entry() {
    let mut listed = baseline(vec![entry()]);
    let mut plans = [judged(&mixed(0, 5), vec![entry()])];
    let told = entries(&mut plans, &listed);
    assert_eq!(words(&plans[0]), ("PASS", "fixed", 0));
    let told_of = "remove the entry at known.toml:3: https://example.org/7";
    assert!(plans[0].reason.as_ref().unwrap().ends_with(told_of), "{:?}", plans[0].reason);
    assert_eq!(exit_code(&plans, &told), 0);
    listed.strict_fixed = true;
    let mut plans = [judged(&mixed(0, 5), vec![entry()])];
    let told = entries(&mut plans, &listed);
    assert!(told[0].fails);
    assert_eq!(exit_code(&plans, &told), 100);
    // What is undecided does not fail.
    let mut plans = [judged(&mixed(0, 4), vec![entry()])];
    let told = entries(&mut plans, &listed);
    assert_eq!((words(&plans[0]), exit_code(&plans, &told)), (("PASS", "as-expected", 0), 0));
}

#[test]
fn what_was_not_looked_at_is_not_fixed() {
    let unproven = |scenario: &str, id: &str| Unproven {
        scenario: scenario.to_owned(),
        id: id.to_owned(),
        why: "without the census it may not show".to_owned(),
    };
    let after = |runs: &[RunResult], entry: KnownFailure, plan: Unproven| {
        let listed = Baseline { unproven: vec![plan], ..baseline(vec![entry]) };
        let name = PlanName { scenario: "swap", id: ID };
        let mut plans = [judged_as(name, runs, &Expectation::Pass, &listed)];
        let told = entries(&mut plans, &listed).remove(0);
        (told.state, told.reason, plans[0].verdict)
    };
    let (state, reason, verdict) = after(&mixed(0, 50), entry(), unproven("swap", ID));
    assert_eq!((state, verdict), (EntryState::Undecided, Verdict::AsExpected));
    assert_eq!(reason, "not seen in 50 fresh runs; undecided, without the census it may not show");
    // Another plan that the entry names, and one that it does not.
    let other = "7766554433221100";
    assert_eq!(after(&mixed(0, 50), entry(), unproven("swap", other)).0, EntryState::Undecided);
    let of_plan = KnownFailure { plan: Some(ID.to_owned()), ..entry() };
    assert_eq!(after(&mixed(0, 50), of_plan, unproven("swap", other)).0, EntryState::Fixed);
    assert_eq!(after(&mixed(0, 50), entry(), unproven("load", ID)).0, EntryState::Fixed);
    // What was seen was seen.
    assert_eq!(after(&mixed(1, 50), entry(), unproven("swap", ID)).0, EntryState::Seen);
}

#[test]
fn an_entry_is_judged_by_all_plans_that_it_names() {
    let listed = baseline(vec![entry()]);
    // Seen in one plan: the other's passes do not make it fixed.
    let mut plans = [judged(&mixed(0, 50), vec![entry()]), judged(&mixed(1, 5), vec![entry()])];
    assert_eq!(entries(&mut plans, &listed)[0].state, EntryState::Seen);
    assert_eq!(words(&plans[0]), ("PASS", "as-expected", 0));
    // Not seen: the plan with the fewest runs may be the one that has it.
    let mut plans = [judged(&mixed(0, 50), vec![entry()]), judged(&mixed(0, 4), vec![entry()])];
    let told = entries(&mut plans, &listed);
    assert_eq!((told[0].state, told[0].runs), (EntryState::Undecided, 4));
    // No plan of it was run.
    let name = PlanName { scenario: "load", id: ID };
    let mut plans = [judged_as(name, &mixed(0, 50), &Expectation::Pass, &listed)];
    assert_eq!(entries(&mut plans, &listed)[0].state, EntryState::NotRun);
    assert_eq!(words(&plans[0]), ("PASS", "as-expected", 0));
}
