//! What people and machines read.

mod json;

pub use json::*;
