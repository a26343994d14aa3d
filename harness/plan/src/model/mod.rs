//! The lifecycle model: a table that says for each operation what it takes, when it is legal,
//! what state it leads to and to which phase of a life it belongs; and what it predicts of a
//! plan's steps.
//!
//! Deliberately absent: what any one engine does; an engine's own operations go through `call`.

mod expectation;
mod operation;
mod state;
mod table;

pub use expectation::{StepExpectation, expectations, final_states};
pub use operation::Operation;
pub use state::{SlotState, States};
pub(crate) use table::is_host_argument;
pub use table::{NamedArgument, OperationSpec, Phase, Positional, SlotUse, Target, Values};
