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

/// The engine kind that stands for the scenario's engine.
pub const ENGINE_PLACEHOLDER: &str = "ENGINE";

impl Plan {
    /// The plan with every engine of kind `ENGINE` replaced by `engine`; settings that the plan
    /// gives win over those of `engine`.
    #[must_use]
    pub fn with_engine(&self, engine: &EngineSpec) -> Self {
        let mut plan = self.clone();
        plan.items.iter_mut().for_each(|item| item.set_engine(engine));
        plan
    }
}

impl Item {
    fn set_engine(&mut self, engine: &EngineSpec) {
        match self {
            Self::Step(step) => {
                if let Some(spec) = step.engine.as_mut().filter(|spec| spec.is_placeholder()) {
                    let mut args = engine.args.clone();
                    args.append(&mut spec.args);
                    *spec = EngineSpec { kind: engine.kind.clone(), args };
                }
            }
            Self::Lanes(lanes) => {
                lanes.iter_mut().flatten().for_each(|item| item.set_engine(engine));
            }
            Self::Repeat { body, .. } | Self::UntilJoined(body) => {
                body.iter_mut().for_each(|item| item.set_engine(engine));
            }
            Self::Pause { .. } | Self::Order(_) => {}
        }
    }
}

impl EngineSpec {
    /// Whether it stands for the scenario's engine.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.kind == ENGINE_PLACEHOLDER
    }
}

/// What a step's author says of its result, with `expect=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// `expect=ok`: it succeeds.
    Ok,
    /// `expect=error`: it returns an error.
    Error,
    /// `expect=any`: either.
    Any,
}

impl Step {
    /// What `expect=` says, if it is there.
    #[must_use]
    pub fn expect(&self) -> Option<Expect> {
        match self.named.get("expect")?.as_str() {
            "ok" => Some(Expect::Ok),
            "error" => Some(Expect::Error),
            _ => Some(Expect::Any),
        }
    }

    /// Whether `on=loop` sends the step to the host's event-loop (heartbeat) thread.
    #[must_use]
    pub fn is_on_loop(&self) -> bool {
        self.named.get("on").is_some_and(|place| place == "loop")
    }

    /// The named arguments without the host's own (`expect`, `on`).
    #[must_use]
    pub fn engine_args(&self) -> Args {
        let is_host = |key: &str| crate::model::is_host_argument(key);
        self.named
            .iter()
            .filter(|(key, _)| !is_host(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_takes_the_engine_and_keeps_its_own_settings() {
        let plan = Plan::parse(
            "create a = ENGINE:window=5us; [swap a engine=ENGINE | 2x create b = ENGINE]; \
             create c = python",
        )
        .unwrap();
        let engine = EngineSpec::parse("reference:defect=x,window=1us").unwrap();
        assert_eq!(
            plan.with_engine(&engine).to_string(),
            "create a = reference:defect=x,window=5us; \
             [swap a engine=reference:defect=x,window=1us | \
             2x create b = reference:defect=x,window=1us]; create c = python"
        );
    }

    #[test]
    fn host_arguments_do_not_reach_the_engine() {
        let plan = Plan::parse("load a tiny threads=2 expect=error on=loop").unwrap();
        let Some(Item::Step(step)) = plan.items.first() else { panic!("no step") };
        assert_eq!(step.expect(), Some(Expect::Error));
        assert!(step.is_on_loop());
        assert_eq!(step.engine_args(), Args::from([("threads".to_owned(), "2".to_owned())]));
    }
}
