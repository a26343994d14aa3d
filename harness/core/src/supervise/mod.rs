//! The supervisor: a single-threaded process per worker that traces, watches and reaps one run at
//! a time and sends its observation to the front.
//!
//! Deliberately absent: judgement of any kind.

mod births;
mod capture;
mod census;
mod command;
mod convert;
mod dynamic;
mod first_chance;
mod former;
mod halt;
mod heap;
mod interpreter;
mod kills;
mod locks;
mod looks;
mod nursery;
mod onward;
mod output;
mod peers;
mod perform;
mod protocol;
mod reports;
mod run;
mod samples;
mod stacks;
mod stall;
mod supervisor;
mod tasks;
mod untraced;
mod visit;
mod waits;
mod words;
mod worker;

pub(crate) use capture::address_map;
pub use command::{Watched, Wrapper};
pub(crate) use locks::add_lock;
pub use protocol::{HostProgram, Job, Reply};
pub(crate) use run::not_started;
pub(crate) use stacks::record as stack_record;
pub(crate) use supervisor::c_strings;
pub use visit::{VisitError, visit};
pub(crate) use waits::wait_of;
pub(crate) use words::add_memory_facts;
pub use worker::supervise_main;
