//! What the machine lets us see and do: each fact as the kernel tells it, or why it is not known.
//!
//! Deliberately absent: whether a fact is good or bad (the command's `doctor`).

mod cgroups;
mod facts;
mod trials;

pub use cgroups::{Cgroups, cgroups, memory_group, out_of_memory_kills};
pub use facts::{Facts, Rights, facts};
pub use trials::{
    children_are_listed, find_program, memory_files_can_be_sealed, tracing_works, writable,
};
