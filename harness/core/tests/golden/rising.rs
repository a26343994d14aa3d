//! What a command holds more and more of: the rule's case, its near-miss twins, and the notes.

use hotfire_core::diagnose::rising_notes;
use hotfire_core::observe::{Fact, HeldPoint, LivingPoint, NO_HOST, SampledProcess, Samples};

use crate::build::{Case, healthy};
use crate::rules::RuleCases;

/// Five samples each second.
const PACE_US: u64 = 200_000;
const COUNT: u32 = 60;

/// A command with so many descriptors at each sample, and at its exit so many by kind.
fn command(descriptors: &[u32], at_exit: &[(&str, u32)]) -> Case {
    let mut case = healthy("exit");
    case.observation.command = vec!["app".to_owned()];
    case.observation.recorder = Fact::Unavailable(NO_HOST.to_owned());
    let point = |(time, descriptors): (u64, &u32)| HeldPoint {
        time_us: time * PACE_US,
        descriptors: *descriptors,
        threads: 1,
    };
    case.observation.samples.processes = vec![SampledProcess {
        pid: 100,
        command: "app".to_owned(),
        is_child: true,
        exited: true,
        points: (0..).zip(descriptors).map(point).collect(),
        at_exit: at_exit.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
    }];
    case
}

/// A count for each sample.
fn series(count: impl Fn(u32) -> u32) -> Vec<u32> {
    (0..COUNT).map(count).collect()
}

fn steady() -> Vec<u32> {
    series(|at| 10 + 4 * at)
}

fn leak() -> Case {
    command(&steady(), &[("pipe", 6), ("/srv/data/part-N.bin", 240)])
}

fn of(descriptors: &[u32]) -> Case {
    let last = descriptors.last().copied().unwrap_or(0);
    command(descriptors, &[("pipe", 6), ("/srv/data/part-N.bin", last - 6)])
}

fn changed(change: impl FnOnce(&mut SampledProcess)) -> Case {
    let mut case = leak();
    change(&mut case.observation.samples.processes[0]);
    case
}

pub(crate) fn cases() -> Vec<RuleCases> {
    vec![RuleCases {
        rule: "descriptors-without-end",
        fires: leak(),
        twins: vec![
            // A thousand files at once, at the start or in the midst of it.
            of(&series(|at| if at < 5 { 10 } else { 1010 })),
            of(&series(|at| if at < 35 { 10 } else { 1010 })),
            // They fill up.
            of(&series(|at| 10 + 8 * at.min(40))),
            // They come in bursts: pools.
            of(&series(|at| 10 + 40 * (at / 9))),
            // A server with its clients: they come and go.
            of(&series(|at| 10 + 4 * at - if (30..34).contains(&at) { 70 } else { 0 })),
            // Few.
            of(&series(|at| 10 + at)),
            // For a short time, or in few samples.
            changed(|one| one.points.iter_mut().for_each(|point| point.time_us /= 4)),
            changed(|one| {
                one.points = one.points.iter().copied().step_by(3).collect();
                for (at, point) in (0u32..).zip(&mut one.points) {
                    point.descriptors = 10 + 12 * at;
                }
            }),
            // It closes them in the end.
            command(&steady(), &[("pipe", 6), ("/srv/data/part-N.bin", 4)]),
            // A server whose clients still are there.
            command(&steady(), &[("pipe", 6), ("socket", 240)]),
            // It was killed.
            changed(|one| one.exited = false),
        ],
    }]
}

fn notes(case: &Case) -> Vec<String> {
    rising_notes(&case.observation.samples, &case.findings())
}

#[test]
fn descriptors_that_nobody_closes_are_told_with_what_they_are() {
    let finding = leak().finding();
    let told = [&finding.code, &finding.status, &finding.class, &finding.phase];
    assert_eq!(told, ["L411", "LEAK", "fd-leak", "run"]);
    assert_eq!(finding.culprit, None);
    let left = &finding.left_behind[0];
    assert_eq!((left.kind.as_str(), left.count), ("fd", 176));
    assert_eq!(left.mostly.as_deref(), Some("file .bin"));
    assert_eq!(left.detail, "240 file .bin, 6 pipe");
    let texts: Vec<&str> = finding.evidence.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "descriptors: +20.0 per second (20.0 to 20.0, Theil-Sen, 95 %)",
            "45 samples over 8.8 s, after the first 15",
            "it does not level off: +20.0 per second in the second half",
            "at no time were there more than 0 fewer than before",
            "when it exited it held 246, after its start 70",
            "0 of 246 are sockets, which clients could have asked for",
            "who opened them, and whether they would have been closed later",
        ]
    );
    assert_eq!(notes(&leak()), [""; 0], "a finding needs no note");
}

#[test]
fn the_identity_of_a_leak_is_what_leaks() {
    let more = command(&series(|at| 30 + 5 * at), &[("/other/place/N.bin", 330)]);
    assert_eq!(more.finding().id, leak().finding().id);
    let other = command(&steady(), &[("[eventfd]", 246)]);
    assert_ne!(other.finding().id, leak().finding().id);
}

#[test]
fn what_may_be_right_is_a_note() {
    let killed = notes(&changed(|one| one.exited = false));
    assert_eq!(
        killed,
        ["process 100 `app` had more and more descriptors: +20.0 per second (20.0 to 20.0, \
          Theil-Sen, 95 %); it did not exit by itself, so whether it would close them is not known"]
    );
    let clients = notes(&command(&steady(), &[("pipe", 6), ("socket", 240)]));
    assert!(clients.len() == 1 && clients[0].contains("many are sockets"), "{clients:?}");
    let threads = changed(|one| {
        for (at, point) in (1u32..).zip(&mut one.points) {
            (point.descriptors, point.threads) = (10, at);
        }
    });
    assert_eq!(threads.findings(), []);
    assert_eq!(notes(&threads).len(), 1);
    assert!(notes(&threads)[0].contains("more and more threads: +5.0 per second"));
    let mut processes = leak();
    let living = (0..u64::from(COUNT)).zip(1..);
    let living = living.map(|(at, processes)| LivingPoint { time_us: at * PACE_US, processes });
    processes.observation.samples = Samples { living: living.collect(), ..Samples::default() };
    assert_eq!(
        notes(&processes),
        ["more and more processes of the command lived: +5.0 per second (5.0 to 5.0, Theil-Sen, \
          95 %)"]
    );
}

#[test]
fn what_levels_off_or_goes_again_is_no_note() {
    for cases in cases() {
        // The last two are what notes are for.
        for twin in &cases.twins[..cases.twins.len() - 2] {
            assert_eq!(notes(twin), [""; 0]);
        }
    }
}

#[test]
fn a_plan_has_its_census_for_that() {
    let mut case = leak();
    case.observation.command = Vec::new();
    assert_eq!(case.findings().iter().filter(|one| one.class == "fd-leak").count(), 0);
}
