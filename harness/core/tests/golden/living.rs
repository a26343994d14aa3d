//! Processes that somebody asked about: what is sure to hang is a finding, what may be healthy is
//! none.
//!
//! Deliberately absent: whether they go on; the command's tests show that.

use hotfire_core::diagnose::{Facts, LIVING_RULES, Rule, living_processes};
use hotfire_core::observe::{Ending, StallReason};

use crate::build::{CHILD, Case};
use crate::hangs::{
    self, OTHER, child, deadlock, fork_orphaned_lock, futex, held_across_fork,
    interpreter_lock_held, locks_of_each_other, pipe, stalled, still, thread, with_forked,
};
use crate::rules::RuleCases;

/// The same threads, of a process that nobody ended.
fn alive(mut case: Case) -> Case {
    case.observation.stall.as_mut().unwrap().reason = StallReason::AskedFor;
    case.observation.ending = Ending::GoesOn;
    case.observation.command = vec!["engine".to_owned(), "--serve".to_owned()];
    case
}

fn with(cases: RuleCases, more: Vec<Case>) -> RuleCases {
    let twins = cases.twins.into_iter().chain(more).map(alive).collect();
    RuleCases { rule: cases.rule, fires: alive(cases.fires), twins }
}

/// A process that was forked, and its parent, which waits for it.
fn forked(waits: &[serde_json::Value]) -> Case {
    let tids = OTHER..;
    let own = tids.zip(waits).map(|(tid, wait)| thread(tid, wait.clone(), still()));
    let threads = std::iter::once(thread(CHILD, child(OTHER), still())).chain(own).collect();
    let count = u32::try_from(waits.len()).unwrap();
    stalled(with_forked(count, &[CHILD, 101, 102]), threads)
}

fn caught(mut case: Case, signal: i32) -> Case {
    case.observation.stall.as_mut().unwrap().processes[1].caught = vec![signal];
    case
}

/// Its parent waits for it, and it for its parent: as far as was seen.
fn circle_of_processes() -> Case {
    let mut write = pipe(true, &[CHILD]);
    write["descriptors"]["descriptors"][0]["to_write"] = true.into();
    forked(&[write])
}

fn stopped(mut case: Case) -> Case {
    case.observation.stall.as_mut().unwrap().processes[0].stopped = true;
    case
}

pub(crate) fn cases() -> Vec<RuleCases> {
    vec![
        with(deadlock(), vec![circle_of_processes()]),
        with(held_across_fork(), Vec::new()),
        with(
            fork_orphaned_lock(),
            vec![
                // It waits for itself.
                forked(&[futex("mutex", Some(OTHER))]),
                // It waits for the interpreter's lock; who has it is not known.
                stalled(
                    with_forked(1, &[CHILD, 101]),
                    vec![thread(CHILD, child(OTHER), still()), hangs::waits_for_interpreter(OTHER)],
                ),
                // A worker that is idle: one thread reads what comes, another waits for work.
                forked(&[pipe(true, &[CHILD]), futex("condition-variable", None)]),
                // Who is asked to end posts the semaphore.
                caught(forked(&[futex("semaphore", None)]), 15),
            ],
        ),
        with(locks_of_each_other(), Vec::new()),
        with(interpreter_lock_held(), vec![stopped(interpreter_lock_held().fires)]),
    ]
}

fn fires(rule: &Rule, case: &Case, without: Option<&str>) -> bool {
    let facts = Facts::new(&case.observation, &case.context());
    rule.evidence(&facts, without).is_some()
}

#[test]
fn each_rule_has_its_case_its_twins_and_no_sign_too_many() {
    let all = cases();
    assert_eq!(all.len(), LIVING_RULES.len());
    for (rule, cases) in LIVING_RULES.iter().zip(&all) {
        let finding = cases.fires.finding();
        let cause = finding.likely_cause.unwrap();
        assert_eq!((cause.rule.as_str(), cases.rule), (rule.name, rule.name));
        assert_eq!((finding.code.as_str(), finding.class.as_str()), ("H305", rule.class));
        for (at, twin) in cases.twins.iter().enumerate() {
            assert!(!fires(rule, twin, None), "{} fires for its twin {at}", rule.name);
        }
        for sign in rule.signs {
            let needed = cases.twins.iter().any(|twin| fires(rule, twin, Some(sign.name)));
            assert!(needed, "{}: no twin needs the sign {}", rule.name, sign.name);
        }
    }
}

#[test]
fn a_signal_does_not_unlock_what_was_locked() {
    let case = alive(caught(forked(&[futex("pool", None)]), 15));
    assert_eq!(case.finding().class, "fork-orphaned-lock");
}

#[test]
fn an_owner_in_shared_memory_may_be_another_process() {
    let mut case = held_across_fork().fires;
    for thread in &mut case.observation.stall.as_mut().unwrap().threads {
        if let hotfire_core::observe::Wait::Futex { private, .. } = &mut thread.wait {
            *private = false;
        }
    }
    assert_ne!(case.finding().class, "fork-orphaned-lock");
    assert!(alive(case).findings().is_empty());
}

/// What is a class of a run that did not end is none of a process that is alive.
#[test]
fn idle_and_busy_processes_have_no_finding() {
    for cases in hangs::cases() {
        let is_sure = LIVING_RULES.iter().any(|rule| rule.name == cases.rule);
        assert_eq!(alive(cases.fires).findings().is_empty(), !is_sure, "{}", cases.rule);
    }
}

#[test]
fn a_circle_of_threads_is_seen_beside_one_of_processes() {
    let mut case = circle_of_processes();
    let stall = case.observation.stall.as_mut().unwrap();
    let crossed = deadlock().fires.observation.stall.unwrap().threads;
    // In the forked process, whose numbers are higher.
    for (tid, mut thread) in (OTHER + 1..).zip(crossed) {
        (thread.pid, thread.tid) = (OTHER, tid);
        if let hotfire_core::observe::Wait::Futex { owner, .. } = &mut thread.wait {
            *owner = Some(if tid == OTHER + 1 { OTHER + 2 } else { OTHER + 1 });
        }
        stall.threads.push(thread);
    }
    let finding = alive(case).finding();
    assert_eq!((finding.class.as_str(), finding.deadlock[0].tid), ("deadlock", OTHER + 1));
    let victim = finding.victim.unwrap();
    assert_eq!((victim.pid, victim.relation.as_str()), (OTHER, "descendant"));
}

#[test]
fn all_threads_are_told_with_who_holds_what_they_wait_for() {
    let case = alive(deadlock().fires);
    let processes = living_processes(&case.observation);
    let owners: Vec<_> =
        processes[0].threads.iter().map(|it| (it.thread.tid, it.owner, it.watched_ms)).collect();
    assert_eq!(owners, [(CHILD, Some(101), Some(200)), (101, Some(CHILD), Some(200))]);
    assert!(living_processes(&deadlock().fires.observation).is_empty(), "it was ended");
}
