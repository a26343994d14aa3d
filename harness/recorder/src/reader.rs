//! The supervisor's side: copies words once through a closure and validates every one.
//!
//! What does not add up is left out and told in [`Snapshot::damage`]; reading never fails for it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::layout::{
    BRIEF_BYTES_MAX, BRIEF_START, LANES_MAX, LANES_START, LEDGER_CAPACITY, LEDGER_RECORD_WORDS,
    LEDGER_START, MAGIC, RING_CAPACITY, VERSION, bytes_of, header, lane,
};
use crate::record::{
    Border, Gate, LedgerEvent, Resource, Stage, StepBegun, StepEnded, StepEvent, StepOutcome,
};
use crate::writer::{KIND_BEGUN, KIND_ENDED};

/// The words could not be read at all (the child made the recorder shorter, say).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError(
    /// Why, a lowercase fragment.
    pub String,
);

/// All that the recorder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How far the host came.
    pub stage: Stage,
    /// Why the host refused the plan.
    pub message: Option<String>,
    /// The lanes that ran, by number; index 0 is the main lane.
    pub lanes: Vec<LaneSnapshot>,
    /// The loop thread, when there was one.
    pub event_loop: Option<LoopSnapshot>,
    /// The ledger.
    pub ledger: LedgerSnapshot,
    /// What did not add up; lowercase fragments.
    pub damage: Vec<String>,
}

/// One lane's steps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneSnapshot {
    /// The lane's number.
    pub lane: u16,
    /// The lane's thread; 0: not started.
    pub tid: u64,
    /// Steps begun and ended in all.
    pub begun: u64,
    /// Steps ended in all.
    pub ended: u64,
    /// The step in flight.
    pub in_flight: Option<StepBegun>,
    /// The slowest step, nanoseconds.
    pub slowest_ns: u64,
    /// The last records, oldest first; at most `RING_CAPACITY`.
    pub events: Vec<StepEvent>,
    /// How many older records were overwritten.
    pub lost: u64,
}

/// The loop thread's heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoopSnapshot {
    /// The thread; 0 when it has ended.
    pub tid: u64,
    /// Beats in all.
    pub beats: u64,
    /// The last beat, CLOCK_MONOTONIC nanoseconds.
    pub last_ns: u64,
    /// The longest gap between two beats, nanoseconds.
    pub gap_max_ns: u64,
    /// The step that the loop ran in that gap; 0: none.
    pub gap_step: u32,
    /// The step that the loop runs now; 0: none.
    pub busy_step: u32,
}

/// The ledger's events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerSnapshot {
    /// Events in all.
    pub total: u64,
    /// The last events, oldest first; complete when as many as `total`.
    pub events: Vec<LedgerEvent>,
}

/// Reads `count` words from word `start`.
type Fetch<'a> = dyn FnMut(usize, usize) -> Result<Vec<u64>, ReadError> + 'a;

/// Reads all that the recorder tells. `fetch(start, count)` copies words.
///
/// # Errors
/// The header could not be read, or is none.
pub fn read_snapshot(fetch: &mut Fetch<'_>) -> Result<Snapshot, ReadError> {
    let head = read_header(fetch)?;
    let mut damage = Vec::new();
    let lanes = (0..LANES_MAX).filter_map(|lane| read_lane(fetch, lane, &mut damage)).collect();
    let ledger = read_ledger(fetch, &head, &mut damage);
    let stage = Stage::from_word(at(&head, header::STAGE)).unwrap_or_else(|| {
        damage.push(format!("stage {} does not exist", at(&head, header::STAGE)));
        Stage::Unborn
    });
    let message = (stage == Stage::Refused).then(|| read_message(&head));
    Ok(Snapshot { stage, message, lanes, event_loop: loop_of(&head), ledger, damage })
}

/// Reads the parts that change while a run goes on: stage, loop, lanes' heads; no records.
///
/// # Errors
/// The header could not be read, or is none.
pub fn read_progress(fetch: &mut Fetch<'_>) -> Result<Snapshot, ReadError> {
    let head = read_header(fetch)?;
    let mut lanes = Vec::new();
    for lane in 0..LANES_MAX {
        let words = fetch(LANES_START + lane * lane::WORDS, lane::HEAD_WORDS)?;
        let snapshot = lane_head(lane, &words);
        // Lanes start at a barrier: a late lane must not hide the steps of those after it.
        if lane == 0 || snapshot.begun != 0 || snapshot.tid != 0 {
            lanes.push(snapshot);
        }
    }
    Ok(Snapshot {
        stage: Stage::from_word(at(&head, header::STAGE)).unwrap_or(Stage::Unborn),
        message: None,
        lanes,
        event_loop: loop_of(&head),
        ledger: LedgerSnapshot::default(),
        damage: Vec::new(),
    })
}

/// Reads the plan text back (for tests and tools).
///
/// # Errors
/// The header could not be read, is none, or the text is no UTF-8.
pub fn read_brief(fetch: &mut Fetch<'_>) -> Result<String, ReadError> {
    let head = read_header(fetch)?;
    let bytes = usize::try_from(at(&head, header::BRIEF_BYTES)).unwrap_or(usize::MAX);
    if bytes > BRIEF_BYTES_MAX {
        return Err(ReadError(format!("the brief claims {bytes} bytes")));
    }
    let words = fetch(BRIEF_START, bytes.div_ceil(8))?;
    String::from_utf8(bytes_of(&words, bytes)).map_err(|_| ReadError("the brief is no text".into()))
}

/// Reads at which border lane 0 stands; `None` where it stands at none.
///
/// # Errors
/// The header could not be read, or is none.
pub fn read_gate(fetch: &mut Fetch<'_>) -> Result<Option<Gate>, ReadError> {
    let head = read_header(fetch)?;
    let border = u8::try_from(at(&head, header::GATE_BORDER)).ok().and_then(Border::from_number);
    let (step, turn) = (low32(at(&head, header::GATE_STEP)), at(&head, header::GATE_TURN));
    Ok(border.map(|border| Gate { border, step, turn }))
}

fn read_header(fetch: &mut Fetch<'_>) -> Result<Vec<u64>, ReadError> {
    let head = fetch(0, header::WORDS)?;
    if at(&head, header::MAGIC) != MAGIC || at(&head, header::VERSION) != VERSION {
        return Err(ReadError("the recorder's header was overwritten".into()));
    }
    Ok(head)
}

fn read_message(head: &[u64]) -> String {
    let bytes = usize::try_from(at(head, header::MESSAGE_BYTES)).unwrap_or(0);
    let words = head.get(header::MESSAGE..header::WORDS).unwrap_or_default();
    String::from_utf8_lossy(&bytes_of(words, bytes.min(header::MESSAGE_WORDS * 8))).into_owned()
}

fn loop_of(head: &[u64]) -> Option<LoopSnapshot> {
    let snapshot = LoopSnapshot {
        tid: at(head, header::LOOP_TID),
        beats: at(head, header::LOOP_BEATS),
        last_ns: at(head, header::LOOP_BEAT_NS),
        gap_max_ns: at(head, header::LOOP_GAP_MAX_NS),
        gap_step: low32(at(head, header::LOOP_GAP_STEP)),
        busy_step: low32(at(head, header::LOOP_BUSY_STEP)),
    };
    (snapshot.last_ns != 0).then_some(snapshot)
}

fn read_lane(fetch: &mut Fetch<'_>, lane: usize, damage: &mut Vec<String>) -> Option<LaneSnapshot> {
    let base = LANES_START + lane * lane::WORDS;
    let Ok(words) = fetch(base, lane::HEAD_WORDS) else {
        damage.push(format!("lane {lane}: its head could not be read"));
        return None;
    };
    let mut snapshot = lane_head(lane, &words);
    if at(&words, lane::IN_FLIGHT) != 0 && snapshot.in_flight.is_none() {
        damage.push(format!("lane {lane}: a step without a number is in flight"));
    }
    let head = at(&words, lane::RING_HEAD);
    if head == 0 {
        return (snapshot.tid != 0 || snapshot.begun != 0).then_some(snapshot);
    }
    if head > snapshot.begun.saturating_mul(2).saturating_add(1) {
        damage.push(format!("lane {lane}: {head} records for {} steps", snapshot.begun));
        return Some(snapshot);
    }
    // A child may die between a record and the head that counts it: one more is looked at.
    let kept = kept_of(head.saturating_add(1), RING_CAPACITY);
    let Ok(ring) = fetch(base + lane::HEAD_WORDS, kept * lane::RECORD_WORDS) else {
        damage.push(format!("lane {lane}: the ring could not be read"));
        return Some(snapshot);
    };
    let ring = Ring { words: &ring, record_words: lane::RECORD_WORDS, capacity: RING_CAPACITY };
    let records = ring.records((head, head.saturating_add(1)), parse_step);
    if records.broken > 0 {
        damage.push(format!("lane {lane}: {} records unreadable", records.broken));
    }
    let last = records.events.last().map_or(head, |(sequence, _)| (*sequence).max(head));
    snapshot.lost = last.saturating_sub(records.events.len() as u64);
    snapshot.events = records.events.into_iter().map(|(_, event)| event).collect();
    Some(snapshot)
}

fn kept_of(head: u64, capacity: usize) -> usize {
    usize::try_from(head).unwrap_or(usize::MAX).min(capacity)
}

/// The copied records of a ring of `capacity`, each beginning with its sequence word.
struct Ring<'a> {
    words: &'a [u64],
    record_words: usize,
    capacity: usize,
}

/// What a ring holds: records by sequence, and how many slots hold what nobody writes.
struct Records<T> {
    events: Vec<(u64, T)>,
    broken: usize,
}

impl Ring<'_> {
    /// `head` records were written in all, `newest` is the last that may stand here.
    /// Sequence 0 is a record that its writer began and did not finish (or not yet): no damage.
    fn records<T>(&self, (head, newest): (u64, u64), parse: fn(&[u64]) -> Option<T>) -> Records<T> {
        let capacity = self.capacity as u64;
        let oldest = head.saturating_sub(capacity);
        let mut records = Records { events: Vec::new(), broken: 0 };
        for (slot, record) in (0u64..).zip(self.words.chunks_exact(self.record_words)) {
            let sequence = at(record, 0);
            let fits = sequence > oldest
                && sequence <= newest
                && sequence.saturating_sub(1) % capacity == slot;
            match parse(record) {
                _ if sequence == 0 => {}
                Some(event) if fits => records.events.push((sequence, event)),
                _ => records.broken += 1,
            }
        }
        records.events.sort_by_key(|(sequence, _)| *sequence);
        records
    }
}

fn lane_head(lane: usize, words: &[u64]) -> LaneSnapshot {
    let flight = at(words, lane::IN_FLIGHT);
    LaneSnapshot {
        lane: u16::try_from(lane).unwrap_or(u16::MAX),
        tid: at(words, lane::TID),
        begun: at(words, lane::BEGUN),
        ended: at(words, lane::ENDED),
        in_flight: (low32(flight) != 0).then(|| StepBegun {
            step: low32(flight),
            iteration: flight >> 32,
            time_ns: at(words, lane::IN_FLIGHT_SINCE_NS),
        }),
        slowest_ns: at(words, lane::SLOWEST_NS),
        events: Vec::new(),
        lost: 0,
    }
}

fn parse_step(record: &[u64]) -> Option<StepEvent> {
    let [_, time_ns, packed, iteration, digest, count, _, text_bytes, text @ ..] = record else {
        return None;
    };
    let (step, iteration, time_ns) = ((packed >> 32) as u32, *iteration, *time_ns);
    let event = match packed & 0xff {
        KIND_BEGUN => StepEvent::Begun(StepBegun { step, iteration, time_ns }),
        KIND_ENDED => StepEvent::Ended(StepEnded {
            step,
            iteration,
            time_ns,
            outcome: StepOutcome::from_number(((packed >> 8) & 0xff) as u8)?,
            digest: *digest,
            count: *count,
            torn: (packed >> 16) & 1 == 1,
            text: text_of(text, *text_bytes),
        }),
        _ => return None,
    };
    (step != 0).then_some(event)
}

fn text_of(words: &[u64], bytes: u64) -> String {
    let bytes = usize::try_from(bytes).unwrap_or(0).min(lane::TEXT_BYTES);
    String::from_utf8_lossy(&bytes_of(words, bytes)).into_owned()
}

fn read_ledger(fetch: &mut Fetch<'_>, head: &[u64], damage: &mut Vec<String>) -> LedgerSnapshot {
    let total = at(head, header::LEDGER_HEAD);
    let used = kept_of(total, LEDGER_CAPACITY);
    if used == 0 {
        return LedgerSnapshot::default();
    }
    let Ok(words) = fetch(LEDGER_START, used * LEDGER_RECORD_WORDS) else {
        damage.push("the ledger could not be read".into());
        return LedgerSnapshot { total, events: Vec::new() };
    };
    let ring = Ring { words: &words, record_words: LEDGER_RECORD_WORDS, capacity: LEDGER_CAPACITY };
    let records = ring.records((total, total), parse_ledger);
    if records.broken > 0 {
        damage.push(format!("ledger: {} records unreadable", records.broken));
    }
    LedgerSnapshot { total, events: records.events.into_iter().map(|(_, event)| event).collect() }
}

fn parse_ledger(record: &[u64]) -> Option<LedgerEvent> {
    let [_, time_ns, kind, id, parent, address, bytes, _] = record else { return None };
    Some(LedgerEvent {
        time_ns: *time_ns,
        acquired: (kind >> 8) & 1 == 1,
        resource: Resource::from_number((kind & 0xff) as u8)?,
        id: *id,
        parent: *parent,
        address: *address,
        bytes: *bytes,
    })
}

fn at(words: &[u64], index: usize) -> u64 {
    words.get(index).copied().unwrap_or(0)
}

fn low32(word: u64) -> u32 {
    (word & u64::from(u32::MAX)) as u32
}
