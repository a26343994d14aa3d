//! From a thread's registers to its stack: who called whom, and how each frame was found.
//!
//! Pure over [`Memory`], which a live process, a core file or a test stands behind. Unwind tables
//! are read from the files that the mappings name, a few bytes at a time and never mapped, or from
//! memory where the file is not there any more (deleted, replaced) or never was (vDSO). What is
//! read is untrusted: each loop has a limit, and what lies ends the stack with a reason.
//!
//! The methods, in order: unwind information (`.eh_frame`); of a program counter that lies in no
//! code, the return address that the call pushed; frame pointers; a search of the stack for what
//! looks like a return address. Each frame tells which one found it.
//!
//! One [`Unwinder`] lives as long as its supervisor and keeps what it read of files. Per stopped
//! process: `unwinder.process(Mappings::from(&procfs::maps(tid)?[..]), LiveMemory::new(tid))`; then
//! for each thread `unwind(Registers::from(&Tracee::new(tid).registers()?))`, the crashed one
//! first, because the limit of time is one for all.
//!
//! Deliberately absent: names and lines (see `symbolize`); inlined functions, which have no frame;
//! `.debug_frame`, which only files with debug information have; programs of 32 bits.

mod bytes;
mod cache;
mod expression;
mod fold;
mod guess;
#[cfg(test)]
mod hostile;
mod image;
mod lookup;
mod mappings;
mod memory;
mod process;
mod rows;
mod sections;
mod stack;
mod step;
mod x86_64;

pub(crate) use bytes::{array, u16_at, u32_at, u64_at};
#[cfg(test)]
pub(crate) use image::Segment;
pub(crate) use image::{Headers, Shifted, WholeFile};
pub use mappings::Mappings;
pub(crate) use memory::Paged;
pub use memory::{LiveMemory, Memory};
pub use process::{StoppedProcess, Unwinder};
pub(crate) use sections::Sections;
pub use stack::{Cycle, EndReason, Frame, Limits, Omitted, Stack};
pub use x86_64::Registers;
