//! A core file: what the kernel, or a debugger, kept of a process that died. It is read to the same
//! [`Observation`](crate::observe::Observation) that a live death gives.
//!
//! The file and all that it names are untrusted: it is read by `pread`, never mapped; each count has
//! a limit, each range is checked; what is cut or lies is said.
//!
//! Sources: System V ABI, chapters 4 and 5 (ELF); Linux `fs/binfmt_elf.c` and
//! `include/linux/elfcore.h` (notes), `include/uapi/asm-generic/siginfo.h`; core(5) and elf(5).
//!
//! Deliberately absent: cores of other machines, and of processes that no signal ended; compressed
//! cores, which their own tools unpack; thread names, output and ledger, which no core holds.

#[cfg(test)]
mod builder;
mod error;
mod files;
mod first_fault;
#[cfg(test)]
mod hostile;
mod layout;
mod memory;
mod notes;
mod observation;
mod programs;
#[cfg(test)]
mod tests;

pub use error::CoreError;
pub use observation::read_core;
