//! The child's side: wait-free stores into shared words.
//!
//! Every method tolerates words that are missing (a shorter mapping): it then does nothing.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use alloc::string::String;

use crate::layout::{
    self, BRIEF_START, LANES_MAX, LANES_START, LEDGER_CAPACITY, LEDGER_RECORD_WORDS, LEDGER_START,
    MAGIC, RING_CAPACITY, VERSION, bytes_of, header, lane, word_from,
};
use crate::record::{Gate, Resource, Stage, StepOutcome};

pub(crate) const KIND_BEGUN: u64 = 1;
pub(crate) const KIND_ENDED: u64 = 2;

/// What the supervisor asks for, as the child reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The plan text.
    pub plan: String,
    /// Whether the engine may report to the ledger.
    pub ledger: bool,
    /// The run's seed.
    pub seed: u64,
    /// The period of the loop thread's heartbeat in microseconds; 0: no loop thread.
    pub beat_period_us: u64,
    /// Where lane 0 stops for the supervisor.
    pub gating: Gating,
}

/// At which borders lane 0 stops for the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gating {
    /// At none.
    Off,
    /// Before the first step, after turns of outermost loops, and before the exit.
    Ends,
    /// At every step's border, too.
    Steps,
}

/// A handle to the recorder's words. Cheap to copy; usable from any thread, one lane each.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    words: &'a [AtomicU64],
    clock: fn() -> u64,
}

impl<'a> Writer<'a> {
    /// A writer over shared words; `clock` gives CLOCK_MONOTONIC in nanoseconds.
    /// `None` when the words are no recorder of this version.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], clock: fn() -> u64) -> Option<Self> {
        let writer = Self { words, clock };
        let fits = words.len() >= layout::TOTAL_WORDS
            && writer.get(header::MAGIC) == MAGIC
            && writer.get(header::VERSION) == VERSION;
        fits.then_some(writer)
    }

    /// What the supervisor asks for; `None` when the text is no UTF-8 or too long.
    #[must_use]
    pub fn brief(&self) -> Option<Brief> {
        let bytes = usize::try_from(self.get(header::BRIEF_BYTES)).ok()?;
        if bytes > layout::BRIEF_BYTES_MAX {
            return None;
        }
        let words: alloc::vec::Vec<u64> =
            (0..bytes.div_ceil(8)).map(|word| self.get(BRIEF_START + word)).collect();
        Some(Brief {
            plan: String::from_utf8(bytes_of(&words, bytes)).ok()?,
            ledger: self.get(header::FLAGS) & layout::FLAG_LEDGER != 0,
            seed: self.get(header::SEED),
            beat_period_us: self.get(header::BEAT_PERIOD_US),
            gating: match self.get(header::FLAGS) {
                flags if flags & layout::FLAG_GATE_STEPS != 0 => Gating::Steps,
                flags if flags & layout::FLAG_GATE_ENDS != 0 => Gating::Ends,
                _ => Gating::Off,
            },
        })
    }

    /// Tells how far the host is.
    pub fn stage(&self, stage: Stage) {
        self.set(header::STAGE, stage.to_word(), Ordering::Release);
    }

    /// Tells why the host could not run the plan, and sets the stage to `Refused`.
    pub fn refuse(&self, message: &str) {
        let bytes = clip(message, header::MESSAGE_WORDS * 8);
        for (index, chunk) in bytes.chunks(8).enumerate() {
            self.set(header::MESSAGE + index, word_from(chunk), Ordering::Relaxed);
        }
        self.set(header::MESSAGE_BYTES, bytes.len() as u64, Ordering::Relaxed);
        self.stage(Stage::Refused);
    }

    /// A lane's thread has started.
    pub fn lane_started(&self, lane: u16, tid: u64) {
        if let Some(base) = lane_base(lane) {
            self.set(base + lane::TID, tid, Ordering::Relaxed);
        }
    }

    /// Lane 0 stands at a border, from this call to [`Writer::gate_left`].
    pub fn gate_reached(&self, gate: Gate) {
        self.set(header::GATE_STEP, u64::from(gate.step), Ordering::Relaxed);
        self.set(header::GATE_TURN, gate.turn, Ordering::Relaxed);
        self.set(header::GATE_BORDER, u64::from(gate.border.number()), Ordering::Release);
    }

    /// Lane 0 goes on.
    pub fn gate_left(&self) {
        self.set(header::GATE_BORDER, 0, Ordering::Release);
    }

    /// A step begins in a lane. The in-flight word keeps the low 32 bits of `iteration`; the ring
    /// keeps all of it.
    pub fn step_begin(&self, lane: u16, step: u32, iteration: u64) {
        let Some(base) = lane_base(lane) else { return };
        let now = (self.clock)();
        self.push(base, [now, pack(KIND_BEGUN, 0, false, step), iteration, 0, 0, 0], "");
        self.set(base + lane::IN_FLIGHT_SINCE_NS, now, Ordering::Relaxed);
        self.set(base + lane::IN_FLIGHT, u64::from(step) | (iteration << 32), Ordering::Release);
        self.add(base + lane::BEGUN);
    }

    /// A step has ended in a lane.
    pub fn step_end(&self, lane: u16, step: u32, iteration: u64, result: &StepResult<'_>) {
        let Some(base) = lane_base(lane) else { return };
        let now = (self.clock)();
        let took = now.saturating_sub(self.get(base + lane::IN_FLIGHT_SINCE_NS));
        let head = pack(KIND_ENDED, result.outcome.number(), result.torn, step);
        self.push(base, [now, head, iteration, result.digest, result.count, 0], result.text);
        self.set(base + lane::IN_FLIGHT, 0, Ordering::Release);
        if took > self.get(base + lane::SLOWEST_NS) {
            self.set(base + lane::SLOWEST_NS, took, Ordering::Relaxed);
        }
        self.add(base + lane::ENDED);
    }

    /// The loop thread has started.
    pub fn loop_started(&self, tid: u64) {
        self.set(header::LOOP_BEAT_NS, (self.clock)(), Ordering::Relaxed);
        self.set(header::LOOP_TID, tid, Ordering::Release);
    }

    /// The loop thread beats. A gap longer than any before is kept with the step that it ran.
    pub fn beat(&self) {
        let now = (self.clock)();
        let gap = now.saturating_sub(self.get(header::LOOP_BEAT_NS));
        if gap > self.get(header::LOOP_GAP_MAX_NS) {
            self.set(header::LOOP_GAP_MAX_NS, gap, Ordering::Relaxed);
            let step = self.get(header::LOOP_BUSY_STEP);
            self.set(header::LOOP_GAP_STEP, step, Ordering::Relaxed);
        }
        self.set(header::LOOP_BEAT_NS, now, Ordering::Relaxed);
        self.add(header::LOOP_BEATS);
    }

    /// The loop thread runs a step (its number), or none (0). The last busy step stays until the
    /// next beat has been counted.
    pub fn loop_busy(&self, step: u32) {
        self.set(header::LOOP_BUSY_STEP, u64::from(step), Ordering::Relaxed);
    }

    /// The loop thread has ended; no more beats are owed.
    pub fn loop_ended(&self) {
        self.set(header::LOOP_TID, 0, Ordering::Release);
    }

    /// Something was acquired; see the host's `Ledger`.
    pub fn ledger_acquire(&self, resource: Resource, id: u64, parent: u64, memory: (u64, u64)) {
        self.ledger(true, resource, [id, parent, memory.0, memory.1]);
    }

    /// Something is about to be released.
    pub fn ledger_release(&self, resource: Resource, id: u64) {
        self.ledger(false, resource, [id, 0, 0, 0]);
    }

    fn ledger(&self, acquired: bool, resource: Resource, payload: [u64; 4]) {
        let Some(head) = self.words.get(header::LEDGER_HEAD) else { return };
        let ticket = head.fetch_add(1, Ordering::Relaxed);
        let slot = (ticket as usize) % LEDGER_CAPACITY;
        let base = LEDGER_START + slot * LEDGER_RECORD_WORDS;
        self.set(base, 0, Ordering::Relaxed);
        // The slot is unfinished before any word of the new record stands in it.
        fence(Ordering::Release);
        self.set(base + 1, (self.clock)(), Ordering::Relaxed);
        let kind = u64::from(resource.number()) | (u64::from(acquired) << 8);
        self.set(base + 2, kind, Ordering::Relaxed);
        for (index, word) in payload.into_iter().enumerate() {
            self.set(base + 3 + index, word, Ordering::Relaxed);
        }
        self.set(base, ticket.wrapping_add(1), Ordering::Release);
    }

    fn push(&self, base: usize, payload: [u64; 6], text: &str) {
        let head = self.get(base + lane::RING_HEAD);
        let slot = (head as usize) % RING_CAPACITY;
        let record = base + lane::HEAD_WORDS + slot * lane::RECORD_WORDS;
        let bytes = clip(text, lane::TEXT_BYTES);
        self.set(record, 0, Ordering::Relaxed);
        fence(Ordering::Release);
        for (index, word) in payload.into_iter().enumerate() {
            self.set(record + 1 + index, word, Ordering::Relaxed);
        }
        self.set(record + 7, bytes.len() as u64, Ordering::Relaxed);
        for (index, chunk) in bytes.chunks(8).enumerate() {
            self.set(record + 8 + index, word_from(chunk), Ordering::Relaxed);
        }
        self.set(record, head.wrapping_add(1), Ordering::Release);
        self.set(base + lane::RING_HEAD, head.wrapping_add(1), Ordering::Release);
    }

    fn get(&self, word: usize) -> u64 {
        self.words.get(word).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn set(&self, word: usize, value: u64, order: Ordering) {
        if let Some(cell) = self.words.get(word) {
            cell.store(value, order);
        }
    }

    fn add(&self, word: usize) {
        self.set(word, self.get(word).wrapping_add(1), Ordering::Release);
    }
}

/// How a step ended, for [`Writer::step_end`].
#[derive(Debug, Clone, Copy)]
pub struct StepResult<'a> {
    /// How it ended.
    pub outcome: StepOutcome,
    /// The result's digest; 0: nothing to compare.
    pub digest: u64,
    /// Units made.
    pub count: u64,
    /// The digest is none of those that the engine calls right.
    pub torn: bool,
    /// The error's text.
    pub text: &'a str,
}

fn lane_base(lane: u16) -> Option<usize> {
    let lane = usize::from(lane);
    (lane < LANES_MAX).then(|| LANES_START + lane * lane::WORDS)
}

fn pack(kind: u64, outcome: u8, torn: bool, step: u32) -> u64 {
    kind | (u64::from(outcome) << 8) | (u64::from(torn) << 16) | (u64::from(step) << 32)
}

/// The text's bytes, cut at a character's border.
fn clip(text: &str, bytes_max: usize) -> &[u8] {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.as_bytes().get(..end).unwrap_or_default()
}
