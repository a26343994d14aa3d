//! Leaks: each rule's case and near-miss twins from stored counts, and what their findings say.

use hotfire_core::observe::{CensusBorder, CensusPoint, CensusRecord, Ending, Fact, SharedLeft};

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

fn ports(count: impl Fn(u32) -> u32, end: u32) -> Case {
    turns(end, |point, turn| {
        point.descriptors.insert("listening tcp port N".to_owned(), count(turn));
    })
}

fn memory(bytes: impl Fn(u32) -> u64, end: u32) -> Case {
    turns(end, |point, turn| point.private_dirty_bytes = Some(BASE_BYTES + bytes(turn)))
}

fn left(name: &str) -> Case {
    let shared = SharedLeft { name: name.to_owned(), step: 2, was_removed: true };
    with_census(|census| census.shared_left.push(shared))
}

/// The same, but the process dies: it had no time to clean up.
fn killed(mut case: Case) -> Case {
    case.observation.ending = Ending::Signaled(9);
    case
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

/// It jumps twice: two initialisations.
fn twice(turn: u32) -> u32 {
    once(turn) + if turn < 17 { 0 } else { 8 }
}

/// A cache that fills up in two thirds of the turns.
fn filling(turn: u32) -> u32 {
    1 + turn.min(16)
}

/// Two more in the last turns, none before: too few to tell from what comes and goes.
fn late(turn: u32) -> u32 {
    turn.max(16) / 4
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
            twins: vec![
                threads(once, TURNS),
                threads(|turn| 1 + turn, 1),
                threads(filling, TURNS),
                threads(twice, TURNS),
                threads(late, TURNS),
            ],
        },
        RuleCases {
            rule: "port-leak",
            fires: ports(|turn| turn, TURNS),
            twins: vec![
                ports(once, TURNS),
                ports(|turn| turn, 1),
                ports(filling, TURNS),
                ports(late, TURNS),
            ],
        },
        RuleCases {
            rule: "fd-leak",
            fires: descriptors(|_| log(), |turn| turn, TURNS),
            twins: vec![
                descriptors(|_| log(), once, TURNS),
                descriptors(|_| log(), |turn| turn, 1),
                descriptors(|_| log(), filling, TURNS),
                descriptors(|_| log(), twice, TURNS),
                descriptors(|_| log(), late, TURNS),
                // A file per turn, and the last one closed each time.
                descriptors(|turn| format!("/tmp/{turn}"), |_| 1, TURNS),
            ],
        },
        RuleCases {
            rule: "semaphore-leak",
            fires: left("sem.engine-7"),
            twins: vec![left("engine-7"), unclaimed(), killed(left("sem.engine-7"))],
        },
        RuleCases {
            rule: "shm-leak",
            fires: left("engine-7"),
            twins: vec![left("sem.engine-7"), unclaimed(), killed(left("engine-7"))],
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

/// Of a long loop few turns are looked at: what was born in the others is no step's.
#[test]
fn turns_that_are_not_looked_at_have_no_step_of_birth() {
    let mut case = threads(|turn| 1 + 8 * turn, TURNS);
    let Fact::Known(census) = &mut case.observation.census else { panic!("set above") };
    let mut points = Vec::new();
    for mut after in census.points.drain(..) {
        if after.border == CensusBorder::Turn {
            after.turn *= 8;
            let threads = after.threads["ref-worker"];
            let step = |step: u32, threads: u32| {
                let mut point = CensusPoint { border: CensusBorder::Step, step, ..after.clone() };
                point.threads.insert("ref-worker".to_owned(), threads);
                point
            };
            // One is born in the unload; the seven others in turns between.
            points.extend([step(3, threads - 1), step(2, threads - 1), step(3, threads)]);
        }
        points.push(after);
    }
    census.points = points;
    assert_eq!(case.finding().left_behind[0].step, Some(3));
}

#[test]
fn a_loop_that_leaks_is_found_beside_a_longer_one() {
    let mut case = threads(|turn| 1 + turn, TURNS);
    let Fact::Known(census) = &mut case.observation.census else { panic!("set above") };
    let last = census.points.pop().unwrap();
    let mut quiet = point(CensusBorder::Turn, 4, 0);
    quiet.threads.insert("ref-worker".to_owned(), 1 + TURNS);
    census.points.extend((0..64).map(|turn| CensusPoint { turn, ..quiet.clone() }));
    census.points.push(last);
    assert_eq!(case.finding().class, "thread-leak");
}

#[test]
fn what_grows_is_part_of_the_identity_and_numbers_and_places_are_not() {
    let of = |what: &'static str| descriptors(move |_| what.to_owned(), |turn| turn, TURNS);
    let id = |what: &'static str| of(what).finding().id;
    let mostly = |what: &'static str| of(what).finding().left_behind[0].mostly.clone().unwrap();
    assert_eq!(mostly("/models/v7/tiny.gguf"), "file .gguf");
    assert_eq!(mostly("/tmp/tmp8Xk2"), "file");
    assert_eq!(mostly("/dev/shm/ring.3f"), "file");
    assert_eq!(mostly("/dev/nvidia0"), "/dev/nvidiaN");
    assert_eq!(id("/models/v7/tiny.gguf"), id("/home/models/other.gguf"));
    assert_ne!(id("/models/v7/tiny.gguf"), id("socket"));
    assert_ne!(id("[eventfd]"), id("pipe"));
}

#[test]
fn what_a_death_leaves_is_told_with_the_death() {
    let case = killed(left("engine-7"));
    let finding = case.finding();
    assert_ne!(finding.status, "LEAK");
    let text = "1 names stood there after the death, the first engine-7";
    assert!(finding.evidence.iter().any(|line| line.text == text), "{:#?}", finding.evidence);
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
    assert_eq!(finding.left_behind[0].detail, "17 listening tcp port N");
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
