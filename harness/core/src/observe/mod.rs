//! What was seen of one run: facts with their sources, no judgement.
//!
//! Deliberately absent: words like "leak", "cause" or "culprit"; they begin in `diagnose`.

#[cfg(test)]
mod bare;
mod births;
mod census;
mod hang;
mod observation;
mod recorded;
mod samples;
mod stack;
mod words;

#[cfg(test)]
pub(crate) use bare::{bare_crash, bare_observation};
pub use births::*;
pub use census::*;
pub use hang::*;
pub use observation::*;
pub use recorded::*;
pub use samples::*;
pub use stack::*;
pub use words::*;
