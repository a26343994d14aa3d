//! The Python functions that threads run: read from a stopped process's or a core file's memory,
//! where its native stacks show only the interpreter.
//!
//! Pure over [`Memory`](crate::unwind::Memory), as `unwind` is. What is read is untrusted: every
//! list and text has a limit, the types of objects are compared with the interpreter's own, and
//! what does not hold gives a reason instead of frames.
//!
//! CPython 3.8 to 3.12 by tables that were made from its headers (`offsets`), 3.13 and 3.14 by what
//! the interpreter tells of itself (`debug_offsets`).
//!
//! Deliberately absent: other interpreters, local variables, what coroutines wait for, free-threaded
//! and debug builds (they are told, not read).

mod code;
mod conventions;
mod debug_offsets;
#[cfg(test)]
mod hostile;
mod layout;
mod lines;
mod locks;
mod merge;
mod offsets;
mod runtime;
mod source;
mod strings;
mod threads;
mod walk;

pub use locks::RecursiveLock;
pub(crate) use merge::merge;
pub use threads::{Interpreters, Running};
