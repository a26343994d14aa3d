//! Several deaths of one command: when they are one race, and when they stay apart.

use hotfire_core::diagnose::{Death, Finding, RACE_SIGNS, Scene, data_race};
use hotfire_core::observe::{Thread, Wait};

use crate::build::{CHILD, Case, crash, lock, standing_in, with_stack};
use crate::rules::crashed;

const SEGV: (i32, i32, Option<u64>) = (11, 1, Some(8));
const ABORT: (i32, i32, Option<u64>) = (6, -6, None);

type Frames<'a> = &'a [(&'a str, &'a str)];

/// A thread starts in the program, which calls the library.
const PUSH: Frames<'_> = &[("libshared.so", "push"), ("app", "work"), ("libc.so.6", "start")];
const POP: Frames<'_> = &[("libshared.so", "pop"), ("app", "work"), ("libc.so.6", "start")];
const ABORTED: Frames<'_> =
    &[("libc.so.6", "abort"), ("libshared.so", "check"), ("app", "work"), ("libc.so.6", "start")];
/// A thread of the library's own pool, at work and without.
const WORKER: Frames<'_> =
    &[("libshared.so", "task"), ("libshared.so", "loop"), ("libc.so.6", "start")];
const IDLE: Frames<'_> = &[("libshared.so", "loop"), ("libc.so.6", "start")];

/// A run that died so, with other threads that run or wait there.
fn died(
    (signal, code, address): (i32, i32, Option<u64>),
    frames: Frames<'_>,
    others: &[(Frames<'_>, Wait)],
) -> Case {
    let mut crash = with_stack(crash(signal, code, address), frames);
    let tids = CHILD + 1..;
    let other = |(tid, (frames, wait)): (i32, &(Frames<'_>, Wait))| Thread {
        wait: wait.clone(),
        ..standing_in(tid, frames)
    };
    crash.threads.extend(tids.zip(others).map(other));
    crashed(crash)
}

fn judged(runs: &[Case], without: Option<&str>) -> Option<Finding> {
    let scene = |case: &Case| Scene::of(&case.observation, &case.context()).unwrap();
    let all: Vec<(Scene, Finding)> =
        runs.iter().map(|case| (scene(case), case.findings().remove(0))).collect();
    let deaths: Vec<Death<'_>> =
        all.iter().map(|(scene, finding)| Death { scene, finding }).collect();
    data_race(&deaths, without)
}

fn runs(frames: Frames<'_>) -> (Frames<'_>, Wait) {
    (frames, Wait::None)
}

fn waits(frames: Frames<'_>) -> (Frames<'_>, Wait) {
    (frames, lock(0x1000))
}

/// A death by a fault and one by an abort, each beside these threads.
fn two(others: &[(Frames<'_>, Wait)]) -> [Case; 2] {
    [died(SEGV, PUSH, others), died(ABORT, ABORTED, others)]
}

fn twins() -> Vec<(&'static str, Vec<Case>)> {
    const ELSEWHERE: Frames<'_> = &[("libother.so", "f"), ("libc.so.6", "start")];
    const THERE: Frames<'_> = &[("libother.so", "g"), ("libc.so.6", "start")];
    let other = |name: &'static str, cases: &[Case]| (name, cases.to_vec());
    vec![
        other("the others wait for a lock of the library", &two(&[waits(PUSH), waits(POP)])),
        other("the library's pool has nothing to do", &two(&[waits(IDLE), waits(IDLE)])),
        other("the library's pool looks for work without a pause", &two(&[runs(IDLE)])),
        other("nobody else is there", &two(&[])),
        other(
            "in one run nobody else is there",
            &[died(SEGV, PUSH, &[runs(POP)]), died(ABORT, ABORTED, &[])],
        ),
        other("one death is no several", &[died(SEGV, PUSH, &[runs(POP)])]),
        other(
            "each time the same",
            &[died(SEGV, PUSH, &[runs(POP)]), died(SEGV, PUSH, &[runs(PUSH)])],
        ),
        other(
            "two libraries, each once",
            &[died(SEGV, &PUSH[..1], &[runs(&POP[..1])]), died(ABORT, ELSEWHERE, &[runs(THERE)])],
        ),
        other(
            "what dies is elsewhere",
            &[
                died(SEGV, ELSEWHERE, &[runs(PUSH), runs(POP)]),
                died(ABORT, THERE, &[runs(PUSH), runs(POP)]),
            ],
        ),
        other(
            "only the interpreter is in common",
            &[
                died(SEGV, &[("libpython3.11.so.1.0", "f"), ("libc.so.6", "start")], &[]),
                died(ABORT, &[("libpython3.11.so.1.0", "g"), ("libc.so.6", "start")], &[]),
            ],
        ),
    ]
}

#[test]
fn deaths_that_differ_where_several_threads_are_at_work_are_a_race() {
    let cases = two(&[runs(POP), runs(PUSH), waits(PUSH)]);
    let race = judged(&cases, None).unwrap();
    assert_eq!((race.class.as_str(), race.code.as_str()), ("data-race", "C101"));
    let culprit = race.culprit.unwrap();
    assert_eq!(culprit.module, "libshared.so", "not the program, which all threads come from");
    assert_eq!(culprit.function.as_deref(), Some("push"));
    assert_eq!(race.signature.basis, ["class=data-race", "module=libshared.so"]);
    assert_eq!(race.id, race.signature.value);
    let texts: Vec<&str> = race.evidence.iter().take(2).map(|line| line.text.as_str()).collect();
    let ways = "1 SIGABRT in check in libshared.so; 1 SIGSEGV in push in libshared.so";
    assert_eq!(texts, [ways, "threads at work in libshared.so, death by death: 3, 3"]);
    assert!(!race.threads.is_empty(), "one of the deaths is shown whole");
    let mut others = cases.to_vec();
    others.reverse();
    others.push(died(ABORT, POP, &[runs(PUSH)]));
    assert_eq!(judged(&others, None).unwrap().id, race.id, "whatever the deaths and their order");
}

#[test]
fn a_thread_of_a_pool_dies_of_its_masters_work() {
    const MASTER: Frames<'_> = &[
        ("libgomp.so.1", "wait"),
        ("libmath.so", "sum"),
        ("libshared.so", "run"),
        ("app", "work"),
    ];
    const HELPER: Frames<'_> = &[
        ("libmath.so", "add"),
        ("libmath.so", "sum"),
        ("libgomp.so.1", "loop"),
        ("libc.so.6", "start"),
    ];
    let masters = [runs(MASTER), runs(MASTER)];
    let race = judged(&[died(SEGV, HELPER, &masters), died(ABORT, PUSH, &masters)], None).unwrap();
    assert_eq!(race.culprit.unwrap().module, "libshared.so");
    // One that waits for its own team is in the midst of its work; one that waits for a lock is not.
    const LEADS: Frames<'_> = &[
        ("libgomp.so.1", "wait"),
        ("libgomp.so.1", "GOMP_parallel"),
        ("libshared.so", "run"),
        ("app", "work"),
    ];
    assert!(judged(&two(&[waits(LEADS)]), None).is_some());
    assert_eq!(judged(&two(&[waits(MASTER)]), None), None);
    // The pool that waits in OpenMP's runtime is nobody's.
    let idle: Frames<'_> = &[("libgomp.so.1", "loop"), ("libc.so.6", "start")];
    let alone = [runs(idle), runs(idle)];
    assert_eq!(judged(&[died(SEGV, HELPER, &alone), died(ABORT, PUSH, &alone)], None), None);
}

#[test]
fn a_librarys_own_threads_count_when_they_have_work() {
    let cases = [died(SEGV, WORKER, &[runs(WORKER)]), died(ABORT, ABORTED, &[runs(WORKER)])];
    assert_eq!(judged(&cases, None).unwrap().culprit.unwrap().module, "libshared.so");
}

#[test]
fn a_thread_that_waits_for_the_allocator_is_in_the_midst_of_its_work() {
    const FREES: Frames<'_> =
        &[("libc.so.6", "wait"), ("libc.so.6", "free"), ("libshared.so", "pop"), ("app", "work")];
    let race = judged(&two(&[waits(FREES)]), None).unwrap();
    assert_eq!(race.culprit.unwrap().module, "libshared.so");
}

#[test]
fn twins_of_a_race_stay_apart() {
    for (name, cases) in twins() {
        assert_eq!(judged(&cases, None), None, "{name}");
    }
}

#[test]
fn without_any_one_sign_a_twin_would_be_taken_for_a_race() {
    let twins = twins();
    for sign in RACE_SIGNS {
        let taken = twins.iter().any(|(_, cases)| judged(cases, Some(sign.name)).is_some());
        assert!(taken, "nothing needs the sign {}", sign.name);
    }
}
