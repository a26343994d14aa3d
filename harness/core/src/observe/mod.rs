//! What was seen of one run: facts with their sources, no judgement.
//!
//! Deliberately absent: words like "leak", "cause" or "culprit"; they begin in `diagnose`.

mod census;
mod observation;
mod recorded;

pub use census::*;
pub use observation::*;
pub use recorded::*;
