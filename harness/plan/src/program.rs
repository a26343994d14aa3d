//! A plan made ready to run: steps numbered from 1 in text order, lanes numbered from 1 in each
//! block, lane 0 being the main thread.
//!
//! Deliberately absent: threads and clocks; the host's interpreter has them.

use crate::plan::{Item, Plan, Step};

/// A step's place in the plan's text, counted from 1.
pub type StepIndex = u32;

/// A plan with numbered steps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The plan's environment.
    pub env: Vec<(String, String)>,
    /// All steps in text order; step `n` stands at `n - 1`.
    pub steps: Vec<Step>,
    /// What lane 0 does.
    pub body: Vec<Node>,
}

/// One thing a lane does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Runs the step with this number.
    Step(StepIndex),
    /// Waits.
    Pause {
        /// The length in microseconds.
        micros: u64,
    },
    /// Runs the body `count` times.
    Repeat {
        /// How often.
        count: u32,
        /// What is repeated.
        body: Vec<Node>,
    },
    /// Repeats the body until all lanes of the block that are no hammers have ended.
    UntilJoined(Vec<Node>),
    /// Starts the lanes at a barrier and joins them.
    Lanes(Vec<Lane>),
}

/// A thread of steps that runs beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// From 1 within its block.
    pub id: u16,
    /// What it does.
    pub body: Vec<Node>,
}

impl Program {
    /// The step with this number, counted from 1.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> Option<&Step> {
        self.steps.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }
}

impl From<&Plan> for Program {
    fn from(plan: &Plan) -> Self {
        let mut steps = Vec::new();
        let body = number(&plan.items, &mut steps);
        Self { env: plan.env.clone(), steps, body }
    }
}

fn number(items: &[Item], steps: &mut Vec<Step>) -> Vec<Node> {
    items.iter().filter_map(|item| number_item(item, steps)).collect()
}

fn number_item(item: &Item, steps: &mut Vec<Step>) -> Option<Node> {
    Some(match item {
        Item::Step(step) => {
            steps.push(step.clone());
            Node::Step(StepIndex::try_from(steps.len()).unwrap_or(StepIndex::MAX))
        }
        Item::Lanes(lanes) => Node::Lanes(
            (1u16..)
                .zip(lanes)
                .map(|(id, items)| Lane { id, body: number(items, steps) })
                .collect(),
        ),
        Item::Repeat { count, body } => Node::Repeat { count: *count, body: number(body, steps) },
        Item::UntilJoined(body) => Node::UntilJoined(number(body, steps)),
        Item::Pause { micros } => Node::Pause { micros: *micros },
        Item::Order(_) => return None,
    })
}
