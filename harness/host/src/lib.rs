//! What runs in the child: the [`Engine`] trait, the interpreter of plans, the forkserver.
//!
//! Tiny dependencies: all of this is loaded into the process under test.

mod engine;
mod ledger;

pub use engine::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Outcome, Request,
};
pub use ledger::{Ledger, Resource};
