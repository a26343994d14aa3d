//! Plans, scenarios and the lifecycle model. Pure data: no operating system, no unsafe, no I/O.
//!
//! A [`Plan`] is the reproducer of one lifecycle; its text form (docs/plan-text.md) is versioned
//! and readable for ever. [`Program`] is the same plan with numbered steps and lanes, which the
//! interpreter runs. [`model`] says which operation is legal when.
//!
//! Deliberately absent: reading files, running anything, engines' names.
#![forbid(unsafe_code)]

pub mod model;
mod plan;
mod program;
pub mod scenario;

pub use plan::{Args, EngineSpec, Fault, Item, Plan, Step};
pub use program::{Lane, Node, Program, StepIndex};
