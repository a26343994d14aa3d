//! What people and machines read.

mod assemble;
mod json;

pub use assemble::{Invocation, assemble, complete, reproduce_command};
pub use json::*;
