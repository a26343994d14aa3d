//! What runs in the child: the [`Engine`] trait, the interpreter of plans, the forkserver.
//!
//! A program becomes a host by calling [`host_main`] first thing in its main, with the kinds of
//! engine that it has. Tiny dependencies: all of this is loaded into the process under test.

mod attach;
mod borders;
mod check;
mod ending;
mod engine;
mod entry;
mod error;
mod event_loop;
mod forkserver;
mod gate;
mod interpreter;
mod ledger;
mod os;
mod proof;
mod run;
mod slots;
mod socket;
mod stand;
mod step_log;
#[cfg(test)]
mod tests;

pub use engine::{CreateContext, Engine, EngineError, EngineKind, EngineState, Outcome, Request};
pub use entry::{
    FORKSERVER_VARIABLE, PREPARE_VARIABLE, RECORDER_VARIABLE, STATUS_REFUSED, host_main,
};
pub use ledger::{Ledger, Resource};
