//! Hotfire's built-in engine: a small real inference engine in C++, healthy by default, with
//! defects on request (`reference:defect=NAME`).
//!
//! A model is a file of whole numbers that is mapped from disk; a byte-level transformer with a
//! key/value cache generates tokens, the same on every machine. It is linked into the command,
//! and runs only in a host process: loading it starts nothing.

mod adapter;
mod bridge;
mod defects;
mod kind;
mod models;
mod oracle;
mod settings;
mod source;

pub use defects::{Change, DEFECTS, Defect};
pub use kind::kind;
pub use models::{KNOWN_MODELS, model_bytes};
