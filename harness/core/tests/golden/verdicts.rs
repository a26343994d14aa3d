//! Verdicts and exit statuses.

use hotfire_core::judge::{PlanVerdict, RunResult, Verdict, exit_code, judge, tell_uncounted};
use hotfire_core::observe::Ending;
use hotfire_plan::scenario::{Expectation, ExpectedFinding};

use crate::build::{crash, healthy};

const PLAN: &str = "create a = reference; load a tiny; generate a 16; exit";

fn passing() -> RunResult {
    RunResult { fresh: true, ..RunResult::default() }
}

fn crashing() -> RunResult {
    let case = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18)));
    RunResult { findings: case.findings(), skip: None, fresh: true }
}

fn aborting() -> RunResult {
    let case = healthy(PLAN).in_step(2).crashed(crash(6, -6, None));
    RunResult { findings: case.findings(), skip: None, fresh: true }
}

fn blind(ending: Ending) -> RunResult {
    RunResult { findings: healthy(PLAN).ending(ending).findings(), skip: None, fresh: true }
}

fn lost() -> RunResult {
    blind(Ending::ObserverLost("SIGKILL".to_owned()))
}

fn skipped() -> RunResult {
    RunResult { findings: Vec::new(), skip: Some("not fetched".to_owned()), fresh: true }
}

fn expecting(status: &str, phase: &str) -> Expectation {
    let list = |word: &str| if word.is_empty() { Vec::new() } else { vec![word.to_owned()] };
    Expectation::Finding(ExpectedFinding {
        status: list(status),
        phase: list(phase),
        ..ExpectedFinding::default()
    })
}

fn words(verdict: &PlanVerdict) -> (&str, &str, i32) {
    (&verdict.status, verdict.verdict.name(), exit_code(std::slice::from_ref(verdict), &[]))
}

#[test]
fn a_pass_is_expected() {
    let pass = Expectation::Pass;
    assert_eq!(words(&judge(&[passing(), passing()], &pass)), ("PASS", "as-expected", 0));
    assert_eq!(words(&judge(&[crashing(), crashing()], &pass)), ("SIGSEGV", "new", 100));
    let flaky = judge(&[passing(), crashing(), passing()], &pass);
    assert_eq!(words(&flaky), ("SIGSEGV", "flaky", 100));
    assert_eq!((flaky.failed, flaky.runs, flaky.finding), (1, 3, Some((1, 0))));
    assert_eq!(flaky.reason.as_deref(), Some("failed in 1 of 3 runs"));
}

#[test]
fn a_finding_is_expected() {
    let segv = expecting("SIGSEGV", "generate");
    assert_eq!(words(&judge(&[passing(), crashing()], &segv)), ("SIGSEGV", "as-expected", 0));
    let other = judge(&[crashing(), aborting()], &segv);
    assert_eq!(words(&other), ("SIGABRT", "new", 100));
    assert_eq!(
        other.reason.as_deref(),
        Some("expected status SIGSEGV, saw SIGABRT; expected phase generate, saw load")
    );
    let phase = judge(&[crashing()], &expecting("SIGSEGV", "exit"));
    assert_eq!(words(&phase), ("SIGSEGV", "new", 100));
    let none = judge(&[passing(), passing()], &segv);
    assert_eq!(words(&none), ("PASS", "new", 100));
    assert_eq!(none.reason.as_deref(), Some("expected SIGSEGV, saw none in 2 runs"));
    assert_eq!(none.expected.as_deref(), Some("SIGSEGV"));
}

#[test]
fn a_leak_that_nobody_counted_says_so() {
    let told = |runs: &[RunResult], expectation: &Expectation| {
        let mut verdict = judge(runs, expectation);
        tell_uncounted(&mut verdict, expectation, "the census is off");
        verdict.reason
    };
    let leak = expecting("LEAK", "");
    let unseen = told(&[passing()], &leak);
    assert_eq!(unseen.as_deref(), Some("expected LEAK, saw none in 1 run; the census is off"));
    // A crash instead of it, and what needs no census, have their own reasons.
    for (run, expectation) in [
        (crashing(), &leak),
        (passing(), &expecting("SIGSEGV", "")),
        (passing(), &Expectation::Pass),
    ] {
        let reason = judge(std::slice::from_ref(&run), expectation).reason;
        assert_eq!(told(&[run], expectation), reason);
    }
}

#[test]
fn the_steps_number_can_be_expected() {
    let at = |step| {
        Expectation::Finding(ExpectedFinding { step: vec![step], ..ExpectedFinding::default() })
    };
    assert_eq!(judge(&[crashing()], &at(3)).verdict, Verdict::AsExpected);
    let other = judge(&[crashing()], &at(2));
    assert_eq!(other.reason.as_deref(), Some("expected step 2, saw 3"));
}

#[test]
fn runs_that_nobody_saw_prove_no_pass() {
    let pass = Expectation::Pass;
    let verdict = judge(&[passing(), lost()], &pass);
    assert_eq!(words(&verdict), ("BLIND", "blind", 97));
    assert_eq!((verdict.runs, verdict.blind), (1, 1));
    // A crash is conclusive, and one lost run does not make it flaky.
    assert_eq!(words(&judge(&[lost(), crashing()], &pass)), ("SIGSEGV", "new", 100));
    let segv = expecting("SIGSEGV", "");
    assert_eq!(words(&judge(&[lost(), crashing()], &segv)), ("SIGSEGV", "as-expected", 0));
    let not = blind(Ending::NotStarted("no such file".to_owned()));
    assert_eq!(words(&judge(&[not], &pass)), ("BLIND", "blind", 101));
}

#[test]
fn what_is_not_here_is_skipped() {
    let pass = Expectation::Pass;
    let skip = judge(&[skipped()], &pass);
    assert_eq!(words(&skip), ("SKIP", "skipped", 4));
    assert_eq!(skip.reason.as_deref(), Some("not fetched"));
    assert_eq!(words(&judge(&[], &pass)), ("SKIP", "skipped", 4));
    assert_eq!(words(&judge(&[skipped()], &expecting("SIGSEGV", ""))), ("SKIP", "skipped", 4));
    assert_eq!(exit_code(&[skip, judge(&[passing()], &pass)], &[]), 0);
    assert_eq!(exit_code(&[], &[]), 4);
}

/// A plan that passed, called so.
fn called(verdict: Verdict) -> PlanVerdict {
    PlanVerdict { verdict, ..judge(&[passing()], &Expectation::Pass) }
}

#[test]
fn what_is_known_is_green_until_its_date() {
    let code = |verdict| exit_code(&[called(verdict)], &[]);
    assert_eq!(code(Verdict::Known), 0);
    assert_eq!(code(Verdict::Fixed), 0);
    assert_eq!(code(Verdict::Expired), 100);
    let both = [called(Verdict::Known), called(Verdict::Expired)];
    assert_eq!(exit_code(&both, &[]), 100);
}

#[test]
fn the_worst_plan_decides_the_exit_status() {
    let pass = Expectation::Pass;
    let good = judge(&[passing()], &pass);
    let bad = judge(&[crashing()], &pass);
    let unseen = judge(&[lost()], &pass);
    assert_eq!(exit_code(&[good.clone(), unseen.clone()], &[]), 97);
    assert_eq!(exit_code(&[unseen, bad, good], &[]), 100);
}
