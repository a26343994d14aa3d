//! Threads of a command by their births: the rule's case and its near-miss twins.

use hotfire_core::observe::{BirthPoint, BirthStack, Fact, NO_HOST, ThreadBirths};

use crate::build::{Case, healthy, standing_in};
use crate::rules::RuleCases;

type Frames<'a> = &'a [(&'a str, &'a str)];

const MAKER: Frames<'_> = &[
    ("libc.so.6", "clone3"),
    ("libc.so.6", "pthread_create"),
    ("libstdc++.so.6", "std::thread::_M_start_thread"),
    ("libengine.so", "void std::thread::thread<f>(f&&)"),
    ("libengine.so", "engine::Stream::Stream()"),
    ("app", "main"),
];
const INTERPRETER: Frames<'_> = &[("libc.so.6", "clone3"), ("libpython3.11.so.1.0", "start")];
const POOL: Frames<'_> = &[("libc.so.6", "clone3"), ("libblas.so", "init"), ("app", "main")];

/// A command that lives for this long and makes and ends threads at these times.
fn command(life_us: u64, births: &[u64], ends: &[u64], looks: &[(u32, Frames<'_>)]) -> Case {
    let mut events: Vec<(u64, bool)> = births.iter().map(|time| (*time, false)).collect();
    events.extend(ends.iter().map(|time| (*time, true)));
    events.sort_unstable();
    let mut count = BirthPoint { time_us: 0, born: 0, ended: 0 };
    let mut points = Vec::new();
    for (time_us, is_end) in events {
        count.time_us = time_us;
        if is_end {
            count.ended += 1
        } else {
            count.born += 1
        }
        points.push(count);
    }
    let stack = |(born, frames): &(u32, Frames<'_>)| BirthStack {
        born: *born,
        maker: standing_in(100, frames),
    };
    let mut case = healthy("exit");
    case.observation.command = vec!["app".to_owned()];
    case.observation.recorder = Fact::Unavailable(NO_HOST.to_owned());
    case.observation.births = vec![ThreadBirths {
        pid: 100,
        command: "app".to_owned(),
        is_child: true,
        exited: true,
        processors: 2,
        life_us,
        points,
        stacks: looks.iter().map(stack).collect(),
    }];
    case
}

/// Births at an even pace.
fn evenly(count: u64, from_us: u64, to_us: u64) -> Vec<u64> {
    (0..count).map(|at| from_us + (to_us - from_us) * at / count).collect()
}

fn leak() -> Case {
    command(90_000, &evenly(300, 0, 90_000), &[], &[(32, MAKER), (64, MAKER), (256, MAKER)])
}

fn changed(change: impl FnOnce(&mut ThreadBirths)) -> Case {
    let mut case = leak();
    change(&mut case.observation.births[0]);
    case
}

pub(crate) fn cases() -> Vec<RuleCases> {
    let by = |births: &[u64], ends: &[u64]| command(90_000, births, ends, &[(32, MAKER)]);
    let two_bursts = [evenly(150, 0, 2000), evenly(150, 80_000, 82_000)].concat();
    vec![RuleCases {
        rule: "threads-without-end",
        fires: leak(),
        twins: vec![
            // A pool: a burst, then work.
            by(&evenly(300, 0, 2000), &[]),
            // Two pools.
            by(&two_bursts, &[]),
            // It fills up.
            by(&evenly(300, 0, 70_000), &[]),
            // Each ends a moment later; or only some do.
            by(&evenly(300, 0, 90_000), &evenly(300, 1000, 90_000)),
            by(&evenly(300, 0, 90_000), &evenly(6, 45_000, 90_000)),
            // Few, or few for so many processors.
            by(&evenly(47, 0, 90_000), &[]),
            changed(|births| births.processors = 75),
            // Nobody knows who makes them; the interpreter does for its program.
            changed(|births| births.stacks.iter_mut().for_each(unread)),
            by_whom(INTERPRETER),
            // It was ended before it could end them.
            changed(|births| births.exited = false),
        ],
    }]
}

fn unread(look: &mut BirthStack) {
    look.maker.stack = Fact::Unavailable("a test".to_owned());
}

fn by_whom(frames: Frames<'_>) -> Case {
    command(90_000, &evenly(300, 0, 90_000), &[], &[(32, frames), (64, frames)])
}

#[test]
fn who_makes_threads_without_end_is_named() {
    let finding = leak().finding();
    let told = [&finding.code, &finding.status, &finding.class, &finding.phase];
    assert_eq!(told, ["L410", "LEAK", "thread-leak", "run"]);
    let culprit = finding.culprit.unwrap();
    assert_eq!(culprit.module, "libengine.so");
    assert_eq!(culprit.function.as_deref(), Some("engine::Stream::Stream()"));
    assert_eq!(
        (finding.left_behind[0].kind.as_str(), finding.left_behind[0].count),
        ("thread", 300)
    );
    let texts: Vec<&str> = finding.evidence.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "300 threads lived when process 100 ended; it may use 2 processors",
            "of 300 threads that were born, 0 ended before the process did",
            "+3331.0 threads per second (3326.2 to 3335.4, Theil-Sen, 95 %)",
            "149 of 300 were born in the second half of 90 ms, the last one 0 ms before the end",
            "3 of these births were looked at: libengine.so made each",
            "whether they would have ended: the process ended with them",
        ]
    );
}

#[test]
fn a_pool_of_another_makers_is_not_counted() {
    let births = [evenly(40, 0, 500), evenly(60, 20_000, 90_000)].concat();
    let looks = [(32, POOL), (48, MAKER), (64, MAKER), (96, MAKER)];
    let finding = command(90_000, &births, &[], &looks).finding();
    assert_eq!(finding.culprit.unwrap().module, "libengine.so");
    assert_eq!(finding.left_behind[0].count, 68, "those after the last look at the other maker");
    // Whose threads end is not told: then nothing is claimed.
    let ends = evenly(30, 15_000, 20_000);
    assert_eq!(command(90_000, &births, &ends, &looks).findings(), []);
}

#[test]
fn a_plan_has_its_census_for_that() {
    let mut case = leak();
    case.observation.command = Vec::new();
    assert_eq!(case.findings().iter().filter(|one| one.class == "thread-leak").count(), 0);
}
