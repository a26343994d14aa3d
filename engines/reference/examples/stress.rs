//! Random lifecycles of the healthy engine in one process, legal and not, in sequence and in lanes:
//! `stress SEED ROUNDS`. Ends with 1 at the first wrong token, surprising error or leftover.
//!
//! Deliberately absent: defects, and isolation; a crash ends the process, as it would a user's.

mod support;

use std::process::ExitCode;
use std::sync::{Arc, Barrier};

use hotfire_host::{Engine, EngineError};

const SETTINGS: [&[&str]; 8] = [
    &[],
    &[],
    &["device=aux"],
    &["process=1"],
    &["device=aux", "process=1"],
    &["prefetch=1"],
    &["semaphore=1", "prefetch=1"],
    &["monitor=1", "export=thread"],
];
const STEPS: [&str; 20] = [
    "load tiny",
    "load tiny",
    "load other",
    "load broken",
    "load nothing",
    "generate 4",
    "generate 16",
    "generate 16",
    "generate 3 prompt=Hello",
    "generate 150",
    "unload",
    "unload",
    "swap model=other",
    "swap model=tiny",
    "swap model=broken",
    "export",
    "export ms=1",
    "cancel",
    "cleanup",
    "shutdown",
];
/// The last so many of `STEPS` end a life: drawn seldom.
const ENDINGS: u64 = 2;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people and scripts")]
fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(seed)), Some(Ok(rounds))) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: stress SEED ROUNDS");
        return ExitCode::from(2);
    };
    println!("seed {seed}");
    let mut random = Random(seed);
    if let Err(wrong) = lifecycle(&mut random) {
        eprintln!("warm-up: {wrong}");
        return ExitCode::FAILURE;
    }
    let before = Leftovers::count();
    if !sees_an_engine(&before) {
        eprintln!("the census does not see a living engine: {before:?}");
        return ExitCode::FAILURE;
    }
    for round in 1..=rounds {
        if let Err(wrong) = lifecycle(&mut random) {
            eprintln!("round {round}: {wrong}");
            return ExitCode::FAILURE;
        }
    }
    let after = Leftovers::count();
    println!("{rounds} lifecycles; before {before:?}, after {after:?}");
    if before == after { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a living engine with a worker process shows in a census.
fn sees_an_engine(without: &Leftovers) -> bool {
    let engine = support::create(&["device=aux", "process=1"]);
    let with = Leftovers::count();
    engine.is_ok()
        && with.arenas == without.arenas + 1
        && with.threads == without.threads + 1
        && with.fds == without.fds + 1
        && with.children != without.children
}

fn lifecycle(random: &mut Random) -> Result<(), String> {
    let settings = random.choose(&SETTINGS);
    let engine = support::create(settings).map_err(|error| format!("create: {error}"))?;
    let count = random.below(4);
    for _ in 0..count {
        if random.below(2) == 0 {
            run(&engine, &random.steps())?;
            continue;
        }
        let lanes: Vec<Vec<&str>> = (0..2 + random.below(3)).map(|_| random.steps()).collect();
        run_lanes(&engine, &lanes)?;
    }
    Ok(())
}

fn run_lanes(engine: &Arc<dyn Engine>, lanes: &[Vec<&'static str>]) -> Result<(), String> {
    let barrier = Barrier::new(lanes.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .map(|steps| {
                let (engine, barrier) = (Arc::clone(engine), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    run(&engine, steps)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err("a panic".into())))
    })
}

fn run(engine: &Arc<dyn Engine>, steps: &[&str]) -> Result<(), String> {
    for step in steps {
        engine.state();
        match support::perform(&**engine, step) {
            Ok(outcome) if support::torn(&outcome) => return Err(format!("{step}: torn")),
            Ok(outcome) if step.starts_with("generate") && outcome.valid.is_empty() => {
                return Err(format!("{step}: nothing to compare with"));
            }
            Ok(_) | Err(EngineError::Illegal(_) | EngineError::Cancelled) => {}
            Err(EngineError::Failed(_))
                if step.ends_with("broken") || step.ends_with("nothing") => {}
            Err(error) => return Err(format!("{step}: {error}")),
        }
    }
    Ok(())
}

/// What a healthy process must not gather.
#[derive(Debug, PartialEq, Eq)]
struct Leftovers {
    threads: usize,
    fds: usize,
    children: String,
    arenas: usize,
    semaphores: usize,
}

impl Leftovers {
    fn count() -> Self {
        let entries = |path| std::fs::read_dir(path).map_or(0, Iterator::count);
        let semaphores = format!("sem.ref-{}-", std::process::id());
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            threads: entries("/proc/self/task"),
            fds: entries("/proc/self/fd"),
            children: text("/proc/thread-self/children"),
            arenas: device_arenas(&text("/proc/self/smaps")),
            semaphores: std::fs::read_dir("/dev/shm").map_or(0, |names| {
                let ours = |name: &std::fs::DirEntry| {
                    name.file_name().to_string_lossy().starts_with(&semaphores)
                };
                names.flatten().filter(ours).count()
            }),
        }
    }
}

/// Mappings as long as a device's arena and, as it is, not reserved for (`nr`).
fn device_arenas(smaps: &str) -> usize {
    let mut lines = smaps.lines();
    let mut count = 0;
    while lines.any(|line| line.starts_with("Size:") && line.ends_with(" 5120 kB")) {
        let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
        count += usize::from(flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "nr")));
    }
    count
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn choose<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64) as usize;
        from.get(at).copied().unwrap_or_default()
    }

    fn steps(&mut self) -> Vec<&'static str> {
        let usual = STEPS.len() as u64 - ENDINGS;
        (0..1 + self.below(6))
            .map(|_| {
                let range = if self.below(12) == 0 { STEPS.len() as u64 } else { usual };
                let at = self.below(range) as usize;
                STEPS.get(at).copied().unwrap_or_default()
            })
            .collect()
    }
}
