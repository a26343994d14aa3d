//! From facts to findings. Pure: the same observation gives the same bytes.

mod finding;

pub use finding::*;
