//! From facts to findings. Pure: the same observation gives the same bytes.
//!
//! [`diagnose`] asks for every kind of finding; a class is decided by [`CRASH_RULES`],
//! [`HANG_RULES`], [`LIVING_RULES`] and [`LEAK_RULES`] alone, which are data. Deliberately absent: expectations
//! (`judge`), printing.

mod accesses;
mod births;
mod blame;
mod bucket;
mod calls;
mod code;
mod contract;
mod crash;
mod culprit;
mod environment;
mod facts;
mod finding;
mod first_abort;
mod function_name;
mod growth;
mod handlers;
mod hang;
mod instruction;
mod kills;
mod leaks;
mod leaving;
mod ledger;
mod leftovers;
mod living;
mod log_stage;
mod near;
mod printed;
mod rising;
mod rule;
mod rules;
mod scene;
mod signals;
mod signature;
mod signs;
mod stage;
mod steps;
mod stuck;
mod texts;
mod threads;
mod trend;
mod wait_graph;

pub use births::BIRTH_RULES;
pub use bucket::{Death, RACE_CLASS, RACE_SIGNS, RACE_TEXT, RaceSign, data_race};
pub use code::Code;
pub use contract::skip_reason;
pub(crate) use culprit::is_interpreter;
pub use facts::{Context, Facts};
pub use finding::*;
pub use leaks::hints_at_leak;
pub use living::{LIVING_RULES, LivingProcess, LivingThread, living_processes};
pub use log_stage::{StageTable, StageWords, add_stage};
pub use rising::{RISING_RULES, rising_notes};
pub use rule::{Rule, Seen, Sign};
pub use rules::{CRASH_RULES, HANG_RULES, LEAK_RULES};
pub use scene::Scene;
pub use signals::signal_name;
pub use stage::diagnose;
