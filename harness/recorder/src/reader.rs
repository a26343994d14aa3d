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
use crate::record::{LedgerEvent, Resource, Stage, StepBegun, StepEnded, StepEvent, StepOutcome};
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
        if snapshot.begun == 0 && lane > 0 {
            break;
        }
        lanes.push(snapshot);
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
    let words = fetch(base, lane::HEAD_WORDS).ok()?;
    let mut snapshot = lane_head(lane, &words);
    let head = at(&words, lane::RING_HEAD);
    if head == 0 {
        return (snapshot.tid != 0).then_some(snapshot);
    }
    if head > 2 * snapshot.begun.saturating_add(1) {
        damage.push(format!("lane {lane}: {head} records for {} steps", snapshot.begun));
        return Some(snapshot);
    }
    let kept = head.min(RING_CAPACITY as u64);
    let used = usize::try_from(kept).unwrap_or(RING_CAPACITY);
    let Ok(ring) = fetch(base + lane::HEAD_WORDS, used * lane::RECORD_WORDS) else {
        damage.push(format!("lane {lane}: the ring could not be read"));
        return Some(snapshot);
    };
    snapshot.lost = head - kept;
    let mut events: Vec<(u64, StepEvent)> =
        ring.chunks(lane::RECORD_WORDS).filter_map(parse_step).collect();
    events.retain(|(sequence, _)| *sequence > snapshot.lost && *sequence <= head + 1);
    events.sort_by_key(|(sequence, _)| *sequence);
    if (events.len() as u64) < kept {
        damage.push(format!("lane {lane}: {} records unreadable", kept - events.len() as u64));
    }
    snapshot.events = events.into_iter().map(|(_, event)| event).collect();
    Some(snapshot)
}

fn lane_head(lane: usize, words: &[u64]) -> LaneSnapshot {
    let flight = at(words, lane::IN_FLIGHT);
    LaneSnapshot {
        lane: u16::try_from(lane).unwrap_or(u16::MAX),
        tid: at(words, lane::TID),
        begun: at(words, lane::BEGUN),
        ended: at(words, lane::ENDED),
        in_flight: (flight != 0).then(|| StepBegun {
            step: low32(flight),
            iteration: flight >> 32,
            time_ns: at(words, lane::IN_FLIGHT_SINCE_NS),
        }),
        slowest_ns: at(words, lane::SLOWEST_NS),
        events: Vec::new(),
        lost: 0,
    }
}

fn parse_step(record: &[u64]) -> Option<(u64, StepEvent)> {
    let [sequence, time_ns, packed, iteration, digest, count, _, text_bytes, text @ ..] = record
    else {
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
    (*sequence != 0 && step != 0).then_some((*sequence, event))
}

fn text_of(words: &[u64], bytes: u64) -> String {
    let bytes = usize::try_from(bytes).unwrap_or(0).min(lane::TEXT_BYTES);
    String::from_utf8_lossy(&bytes_of(words, bytes)).into_owned()
}

fn read_ledger(
    fetch: &mut Fetch<'_>,
    head: &[u64],
    damage: &mut Vec<String>,
) -> LedgerSnapshot {
    let total = at(head, header::LEDGER_HEAD);
    let used = usize::try_from(total).unwrap_or(usize::MAX).min(LEDGER_CAPACITY);
    if used == 0 {
        return LedgerSnapshot::default();
    }
    let Ok(words) = fetch(LEDGER_START, used * LEDGER_RECORD_WORDS) else {
        damage.push("the ledger could not be read".into());
        return LedgerSnapshot { total, events: Vec::new() };
    };
    let oldest = total.saturating_sub(LEDGER_CAPACITY as u64);
    let mut events: Vec<(u64, LedgerEvent)> =
        words.chunks(LEDGER_RECORD_WORDS).filter_map(parse_ledger).collect();
    events.retain(|(sequence, _)| *sequence > oldest && *sequence <= total);
    events.sort_by_key(|(sequence, _)| *sequence);
    if events.len() < used {
        damage.push(format!("ledger: {} records unreadable", used - events.len()));
    }
    LedgerSnapshot { total, events: events.into_iter().map(|(_, event)| event).collect() }
}

fn parse_ledger(record: &[u64]) -> Option<(u64, LedgerEvent)> {
    let [sequence, time_ns, kind, id, parent, address, bytes, _] = record else { return None };
    let resource = Resource::from_number((kind & 0xff) as u8)?;
    let event = LedgerEvent {
        time_ns: *time_ns,
        acquired: (kind >> 8) & 1 == 1,
        resource,
        id: *id,
        parent: *parent,
        address: *address,
        bytes: *bytes,
    };
    (*sequence != 0).then_some((*sequence, event))
}

fn at(words: &[u64], index: usize) -> u64 {
    words.get(index).copied().unwrap_or(0)
}

fn low32(word: u64) -> u32 {
    (word & u64::from(u32::MAX)) as u32
}
