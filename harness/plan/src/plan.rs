//! The plan as data: what the parser returns and the printer prints.
//!
//! Deliberately absent: numbers of steps and lanes (see `program.rs`), which follow from the text.

use std::collections::BTreeMap;

/// One lifecycle: an environment and a sequence of items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// `env K=V;` lines, in the order written; they hold for the whole child.
    pub env: Vec<(String, String)>,
    /// What is done, in order.
    pub items: Vec<Item>,
}

/// A piece of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// One operation.
    Step(Step),
    /// `[ x | y ]`: lanes that start together at a barrier and are joined. Never nested.
    Lanes(Vec<Vec<Item>>),
    /// `3x(…)` or `3x step`.
    Repeat {
        /// How often; at least 1.
        count: u32,
        /// What is repeated.
        body: Vec<Item>,
    },
    /// `until-joined(…)`: inside a lane, repeats until every other lane that is no hammer ended.
    UntilJoined(Vec<Item>),
    /// `pause 5ms`, in microseconds.
    Pause {
        /// The length in microseconds.
        micros: u64,
    },
    /// `@order(…)`: a recorded schedule of lane numbers. Parsed; not yet obeyed by any runner.
    Order(Vec<u16>),
}

/// Arguments by name, in name order.
pub type Args = BTreeMap<String, String>;

/// One operation on a slot, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `fail(malloc@3)` before the operation. Parsed; not yet obeyed by any runner.
    pub fault: Option<Fault>,
    /// Which operation.
    pub operation: crate::model::Operation,
    /// The slot it works on; `exit`, `gc`, `interrupt` and `kill` may have none.
    pub slot: Option<String>,
    /// For `create`: the engine after `=`. For `swap engine=…`: the new engine.
    pub engine: Option<EngineSpec>,
    /// What stands without a name after the slot, in order (a model's name, a token count).
    pub positional: Vec<String>,
    /// `key=value` arguments, in name order.
    pub named: Args,
}

/// `name[:key=value,…]`: an engine kind with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSpec {
    /// The engine kind, as registered in the host.
    pub kind: String,
    /// Settings, in name order.
    pub args: Args,
}

/// A fault for one step: the `count`-th call of `function` from the step's start fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A libc function, e.g. `malloc`.
    pub function: String,
    /// Which call fails, from 1.
    pub count: u32,
}
