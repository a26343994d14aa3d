//! The flight recorder: shared memory that outlives the child. Layout, writer, validating reader.
//!
//! One writer per lane ring; a record's payload is written first, then its sequence word as one
//! aligned 8-byte store with release order. No system call and no allocation per record. The
//! reader gets words through a closure (it never maps the memory, so a child that truncates it
//! cannot kill the reader) and validates all that it reads: the child may have scribbled on it.
//!
//! Deliberately absent: the operating system (who maps what stands in host and sys), judgement.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod layout;
mod reader;
mod record;
mod writer;

pub use layout::{
    BRIEF_BYTES_MAX, FLAG_GATE_ENDS, FLAG_GATE_STEPS, FLAG_LEDGER, GATE_VALUE, LANES_MAX,
    LEDGER_CAPACITY, RING_CAPACITY, TOTAL_BYTES, TOTAL_WORDS, brief_words, header_words,
};
pub use reader::{
    LaneSnapshot, LedgerSnapshot, LoopSnapshot, ReadError, Snapshot, read_brief, read_gate,
    read_progress, read_snapshot,
};
pub use record::{
    Border, Gate, LedgerEvent, Resource, Stage, StepBegun, StepEnded, StepEvent, StepOutcome,
};
pub use writer::{Brief, Gating, StepResult, Writer};
