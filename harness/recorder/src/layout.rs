//! Where everything stands, in 8-byte words from the start. Version 1; little endian.
//!
//! ```text
//! 0      header: magic, version, flags, seed, … (written by the supervisor)
//! 16     state of the host (written by the child)
//! 64     brief: the plan text, UTF-8
//! 4160   lanes: LANES_MAX × (16 head words + RING_CAPACITY × 32 words)
//! …      ledger: LEDGER_CAPACITY × 8 words
//! ```

use alloc::vec::Vec;

/// `HOTFIRE1` in ASCII, little endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"HOTFIRE1");
pub(crate) const VERSION: u64 = 1;

/// Header flag: the ledger is on.
pub const FLAG_LEDGER: u64 = 1;

/// Header flag: lane 0 stops for the supervisor before the first step, after each turn of an
/// outermost loop, and before the exit.
pub const FLAG_GATE_ENDS: u64 = 2;
/// Header flag: lane 0 stops at every step's border, too.
pub const FLAG_GATE_STEPS: u64 = 4;

/// The value of the queued signal by which lane 0 stops at a border.
pub const GATE_VALUE: u64 = u64::from_le_bytes(*b"hotfgate");

/// Main lane and at most eight beside it.
pub const LANES_MAX: usize = 9;
/// Step records kept per lane; older ones are overwritten, the counters go on.
pub const RING_CAPACITY: usize = 128;
/// Ledger records kept; older ones are overwritten, the counter goes on.
pub const LEDGER_CAPACITY: usize = 4096;
/// The longest plan text, in bytes.
pub const BRIEF_BYTES_MAX: usize = 32 * 1024;

pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const FLAGS: usize = 2;
    pub(crate) const SEED: usize = 3;
    pub(crate) const BEAT_PERIOD_US: usize = 4;
    pub(crate) const BRIEF_BYTES: usize = 5;
    pub(crate) const STAGE: usize = 16;
    pub(crate) const LOOP_TID: usize = 17;
    pub(crate) const LOOP_BEATS: usize = 18;
    pub(crate) const LOOP_BEAT_NS: usize = 19;
    pub(crate) const LOOP_GAP_MAX_NS: usize = 20;
    pub(crate) const LOOP_GAP_STEP: usize = 21;
    pub(crate) const LEDGER_HEAD: usize = 22;
    pub(crate) const LOOP_BUSY_STEP: usize = 23;
    pub(crate) const GATE_BORDER: usize = 24;
    pub(crate) const GATE_STEP: usize = 25;
    pub(crate) const GATE_TURN: usize = 26;
    pub(crate) const MESSAGE_BYTES: usize = 31;
    pub(crate) const MESSAGE: usize = 32;
    pub(crate) const MESSAGE_WORDS: usize = 32;
    pub(crate) const WORDS: usize = 64;
}

pub(crate) mod lane {
    pub(crate) const BEGUN: usize = 0;
    pub(crate) const ENDED: usize = 1;
    pub(crate) const TID: usize = 2;
    pub(crate) const IN_FLIGHT: usize = 3;
    pub(crate) const IN_FLIGHT_SINCE_NS: usize = 4;
    pub(crate) const RING_HEAD: usize = 5;
    pub(crate) const SLOWEST_NS: usize = 6;
    pub(crate) const HEAD_WORDS: usize = 16;
    pub(crate) const RECORD_WORDS: usize = 32;
    pub(crate) const TEXT_BYTES: usize = 192;
    pub(crate) const WORDS: usize = HEAD_WORDS + super::RING_CAPACITY * RECORD_WORDS;
}

pub(crate) const LEDGER_RECORD_WORDS: usize = 8;
pub(crate) const BRIEF_START: usize = header::WORDS;
pub(crate) const LANES_START: usize = BRIEF_START + BRIEF_BYTES_MAX / 8;
pub(crate) const LEDGER_START: usize = LANES_START + LANES_MAX * lane::WORDS;

/// The recorder's length in words.
pub const TOTAL_WORDS: usize = LEDGER_START + LEDGER_CAPACITY * LEDGER_RECORD_WORDS;
/// The recorder's length in bytes.
pub const TOTAL_BYTES: usize = TOTAL_WORDS * 8;

/// What the supervisor writes at offset 0 before the child is born.
#[must_use]
pub fn header_words(flags: u64, seed: u64, beat_period_us: u64, brief_bytes: usize) -> Vec<u64> {
    alloc::vec![MAGIC, VERSION, flags, seed, beat_period_us, brief_bytes as u64]
}

/// The plan text as words, and the byte offset where it is written. `None` when too long.
#[must_use]
pub fn brief_words(text: &str) -> Option<(usize, Vec<u64>)> {
    if text.len() > BRIEF_BYTES_MAX {
        return None;
    }
    let words = text.as_bytes().chunks(8).map(word_from).collect();
    Some((BRIEF_START * 8, words))
}

/// Up to eight bytes as a little-endian word.
pub(crate) fn word_from(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// Words as bytes, cut at `bytes`.
pub(crate) fn bytes_of(words: &[u64], bytes: usize) -> Vec<u8> {
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    out.truncate(bytes);
    out
}
