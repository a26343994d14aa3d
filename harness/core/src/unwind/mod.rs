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
//! Deliberately absent: names and lines (see `symbolize`); inlined functions, which have no frame;
//! `.debug_frame`, which only files with debug information have.

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
mod stack;
mod step;
mod x86_64;

pub use mappings::Mappings;
pub use memory::{LiveMemory, Memory};
pub use process::{StoppedProcess, Unwinder};
pub use stack::{Cycle, EndReason, FoundBy, Frame, Limits, Omitted, Stack};
pub use x86_64::Registers;
