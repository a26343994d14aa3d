//! Many runs: the front's side of the supervisors. Loops that feed new plans live here alone.
//!
//! Deliberately absent: printing.

mod command;
mod pool;
mod post_mortem;
mod runner;
mod subject;
mod sweep;

pub use command::{CommandReport, Leftovers, run_command};
pub use pool::{Pool, PoolConfig, PoolEnd, Work};
pub use post_mortem::{judge_core, judge_living};
pub use runner::{Attempt, CampaignReport, SubjectReport, Unrun, run_campaign};
pub use subject::{BUILT_IN, Settings, Subject, Watching, kinds};
