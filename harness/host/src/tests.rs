//! The interpreter against an engine that counts its calls, within this process.
//!
//! Deliberately absent: ways out of the process; `tests/modes.rs` has them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hotfire_plan::model::Operation;
use hotfire_plan::{Args, Plan};
use hotfire_recorder::{
    ReadError, Snapshot, StepEnded, StepEvent, StepOutcome, TOTAL_WORDS, Writer, header_words,
    read_snapshot,
};

use crate::engine::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Outcome, Request,
};
use crate::ledger::Ledger;
use crate::os;
use crate::run::{self, Settings};

/// What all fake engines of a test did, in order.
type Diary = Arc<Mutex<Vec<String>>>;

struct FakeKind {
    name: &'static str,
    diary: Diary,
    born: AtomicUsize,
    /// Steps that are inside `call a meet` now.
    meeting: Arc<AtomicUsize>,
}

impl EngineKind for FakeKind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn create(&self, args: &Args, _: &CreateContext) -> Result<Arc<dyn Engine>, EngineError> {
        if args.contains_key("fail") {
            return Err(EngineError::Failed("told to fail".to_owned()));
        }
        let name = format!("{}{}", self.name, self.born.fetch_add(1, Ordering::Relaxed) + 1);
        self.diary.lock().unwrap().push(format!("{name} born"));
        Ok(Arc::new(Fake {
            name,
            diary: Arc::clone(&self.diary),
            rejects: args.get("rejects").cloned(),
            state: Mutex::new(EngineState::Created),
            meeting: Arc::clone(&self.meeting),
        }))
    }
}

struct Fake {
    name: String,
    diary: Diary,
    rejects: Option<String>,
    state: Mutex<EngineState>,
    meeting: Arc<AtomicUsize>,
}

impl Fake {
    /// Returns when two steps are here at once.
    fn meet(&self) -> Result<Outcome, EngineError> {
        self.meeting.fetch_add(1, Ordering::AcqRel);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.meeting.load(Ordering::Acquire) < 2 {
            if Instant::now() > deadline {
                return Err(EngineError::Failed("nobody came".to_owned()));
            }
            thread::yield_now();
        }
        Ok(Outcome::default())
    }
}

impl Engine for Fake {
    fn state(&self) -> EngineState {
        *self.state.lock().unwrap()
    }

    fn step(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        let mut words = vec![self.name.clone(), request.operation.to_string()];
        words.extend(request.positional.iter().cloned());
        words.extend(request.named.iter().map(|(key, value)| format!("{key}={value}")));
        if request.operation != Operation::Generate {
            self.diary.lock().unwrap().push(words.join(" "));
        }
        let first = request.positional.first();
        if self.rejects.is_some() && self.rejects.as_ref() == first {
            *self.state.lock().unwrap() = EngineState::Failed;
            return Err(EngineError::Failed("rejected".to_owned()));
        }
        match (request.operation, first.map(String::as_str)) {
            (Operation::Load, _) => *self.state.lock().unwrap() = EngineState::Ready,
            (Operation::Unload, _) => *self.state.lock().unwrap() = EngineState::Created,
            (Operation::Call, Some("thread")) => {
                let name = thread::current().name().unwrap_or_default().to_owned();
                return Err(EngineError::Failed(name));
            }
            (Operation::Call, Some("meet")) => return self.meet(),
            (Operation::Call, Some("slow")) => {
                os::pause_us(20_000);
                self.diary.lock().unwrap().push("slow done".to_owned());
            }
            _ => {}
        }
        Ok(Outcome { digest: 1, count: 1, valid: Vec::new() })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.diary.lock().unwrap().push(format!("{} dead", self.name));
    }
}

fn clock() -> u64 {
    os::monotonic_ns()
}

/// Runs a plan to its end, with the engine kinds `x` and `y`; what was recorded, and the diary.
/// The engines that are still in their slots die after the diary was read.
fn play(text: &str) -> (Snapshot, Vec<String>) {
    let mut words: Vec<u64> = header_words(0, 0, 0, 0);
    words.resize(TOTAL_WORDS, 0);
    let words: &'static [AtomicU64] =
        Box::leak(words.into_iter().map(AtomicU64::new).collect::<Vec<_>>().into_boxed_slice());
    let diary = Diary::default();
    let meeting = Arc::new(AtomicUsize::new(0));
    let kinds = ["x", "y"].map(|name| {
        let (diary, meeting) = (Arc::clone(&diary), Arc::clone(&meeting));
        Arc::new(FakeKind { name, diary, born: AtomicUsize::new(0), meeting })
            as Arc<dyn EngineKind>
    });
    let settings = Settings {
        recorder: Writer::new(words, clock),
        ledger: Ledger::off(),
        seed: 0,
        beat_period_us: 0,
        gating: hotfire_recorder::Gating::Steps,
        is_verbose: false,
    };
    let plan = Plan::parse(text).expect("a plan");
    let interpreter = run::prepare(&plan, kinds.to_vec(), settings).expect("threads");
    assert!(interpreter.run().is_continue());
    interpreter.stop_loop(true);
    let entries = diary.lock().unwrap().clone();
    let mut fetch = |start: usize, count: usize| {
        let part = words.get(start..start + count).ok_or(ReadError("short".into()))?;
        Ok(part.iter().map(|word| word.load(Ordering::Relaxed)).collect())
    };
    (read_snapshot(&mut fetch).expect("a header"), entries)
}

fn ended(snapshot: &Snapshot, lane: u16) -> Vec<StepEnded> {
    let lane = snapshot.lanes.iter().find(|candidate| candidate.lane == lane).expect("the lane");
    let events = lane.events.iter();
    events
        .filter_map(|event| match event {
            StepEvent::Ended(ended) => Some(ended.clone()),
            StepEvent::Begun(_) => None,
        })
        .collect()
}

/// Outcome and text of each step of lane 0.
fn results(snapshot: &Snapshot) -> Vec<(StepOutcome, String)> {
    ended(snapshot, 0).into_iter().map(|ended| (ended.outcome, ended.text)).collect()
}

#[test]
fn engine_sees_its_arguments_and_not_the_hosts() {
    let (snapshot, diary) =
        play("create a = x; load a tiny mmap=no expect=ok on=loop; call a warm 3; unload a");
    assert_eq!(diary, ["x1 born", "x1 load tiny mmap=no", "x1 call warm 3", "x1 unload"]);
    assert!(results(&snapshot).iter().all(|(outcome, _)| *outcome == StepOutcome::Ok));
}

#[test]
fn slots_hold_one_engine_each() {
    let (snapshot, diary) =
        play("load a tiny; create a = x; create a = x; drop a; drop a; create b = x:fail=yes");
    let results = results(&snapshot);
    let illegal = |text: &str| (StepOutcome::Illegal, format!("illegal now: slot `a` is {text}"));
    assert_eq!(results[0], illegal("empty"));
    assert_eq!(results[2], illegal("occupied"));
    assert_eq!(results[4], illegal("empty"));
    assert_eq!(results[5], (StepOutcome::Failed, "told to fail".to_owned()));
    assert_eq!(diary, ["x1 born", "x1 dead"]);
}

#[test]
fn swapped_engine_is_loaded_before_the_old_one_dies() {
    let (_, diary) = play("create a = x; load a tiny k=v; swap a engine=y; swap a engine=x");
    let expected = [
        "x1 born",
        "x1 load tiny k=v",
        "y1 born",
        "y1 load tiny k=v",
        "x1 dead",
        "x2 born",
        "x2 load tiny k=v",
        "y1 dead",
    ];
    assert_eq!(diary, expected);
}

#[test]
fn swap_follows_the_model_that_is_there() {
    let (_, diary) = play("create a = x; load a tiny; swap a model=big; swap a engine=y");
    assert_eq!(diary[2..5], ["x1 swap model=big", "y1 born", "y1 load big"]);
    let (_, diary) = play("create a = x; load a tiny; unload a; swap a engine=y");
    assert_eq!(diary[3..], ["y1 born", "x1 dead"], "no model, no load");
}

#[test]
fn failed_swap_keeps_the_old_engine() {
    let (snapshot, diary) =
        play("create a = x; load a tiny; swap a engine=y:rejects=tiny; call a thread");
    let results = results(&snapshot);
    assert_eq!(results[2], (StepOutcome::Failed, "rejected".to_owned()));
    assert_eq!(diary[2..], ["y1 born", "y1 load tiny", "y1 dead", "x1 call thread"]);
}

#[test]
fn await_tells_ready_failed_and_late() {
    let (snapshot, _) = play(
        "create a = x; load a tiny; await a; create b = x; await b timeout=3ms; \
         create c = x:rejects=bad; load c bad; await c timeout=5s",
    );
    let results = results(&snapshot);
    assert_eq!(results[2].0, StepOutcome::Ok);
    assert_eq!(results[4], (StepOutcome::Timeout, "not ready after 3000 us".to_owned()));
    assert_eq!(results[7], (StepOutcome::Failed, "the engine has failed".to_owned()));
}

#[test]
fn slot_is_not_locked_while_a_step_runs() {
    let (snapshot, _) = play("create a = x; [call a meet | call a meet]");
    for lane in [1, 2] {
        assert_eq!(ended(&snapshot, lane)[0].outcome, StepOutcome::Ok, "lane {lane}");
    }
}

#[test]
fn destructor_waits_for_the_step_in_flight() {
    let (_, diary) = play("create a = x; [call a slow | pause 5ms; drop a]");
    assert_eq!(diary, ["x1 born", "x1 call slow", "slow done", "x1 dead"]);
}

#[test]
fn turns_are_counted_per_step() {
    let (snapshot, diary) = play("create a = x; 2x(load a tiny; 3x unload a)");
    let turns: Vec<(u32, u64)> =
        ended(&snapshot, 0).iter().map(|ended| (ended.step, ended.iteration)).collect();
    let expected = [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (2, 1), (3, 3), (3, 4), (3, 5)];
    assert_eq!(turns, expected);
    assert_eq!(diary.len(), 9);
}

#[test]
fn hammers_end_with_the_others_and_alone_at_once() {
    let (snapshot, _) =
        play("create a = x; [until-joined(generate a) | pause 20ms | until-joined(generate a)]");
    for lane in [1, 3] {
        let count = ended(&snapshot, lane).len();
        assert!(count > 2, "lane {lane}: {count}");
    }
    let (snapshot, _) = play("create a = x; [until-joined(generate a) | until-joined(generate a)]");
    assert_eq!((ended(&snapshot, 1).len(), ended(&snapshot, 2).len()), (1, 1));
}

#[test]
fn threads_have_the_names_of_their_lanes() {
    let (snapshot, _) =
        play("create a = x; [call a thread | call a thread]; call a thread on=loop");
    assert_eq!(ended(&snapshot, 1)[0].text, "lane-1");
    assert_eq!(ended(&snapshot, 2)[0].text, "lane-2");
    assert_eq!(results(&snapshot)[1].1, "event-loop");
    let event_loop = snapshot.event_loop.expect("a loop, as a step wants it");
    assert_eq!((event_loop.tid, event_loop.busy_step), (0, 0), "ended");
}

#[test]
fn what_no_native_host_has_is_said() {
    let (snapshot, diary) = play("create a = x; drop a via=gc; gc; gc a");
    let results = results(&snapshot);
    assert_eq!(results[1].0, StepOutcome::Unsupported);
    assert_eq!(results[2].0, StepOutcome::Unsupported);
    assert_eq!(diary, ["x1 born", "x1 gc"]);
}

#[test]
fn blocks_after_one_another_use_lanes_again() {
    let (snapshot, diary) = play("create a = x; 20x([load a tiny | unload a])");
    assert_eq!(diary.len(), 41);
    for lane in [1, 2] {
        let turns: Vec<u64> = ended(&snapshot, lane).iter().map(|ended| ended.iteration).collect();
        assert_eq!(turns, (0..20).collect::<Vec<_>>(), "lane {lane}");
    }
    assert!(snapshot.damage.is_empty(), "{:?}", snapshot.damage);
}
