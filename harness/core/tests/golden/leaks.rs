//! Leaks: each rule's case and near-miss twins from stored counts, and what their findings say.

use hotfire_core::observe::{CensusBorder, CensusPoint, CensusRecord, Fact, SharedLeft};

use crate::build::{Case, healthy};
use crate::rules::RuleCases;

const PLAN: &str = "create a = reference; 24x(load a tiny; unload a); exit";
const TURNS: u32 = 24;
/// The private memory before anything has grown.
const BASE_BYTES: u64 = 4 << 20;

fn point(border: CensusBorder, step: u32, turn: u64) -> CensusPoint {
    CensusPoint {
        border,
        step,
        turn,
        grace_us: 0,
        threads: [("hotfire".to_owned(), 1)].into(),
        descriptors: [("pipe".to_owned(), 2), ("/dev/null".to_owned(), 1)].into(),
        shared: 0,
        processes: 0,
        mappings: 40,
        private_dirty_bytes: Some(BASE_BYTES),
    }
}

/// A run whose turn `n` (from 1) is as `change` makes it; before the exit it is as after turn
/// `end`.
fn turns(end: u32, change: impl Fn(&mut CensusPoint, u32)) -> Case {
    let mut points = vec![point(CensusBorder::Start, 0, 0)];
    for turn in 1..=TURNS {
        let mut after = point(CensusBorder::Turn, 3, u64::from(turn) - 1);
        change(&mut after, turn);
        points.push(after);
    }
    let mut last = CensusPoint { grace_us: 300_000, ..point(CensusBorder::End, 3, 0) };
    change(&mut last, end);
    points.push(last);
    let mut case = healthy(PLAN);
    case.observation.census = Fact::Known(CensusRecord { points, ..CensusRecord::default() });
    case
}

fn threads(count: impl Fn(u32) -> u32, end: u32) -> Case {
    turns(end, |point, turn| {
        point.threads.insert("ref-worker".to_owned(), count(turn));
    })
}

fn descriptors(what: impl Fn(u32) -> String, count: impl Fn(u32) -> u32, end: u32) -> Case {
    turns(end, |point, turn| {
        point.descriptors.insert(what(turn), count(turn));
    })
}

/// Listening sockets have a port each.
fn ports(count: impl Fn(u32) -> u32, end: u32) -> Case {
    turns(end, |point, turn| {
        for port in 0..count(turn) {
            point.descriptors.insert(format!("listening tcp port {}", 40_000 + port), 1);
        }
    })
}

fn memory(bytes: impl Fn(u32) -> u64, end: u32) -> Case {
    turns(end, |point, turn| point.private_dirty_bytes = Some(BASE_BYTES + bytes(turn)))
}

fn left(name: &str) -> Case {
    let shared = SharedLeft { name: name.to_owned(), step: 2, was_removed: true };
    with_census(|census| census.shared_left.push(shared))
}

/// A loop without growth.
fn with_census(change: impl FnOnce(&mut CensusRecord)) -> Case {
    let mut case = threads(|_| 2, TURNS);
    if let Fact::Known(census) = &mut case.observation.census {
        change(census);
    }
    case
}

/// It jumps once, late, and stays: an initialisation, no growth.
fn once(turn: u32) -> u32 {
    if turn < 9 { 1 } else { 9 }
}

fn log() -> String {
    "/var/log/engine".to_owned()
}

pub(crate) fn cases() -> Vec<RuleCases> {
    let unclaimed =
        || with_census(|census| census.shared_unclaimed.push("sem.of-another".to_owned()));
    vec![
        RuleCases {
            rule: "thread-leak",
            fires: threads(|turn| 1 + turn, TURNS),
            // The second twin's threads are gone after the grace period.
            twins: vec![threads(once, TURNS), threads(|turn| 1 + turn, 1)],
        },
        RuleCases {
            rule: "port-leak",
            fires: ports(|turn| turn, TURNS),
            twins: vec![ports(once, TURNS), ports(|turn| turn, 1)],
        },
        RuleCases {
            rule: "fd-leak",
            fires: descriptors(|_| log(), |turn| turn, TURNS),
            twins: vec![
                descriptors(|_| log(), once, TURNS),
                descriptors(|_| log(), |turn| turn, 1),
                // A file per turn, and the last one closed each time.
                descriptors(|turn| format!("/tmp/{turn}"), |_| 1, TURNS),
            ],
        },
        RuleCases {
            rule: "semaphore-leak",
            fires: left("sem.engine-7"),
            twins: vec![left("engine-7"), unclaimed()],
        },
        RuleCases {
            rule: "shm-leak",
            fires: left("engine-7"),
            twins: vec![left("sem.engine-7"), unclaimed()],
        },
        RuleCases {
            rule: "memory-growth",
            fires: memory(|turn| u64::from(turn) * 65_536, TURNS),
            twins: vec![
                // Too slow to be told from noise.
                memory(|turn| u64::from(turn) * 512, TURNS),
                memory(|turn| u64::from(turn) * 65_536, 1),
                // A cache that fills up.
                memory(|turn| u64::from(turn.min(16)) * 65_536, TURNS),
            ],
        },
    ]
}

#[test]
fn the_slope_and_what_grew_are_told() {
    let finding = descriptors(|_| log(), |turn| 2 * turn, TURNS).finding();
    assert_eq!((finding.code.as_str(), finding.status.as_str()), ("L411", "LEAK"));
    assert_eq!(finding.phase, "run", "no border of a step was looked at");
    assert_eq!(finding.title, "descriptors: +2 per turn; 34 more at the end than after turn 7");
    let [left] = finding.left_behind.as_slice() else { panic!("{finding:#?}") };
    assert_eq!((left.kind.as_str(), left.count, left.step), ("fd", 34, None));
    assert_eq!(left.detail, "34 /var/log/engine");
    let growth = left.growth.as_ref().unwrap();
    assert_eq!((growth.per_turn, growth.low, growth.high, growth.turns), (2.0, 2.0, 2.0, 18));
    let said = |words: &str| finding.evidence.iter().any(|line| line.text.contains(words));
    assert!(said("run with --census steps"), "{:?}", finding.evidence);
    assert!(said("more: 34 /var/log/engine"), "{:?}", finding.evidence);
}

#[test]
fn the_step_of_birth_is_the_one_after_which_there_are_more() {
    let mut case = threads(|turn| 1 + turn, TURNS);
    let Fact::Known(census) = &mut case.observation.census else { panic!("set above") };
    let mut points = Vec::new();
    for after in census.points.drain(..) {
        if after.border == CensusBorder::Turn {
            // Two are born in the load, one ends in the unload.
            let mut loaded = after.clone();
            loaded.border = CensusBorder::Step;
            loaded.step = 2;
            *loaded.threads.get_mut("ref-worker").unwrap() += 1;
            let unloaded = CensusPoint { border: CensusBorder::Step, ..after.clone() };
            points.extend([loaded, unloaded]);
        }
        points.push(after);
    }
    census.points = points;
    let finding = case.finding();
    assert_eq!((finding.phase.as_str(), finding.left_behind[0].step), ("load", Some(2)));
    assert!(finding.title.ends_with(", born in step 2 `load a tiny`"), "{}", finding.title);
}

#[test]
fn few_turns_and_no_census_say_nothing() {
    let mut case = threads(|turn| 1 + turn, TURNS);
    if let Fact::Known(census) = &mut case.observation.census {
        census.points.retain(|point| point.turn < 9);
    }
    assert_eq!(case.findings(), []);
    case.observation.census = Fact::Unavailable("not asked for".to_owned());
    assert_eq!(case.findings(), []);
}

#[test]
fn memory_beside_another_leak_is_its_consequence() {
    let case = turns(TURNS, |point, turn| {
        point.threads.insert("ref-worker".to_owned(), 1 + turn);
        point.private_dirty_bytes = Some(BASE_BYTES + u64::from(turn) * 16_384);
    });
    let finding = case.finding();
    assert_eq!(finding.class, "thread-leak");
    assert!(finding.evidence.iter().any(|line| line.text.starts_with("private memory: +16.0 KiB")));
}

#[test]
fn a_listening_socket_is_one_leak_not_two() {
    let finding = ports(|turn| turn, TURNS).finding();
    assert_eq!((finding.class.as_str(), finding.code.as_str()), ("port-leak", "L412"));
    assert_eq!(finding.left_behind[0].detail, "17 listening tcp port");
}

#[test]
fn a_name_of_nobody_is_not_claimed() {
    let finding = left("sem.engine-7").finding();
    assert_eq!((finding.class.as_str(), finding.code.as_str()), ("semaphore-leak", "L413"));
    assert_eq!(
        finding.left_behind[0].detail,
        "/dev/shm/sem.engine-7; 1 of 1 removed after the run"
    );
    let others = with_census(|census| census.shared_unclaimed.push("sem.of-another".to_owned()));
    assert_eq!(others.findings(), []);
}
