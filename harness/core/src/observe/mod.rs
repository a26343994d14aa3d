//! What was seen of one run: facts with their sources, no judgement.
//!
//! Deliberately absent: words like "leak", "cause" or "culprit"; they begin in `diagnose`.

mod observation;
mod recorded;

pub use observation::*;
pub use recorded::*;
