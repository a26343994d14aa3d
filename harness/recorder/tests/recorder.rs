//! The writer against the reader, over plain words in this process.
//!
//! Deliberately absent: mapped memory and processes; host and sys test those.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::sync::atomic::{AtomicU64, Ordering};

use hotfire_recorder::{
    Border, FLAG_GATE_ENDS, FLAG_GATE_STEPS, FLAG_LEDGER, Gate, Gating, LANES_MAX, LEDGER_CAPACITY,
    RING_CAPACITY, ReadError, Resource, Snapshot, Stage, StepEvent, StepOutcome, StepResult,
    TOTAL_BYTES, TOTAL_WORDS, Writer, brief_words, header_words, read_brief, read_gate,
    read_progress, read_snapshot,
};
use proptest::prelude::*;

static CLOCK: AtomicU64 = AtomicU64::new(1_000);

/// A clock that tells a new time at each call.
fn tick() -> u64 {
    CLOCK.fetch_add(10, Ordering::Relaxed)
}

fn words_with(plan: &str) -> Vec<AtomicU64> {
    let mut words = vec![0; TOTAL_WORDS];
    let header = header_words(FLAG_LEDGER, 42, 10_000, plan.len());
    words[..header.len()].copy_from_slice(&header);
    let (offset, brief) = brief_words(plan).expect("a short plan");
    words[offset / 8..offset / 8 + brief.len()].copy_from_slice(&brief);
    words.into_iter().map(AtomicU64::new).collect()
}

fn fetch(words: &[AtomicU64]) -> impl FnMut(usize, usize) -> Result<Vec<u64>, ReadError> {
    |start, count| {
        let part = words.get(start..start + count).ok_or(ReadError("too short".into()))?;
        Ok(part.iter().map(|word| word.load(Ordering::Relaxed)).collect())
    }
}

fn snapshot(words: &[AtomicU64]) -> Snapshot {
    read_snapshot(&mut fetch(words)).expect("a good header")
}

fn result(outcome: StepOutcome, text: &str) -> StepResult<'_> {
    StepResult { outcome, digest: 7, count: 3, torn: false, text }
}

/// Runs `steps` whole steps in lane 0.
fn run_steps(writer: &Writer<'_>, steps: u64) {
    for iteration in 0..steps {
        writer.step_begin(0, 1, iteration);
        writer.step_end(0, 1, iteration, &result(StepOutcome::Ok, ""));
    }
}

#[test]
fn size_is_part_of_the_layout() {
    assert_eq!(TOTAL_BYTES, TOTAL_WORDS * 8);
    assert_eq!(
        TOTAL_WORDS,
        64 + 4096 + LANES_MAX * (16 + RING_CAPACITY * 32) + LEDGER_CAPACITY * 8
    );
}

#[test]
fn fresh_recorder_is_unborn_and_whole() {
    let words = words_with("create a = x");
    let snapshot = snapshot(&words);
    assert_eq!(snapshot.stage, Stage::Unborn);
    assert!(snapshot.lanes.is_empty());
    assert_eq!(snapshot.event_loop, None);
    assert_eq!(snapshot.damage, Vec::<String>::new());
}

#[test]
fn words_without_header_or_too_few_are_no_recorder() {
    let blank: Vec<AtomicU64> = (0..TOTAL_WORDS).map(|_| AtomicU64::new(0)).collect();
    assert!(Writer::new(&blank, tick).is_none());
    assert!(read_snapshot(&mut fetch(&blank)).is_err());
    let words = words_with("");
    assert!(Writer::new(&words[..TOTAL_WORDS - 1], tick).is_none());
    assert!(read_snapshot(&mut fetch(&words[..8])).is_err());
}

#[test]
fn brief_says_what_the_supervisor_asks() {
    let words = words_with("create a = x; load a tiny");
    let brief = Writer::new(&words, tick).expect("a recorder").brief().expect("a brief");
    assert_eq!(brief.plan, "create a = x; load a tiny");
    assert_eq!((brief.ledger, brief.seed, brief.beat_period_us), (true, 42, 10_000));
    assert_eq!(read_brief(&mut fetch(&words)).expect("text"), brief.plan);
}

#[test]
fn a_lane_at_a_border_is_seen_until_it_goes_on() {
    let words = words_with("create a = x");
    let writer = Writer::new(&words, tick).expect("a recorder");
    assert_eq!(writer.brief().expect("a brief").gating, Gating::Off);
    assert_eq!(read_gate(&mut fetch(&words)), Ok(None));
    let gate = Gate { border: Border::Turn, step: 3, turn: 7 };
    writer.gate_reached(gate);
    assert_eq!(read_gate(&mut fetch(&words)), Ok(Some(gate)));
    writer.gate_left();
    assert_eq!(read_gate(&mut fetch(&words)), Ok(None));
    words[24].store(u64::MAX, Ordering::Relaxed);
    assert_eq!(read_gate(&mut fetch(&words)), Ok(None), "no border has such a number");
}

#[test]
fn flags_say_at_which_borders_the_lane_stops() {
    for (flags, gating) in [
        (FLAG_GATE_ENDS, Gating::Ends),
        (FLAG_GATE_STEPS, Gating::Steps),
        (FLAG_GATE_ENDS | FLAG_GATE_STEPS | FLAG_LEDGER, Gating::Steps),
        (FLAG_LEDGER, Gating::Off),
    ] {
        let words = words_with("create a = x");
        words[2].store(flags, Ordering::Relaxed);
        let brief = Writer::new(&words, tick).expect("a recorder").brief().expect("a brief");
        assert_eq!(brief.gating, gating, "{flags:#x}");
    }
}

#[test]
fn brief_that_lies_about_its_length_is_none() {
    let words = words_with("create a = x");
    words[5].store(u64::MAX, Ordering::Relaxed);
    assert_eq!(Writer::new(&words, tick).expect("a recorder").brief(), None);
    assert!(read_brief(&mut fetch(&words)).is_err());
}

#[test]
fn step_in_flight_survives_and_goes() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    writer.stage(Stage::Running);
    writer.lane_started(2, 77);
    writer.step_begin(2, 5, 9);
    let running = snapshot(&words);
    assert_eq!(running.stage, Stage::Running);
    let lane = running.lanes.iter().find(|lane| lane.lane == 2).expect("lane 2");
    let flight = lane.in_flight.clone().expect("a step in flight");
    assert_eq!((lane.tid, lane.begun, lane.ended), (77, 1, 0));
    assert_eq!((flight.step, flight.iteration), (5, 9));
    assert_eq!(lane.events, vec![StepEvent::Begun(flight.clone())]);

    writer.step_end(2, 5, 9, &result(StepOutcome::Failed, "no such model"));
    let done = snapshot(&words);
    let lane = done.lanes.iter().find(|lane| lane.lane == 2).expect("lane 2");
    assert_eq!((lane.in_flight.clone(), lane.ended, lane.lost), (None, 1, 0));
    let StepEvent::Ended(ended) = &lane.events[1] else { panic!("no end: {:?}", lane.events) };
    assert_eq!((ended.step, ended.iteration, ended.digest, ended.count), (5, 9, 7, 3));
    assert_eq!((ended.outcome, ended.text.as_str()), (StepOutcome::Failed, "no such model"));
    assert_eq!(lane.slowest_ns, ended.time_ns - flight.time_ns);
}

#[test]
fn progress_sees_a_lane_behind_one_that_is_late() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    writer.lane_started(3, 5);
    writer.step_begin(3, 4, 0);
    let progress = read_progress(&mut fetch(&words)).expect("a good header");
    let numbers: Vec<u16> = progress.lanes.iter().map(|lane| lane.lane).collect();
    assert_eq!(numbers, [0, 3]);
    assert_eq!(progress.lanes[1].in_flight.as_ref().map(|begun| begun.step), Some(4));
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    let text = "ü".repeat(100);
    writer.step_begin(0, 1, 0);
    writer.step_end(0, 1, 0, &result(StepOutcome::Failed, &format!("x{text}")));
    writer.refuse(&"é".repeat(400));
    let snapshot = snapshot(&words);
    let StepEvent::Ended(ended) = &snapshot.lanes[0].events[1] else { panic!("no end") };
    assert_eq!(ended.text, format!("x{}", "ü".repeat(95)));
    assert_eq!(snapshot.stage, Stage::Refused);
    assert_eq!(snapshot.message, Some("é".repeat(128)));
}

#[test]
fn ring_keeps_the_last_records_and_counts_the_lost() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    let steps = RING_CAPACITY as u64 + 5;
    run_steps(&writer, steps);
    let snapshot = snapshot(&words);
    let lane = &snapshot.lanes[0];
    assert_eq!((lane.begun, lane.ended), (steps, steps));
    assert_eq!(lane.events.len(), RING_CAPACITY);
    assert_eq!(lane.lost, 2 * steps - RING_CAPACITY as u64);
    let StepEvent::Ended(last) = lane.events.last().expect("records") else { panic!("no end") };
    assert_eq!(last.iteration, steps - 1);
    assert!(snapshot.damage.is_empty(), "{:?}", snapshot.damage);
}

/// The first word of the slot that holds record `sequence` of lane 0.
fn record_of(sequence: usize) -> usize {
    64 + 4096 + 16 + ((sequence - 1) % RING_CAPACITY) * 32
}

#[test]
fn death_in_the_middle_of_a_record_is_no_damage() {
    for steps in [3, RING_CAPACITY as u64] {
        let words = words_with("");
        let writer = Writer::new(&words, tick).expect("a recorder");
        run_steps(&writer, steps);
        let next = usize::try_from(2 * steps + 1).expect("few");
        words[record_of(next)].store(0, Ordering::Relaxed);
        let snapshot = snapshot(&words);
        assert!(snapshot.damage.is_empty(), "{:?}", snapshot.damage);
        let lane = &snapshot.lanes[0];
        assert_eq!(lane.events.len() as u64 + lane.lost, 2 * steps);
    }
}

#[test]
fn record_before_its_head_was_counted_is_kept() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    run_steps(&writer, 2);
    writer.step_begin(0, 1, 2);
    let head = 64 + 4096 + 5;
    assert_eq!(words[head].load(Ordering::Relaxed), 5);
    words[head].store(4, Ordering::Relaxed);
    let snapshot = snapshot(&words);
    assert_eq!(snapshot.lanes[0].events.len(), 5);
    assert!(snapshot.damage.is_empty(), "{:?}", snapshot.damage);
}

#[test]
fn scribbled_records_are_left_out_and_told() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    run_steps(&writer, 3);
    words[record_of(2)].store(99, Ordering::Relaxed);
    words[record_of(5) + 2].store(u64::MAX, Ordering::Relaxed);
    let snapshot = snapshot(&words);
    assert_eq!(snapshot.damage, ["lane 0: 2 records unreadable"]);
    assert_eq!(snapshot.lanes[0].events.len(), 4);
}

#[test]
fn heads_that_cannot_be_are_told() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    run_steps(&writer, 1);
    words[64 + 4096 + 5].store(u64::MAX, Ordering::Relaxed);
    words[16].store(99, Ordering::Relaxed);
    let damage = snapshot(&words).damage;
    assert_eq!(damage.len(), 2, "{damage:?}");
    assert!(damage[0].contains("records for 1 steps"), "{damage:?}");
    assert!(damage[1].contains("stage 99"), "{damage:?}");
}

#[test]
fn shortened_recorder_keeps_what_can_be_read() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    run_steps(&writer, 1);
    let short = &words[..64 + 4096 + 16 + RING_CAPACITY * 32];
    let snapshot = read_snapshot(&mut fetch(short)).expect("a good header");
    assert_eq!(snapshot.lanes[0].events.len(), 2);
    assert_eq!(snapshot.damage.len(), LANES_MAX - 1, "{:?}", snapshot.damage);
}

#[test]
fn longest_gap_names_the_step_that_blocked_the_loop() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    writer.loop_started(8);
    writer.beat();
    writer.loop_busy(6);
    CLOCK.fetch_add(1_000_000, Ordering::Relaxed);
    writer.beat();
    writer.loop_busy(0);
    writer.beat();
    let beats = snapshot(&words).event_loop.expect("a loop");
    assert_eq!((beats.tid, beats.beats, beats.gap_step, beats.busy_step), (8, 3, 6, 0));
    assert!(beats.gap_max_ns >= 1_000_000, "{}", beats.gap_max_ns);
    writer.loop_ended();
    assert_eq!(snapshot(&words).event_loop.map(|beats| beats.tid), Some(0));
}

#[test]
fn ledger_wraps_and_keeps_order() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    let total = LEDGER_CAPACITY as u64 + 10;
    for id in 0..total {
        writer.ledger_acquire(Resource::Tensor, id, 1, (0x1000, 64));
    }
    writer.ledger_release(Resource::Tensor, 3);
    let ledger = snapshot(&words).ledger;
    assert_eq!((ledger.total, ledger.events.len()), (total + 1, LEDGER_CAPACITY));
    let ids: Vec<u64> = ledger.events.iter().map(|event| event.id).collect();
    assert!(ids[..ids.len() - 1].is_sorted(), "oldest first");
    let last = ledger.events.last().expect("events");
    assert_eq!((last.acquired, last.id, last.parent, last.bytes), (false, 3, 0, 0));
}

#[test]
fn ledger_takes_events_from_many_threads() {
    let words = words_with("");
    let writer = Writer::new(&words, tick).expect("a recorder");
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            scope.spawn(move || {
                for id in 0..500 {
                    writer.ledger_acquire(Resource::Session, worker * 1_000 + id, 0, (0, 0));
                }
            });
        }
    });
    let snapshot = snapshot(&words);
    assert!(snapshot.damage.is_empty(), "{:?}", snapshot.damage);
    let mut ids: Vec<u64> = snapshot.ledger.events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_000);
}

#[test]
fn numbers_on_the_wire_read_back() {
    for outcome in StepOutcome::ALL {
        assert_eq!(StepOutcome::from_number(outcome.number()), Some(*outcome));
    }
    for resource in Resource::ALL {
        assert_eq!(Resource::from_number(resource.number()), Some(*resource));
    }
    assert_eq!((StepOutcome::from_number(0), Resource::from_number(200)), (None, None));
}

/// Any word, and words near the borders that break careless arithmetic.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(u64::MAX), Just(u64::MAX - 1), 0..300u64]
}

proptest! {
    #[test]
    fn scribbles_never_stop_the_reader_or_the_writer(
        steps in 0..200u64,
        scribbles in prop::collection::vec((0..TOTAL_WORDS, any_word()), 0..60),
        near in prop::collection::vec((2..64 + 4096 + 64usize, any_word()), 0..20),
        heads in prop::collection::vec((0..LANES_MAX, 0..7usize, any_word()), 0..9),
    ) {
        let words = words_with("create a = x");
        let writer = Writer::new(&words, tick).expect("a recorder");
        run_steps(&writer, steps);
        for (word, value) in scribbles.into_iter().chain(near) {
            words[word].store(value, Ordering::Relaxed);
        }
        for (lane, word, value) in heads {
            words[64 + 4096 + lane * (16 + RING_CAPACITY * 32) + word].store(value, Ordering::Relaxed);
        }
        if let Ok(snapshot) = read_snapshot(&mut fetch(&words)) {
            prop_assert!(snapshot.lanes.len() <= LANES_MAX);
            for lane in &snapshot.lanes {
                prop_assert!(lane.events.len() <= RING_CAPACITY);
            }
            prop_assert!(snapshot.ledger.events.len() <= LEDGER_CAPACITY);
        }
        let _ = read_progress(&mut fetch(&words));
        let _ = read_brief(&mut fetch(&words));
        let _ = writer.brief();
        writer.beat();
        run_steps(&writer, 2);
        writer.ledger_release(Resource::Other, 1);
    }

    #[test]
    fn steps_read_back_as_written(
        results in prop::collection::vec(
            (0..StepOutcome::ALL.len(), any::<u64>(), any::<u64>(), any::<bool>(), ".{0,120}", 1..u32::MAX),
            1..60,
        ),
        lane in 0..u16::try_from(LANES_MAX).expect("few"),
    ) {
        let words = words_with("");
        let writer = Writer::new(&words, tick).expect("a recorder");
        for (iteration, (outcome, digest, count, torn, text, step)) in (0..).zip(&results) {
            let outcome = StepOutcome::ALL[*outcome];
            writer.step_begin(lane, *step, iteration);
            let result = StepResult { outcome, digest: *digest, count: *count, torn: *torn, text };
            writer.step_end(lane, *step, iteration, &result);
        }
        let snapshot = snapshot(&words);
        prop_assert!(snapshot.damage.is_empty());
        let events = &snapshot.lanes.last().expect("the lane").events;
        prop_assert_eq!(events.len(), 2 * results.len());
        for (pair, (outcome, digest, count, torn, text, step)) in events.chunks(2).zip(&results) {
            let StepEvent::Ended(ended) = &pair[1] else { panic!("no end: {pair:?}") };
            prop_assert_eq!(ended.outcome, StepOutcome::ALL[*outcome]);
            prop_assert_eq!((ended.digest, ended.count), (*digest, *count));
            prop_assert_eq!((ended.torn, ended.step), (*torn, *step));
            prop_assert!(text.starts_with(&ended.text) && ended.text.len() <= 192);
            prop_assert!(ended.text.len() == text.len() || ended.text.len() > 188);
        }
    }

    #[test]
    fn plans_read_back_as_written(plan in "\\PC{0,400}") {
        let words = words_with(&plan);
        prop_assert_eq!(read_brief(&mut fetch(&words)).expect("text"), plan);
    }
}

#[test]
fn too_long_a_plan_has_no_words() {
    assert!(brief_words(&"x".repeat(32 * 1024)).is_some());
    assert!(brief_words(&"x".repeat(32 * 1024 + 1)).is_none());
}
