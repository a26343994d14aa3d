//! From addresses to modules, build-ids, functions and lines. Files are read, never mapped: one that
//! is cut while we read it must not kill us.
//!
//! Two passes. Names at once: one [`Symbolizer`] lives as long as its supervisor and keeps what it
//! found, by build-id. Lines and inlined functions later, by a [`LineReader`] whose helper process
//! reads debug information within a limit of time and memory.
//!
//! Deliberately absent: unwinding; debuginfod.

mod debug_file;
mod demangle;
mod dwarf;
mod exports;
#[cfg(test)]
mod hostile;
mod line_helper;
#[cfg(test)]
mod line_tests;
mod lines;
mod locate;
mod mapped;
mod modules;
mod names;
#[cfg(test)]
mod tests;

pub(crate) use demangle::demangle;
pub(crate) use exports::Exports;
pub use line_helper::symbolize_main;
pub use lines::LineReader;
pub use locate::Symbolizer;
pub use modules::file_build_id;
pub(crate) use modules::hex;
