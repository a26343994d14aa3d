//! Plans, scenarios and the lifecycle model. Pure data: no operating system, no unsafe, no I/O.
//!
//! A [`Plan`] is the reproducer of one lifecycle; its text form (docs/plan-text.md) is versioned
//! and readable for ever. [`Program`] is the same plan with numbered steps and lanes, which the
//! interpreter runs. [`model`] says which operation is legal when.
//!
//! Deliberately absent: reading files, running anything, engines' names.
#![forbid(unsafe_code)]

mod cursor;
mod duration;
mod error;
mod excerpt;
mod file_error;
mod identity;
pub mod model;
mod parse;
mod parse_step;
mod plan;
mod print;
mod program;
pub mod scenario;
mod soak;
mod suggest;
pub mod words;

pub use duration::{parse_duration_us, print_duration_us};
pub use error::{PlanError, PlanProblem};
pub use excerpt::render as excerpt;
pub use file_error::{FileError, FileProblem};
pub use identity::{plan_id, shell_quote, shell_word};
pub use parse::{DEPTH_MAX, LANES_MAX, PLAN_BYTES_MAX, REPEAT_MAX, STEPS_MAX};
pub use plan::{Args, ENGINE_PLACEHOLDER, EngineSpec, Expect, Fault, Item, Plan, Step};
pub use program::{Lane, Node, Program, StepIndex};
pub use soak::{NotSoaked, Soaked};
pub use suggest::nearest;
