//! From addresses to modules, build-ids and functions. Files are read, never mapped: one that is
//! cut while we read it must not kill us.
//!
//! Deliberately absent: unwinding, lines and inlines.

mod elf;
mod locate;

pub use elf::file_build_id;
pub use locate::Symbolizer;
