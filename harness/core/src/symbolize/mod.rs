//! From addresses to modules, build-ids and functions. Files are read, never mapped: one that is
//! cut while we read it must not kill us.
//!
//! One [`Symbolizer`] lives as long as its supervisor and keeps what it found, by build-id.
//!
//! Deliberately absent: unwinding; lines and inlines.

mod debug_file;
mod demangle;
#[cfg(test)]
mod hostile;
mod locate;
mod mapped;
mod modules;
mod names;
#[cfg(test)]
mod tests;

pub use locate::Symbolizer;
pub use modules::file_build_id;
pub(crate) use modules::hex;
