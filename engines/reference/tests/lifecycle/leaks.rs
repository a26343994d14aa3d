//! The defects that leak: each adds one thing of one kind per load, and a healthy life none.
//!
//! A child counts what it holds itself, from /proc and /dev/shm.

use std::iter::once;

use crate::children::silent;

const TURNS: usize = 20;
/// A model's memory has 13 pages.
const MODEL_KIB: i64 = 52;
/// What an allocator may gather in so many turns, in KiB.
const NOISE_KIB: i64 = 200;

/// What a child holds after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: i64,
    fds: i64,
    semaphores: i64,
    kib: i64,
}

impl Held {
    fn read(numbers: &str) -> (Self, i64) {
        let numbers: Vec<i64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let [threads, fds, semaphores, kib, pid] = numbers[..] else { panic!("{numbers:?}") };
        (Self { threads, fds, semaphores, kib }, pid)
    }

    fn without_memory(self) -> [i64; 3] {
        [self.threads, self.fds, self.semaphores]
    }
}

/// What is held after the first turn and after each of `TURNS` more. Removes the semaphores' names
/// that the child leaves.
fn after_turns(create: &str, turn: &[&'static str]) -> Vec<Held> {
    let turns = (0..=TURNS).flat_map(|_| turn.iter().copied().chain(once("held")));
    let steps: Vec<&str> = once(create).chain(turns).collect();
    let text = silent(&steps);
    let held: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("held: ")).map(Held::read).collect();
    assert_eq!(held.len(), TURNS + 1, "{text}");
    let ours = format!("sem.ref-{}-", held[0].1);
    let names: Vec<_> = std::fs::read_dir("/dev/shm")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours))
        .collect();
    let left = names.len();
    names.iter().for_each(|name| std::fs::remove_file(name.path()).unwrap());
    let held: Vec<Held> = held.into_iter().map(|(held, _)| held).collect();
    assert_eq!(left as i64, held[TURNS].semaphores, "what is there at the end stays");
    held
}

/// The counts but memory grow by `step` with each turn.
fn grow_by(create: &str, turn: &[&'static str], step: [i64; 3]) {
    let held = after_turns(create, turn);
    for pair in held.windows(2) {
        let (before, after) = (pair[0].without_memory(), pair[1].without_memory());
        let grown: Vec<i64> =
            after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(grown, step, "{create} {turn:?}: {held:?}");
    }
}

/// How much private memory the turns add, in KiB.
fn memory_added(create: &str, turn: &[&'static str]) -> i64 {
    let held = after_turns(create, turn);
    held[TURNS].kib - held[0].kib
}

const RELOAD: &[&str] = &["load tiny", "unload"];
const RELOAD_AND_USE: &[&str] = &["load tiny", "generate 4", "swap model=other", "unload"];
const FAIL: &[&str] = &["load broken"];

#[test]
fn a_leak_adds_one_thing_per_load() {
    grow_by("create defect=leak-thread", RELOAD, [1, 0, 0]);
    grow_by("create defect=leak-fd", RELOAD, [0, 1, 0]);
    grow_by("create defect=leak-semaphore", RELOAD, [0, 0, 1]);
    let added = memory_added("create defect=leak-memory", RELOAD);
    let least = MODEL_KIB * TURNS as i64;
    assert!((least..least + NOISE_KIB).contains(&added), "{added} KiB");
}

#[test]
fn a_swap_and_a_failed_load_leak_as_a_load_does() {
    grow_by("create defect=leak-thread", RELOAD_AND_USE, [2, 0, 0]);
    grow_by("create defect=leak-fd", RELOAD_AND_USE, [0, 2, 0]);
    grow_by("create defect=leak-semaphore", RELOAD_AND_USE, [0, 0, 2]);
    grow_by("create defect=leak-thread", FAIL, [1, 0, 0]);
    grow_by("create defect=leak-fd", FAIL, [0, 1, 0]);
    grow_by("create defect=leak-semaphore", FAIL, [0, 0, 1]);
    let added = memory_added("create defect=leak-memory", RELOAD_AND_USE);
    assert!(added >= 2 * MODEL_KIB * TURNS as i64, "{added} KiB");
}

#[test]
fn a_healthy_engine_returns_to_what_it_held() {
    for create in ["create", "create prefetch=1", "create semaphore=1", "create defect=leak-memory"]
    {
        for turn in [RELOAD, RELOAD_AND_USE, FAIL] {
            grow_by(create, turn, [0, 0, 0]);
        }
    }
    for create in ["create", "create prefetch=1 semaphore=1", "create defect=leak-fd"] {
        for turn in [RELOAD, RELOAD_AND_USE, FAIL] {
            let added = memory_added(create, turn);
            assert!(added < NOISE_KIB, "{create} {turn:?}: {added} KiB");
        }
    }
}

#[test]
fn a_semaphore_has_no_name_however_the_process_ends() {
    for end in ["drop", "exit", "quick", "held"] {
        let text = silent(&["create semaphore=1", "load tiny", "generate 4", "held", end]);
        let (held, _) =
            text.lines().find_map(|line| line.strip_prefix("held: ")).map(Held::read).unwrap();
        assert_eq!(held.semaphores, 0, "while the model is loaded: {text}");
    }
}
