//! From facts to findings. Pure: the same observation gives the same bytes.
//!
//! [`diagnose`] asks for every kind of finding; a class is decided by [`CRASH_RULES`] and
//! [`HANG_RULES`] alone, which are data. Deliberately absent: expectations (`judge`), printing.

mod code;
mod contract;
mod crash;
mod culprit;
mod environment;
mod facts;
mod finding;
mod hang;
mod instruction;
mod ledger;
mod leftovers;
mod rule;
mod rules;
mod signals;
mod signature;
mod signs;
mod stage;
mod steps;
mod texts;
mod threads;

pub use code::Code;
pub use contract::skip_reason;
pub use facts::{Context, Facts};
pub use finding::*;
pub use rule::{Rule, Seen, Sign};
pub use rules::{CRASH_RULES, HANG_RULES};
pub use signals::signal_name;
pub use stage::diagnose;
