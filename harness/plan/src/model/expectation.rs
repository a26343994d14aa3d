//! What the model predicts of each step of a plan: the state machine run over sequential code, on
//! sets of states where lanes or repeats leave more than one possibility.
//!
//! An abstract interpretation (Cousot and Cousot, POPL 1977): a prediction other than
//! [`StepExpectation::Either`] holds for every state that the slot can be in. Deliberately absent:
//! results inside lanes, which depend on timing.

use std::collections::BTreeMap;

use crate::model::{Operation, SlotUse, States, Target};
use crate::plan::{Expect, Step};
use crate::program::{Lane, Node, Program};

/// What a step must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepExpectation {
    /// The model calls it legal. (Of an optional operation an engine may still say
    /// "not supported".)
    MustSucceed,
    /// The model calls it illegal: the engine must answer with an error, never with a signal.
    MustFail,
    /// It depends.
    Either,
}

/// One expectation per step, in text order: that of step `n` stands at `n - 1`.
#[must_use]
pub fn expectations(program: &Program) -> Vec<StepExpectation> {
    let mut machine = Machine {
        program,
        slots: Slots::new(),
        has_ended: false,
        expectations: vec![StepExpectation::Either; program.steps.len()],
    };
    machine.run(&program.body);
    machine.expectations
}

/// What each slot that the program names may be in when its last step has ended.
#[must_use]
pub fn final_states(program: &Program) -> BTreeMap<String, States> {
    let mut machine =
        Machine { program, slots: Slots::new(), has_ended: false, expectations: Vec::new() };
    machine.run(&program.body);
    machine.slots
}

/// What each named slot may be in; a slot that is not there is absent.
type Slots = BTreeMap<String, States>;

struct Machine<'a> {
    program: &'a Program,
    slots: Slots,
    /// Whether `exit` or `kill` came before.
    has_ended: bool,
    expectations: Vec<StepExpectation>,
}

/// What a step is expected to do, and where it leaves its slot.
struct Prediction {
    expectation: StepExpectation,
    after: States,
}

impl Machine<'_> {
    fn run(&mut self, body: &[Node]) {
        for node in body {
            match node {
                Node::Step(index) => self.step(*index),
                Node::Pause { .. } => {}
                Node::Repeat { count, body } => self.repeat(*count, body),
                Node::UntilJoined(body) => self.widen(&[body]),
                Node::Lanes(lanes) => self.lanes(lanes),
            }
        }
    }

    fn step(&mut self, index: u32) {
        let Some(step) = self.program.step(index) else { return };
        let prediction = predict(step, self.states(step));
        let expectation = if self.has_ended { stated(step) } else { prediction.expectation };
        self.note(index, expectation);
        self.apply(step, prediction.after);
    }

    /// A body that returns to its state is predicted as it stands; any other from every state
    /// that its steps can make.
    fn repeat(&mut self, count: u32, body: &[Node]) {
        let before = (self.slots.clone(), self.has_ended);
        self.run(body);
        let is_stable = before.1 == self.has_ended
            && self.slots.iter().all(|(slot, after)| {
                before.0.get(slot).copied().unwrap_or(States::ABSENT).covers(*after)
            });
        if count == 1 || is_stable {
            return;
        }
        self.slots = before.0;
        self.widen(&[body]);
        self.run(body);
    }

    fn lanes(&mut self, lanes: &[Lane]) {
        let bodies: Vec<&[Node]> = lanes.iter().map(|lane| lane.body.as_slice()).collect();
        for index in step_indexes(&bodies) {
            if let Some(step) = self.program.step(index) {
                self.note(index, stated(step));
            }
        }
        self.widen(&bodies);
    }

    /// Adds every state that the steps of these bodies can make, in any order and number.
    fn widen(&mut self, bodies: &[&[Node]]) {
        let indexes = step_indexes(bodies);
        loop {
            let before = self.slots.clone();
            for index in &indexes {
                let Some(step) = self.program.step(*index) else { continue };
                let states = self.states(step);
                let after = predict(step, states).after;
                self.apply(step, states.or(after));
            }
            if self.slots == before {
                return;
            }
        }
    }

    fn apply(&mut self, step: &Step, after: States) {
        let spec = step.operation.spec();
        self.has_ended |= spec.to == Target::End;
        if step.operation == Operation::Interrupt {
            // The engine may take SIGINT as a request to stop, in every slot.
            for states in self.slots.values_mut() {
                if !States::ABSENT.covers(*states) {
                    *states = states.or(States::LIVE);
                }
            }
        }
        if spec.slot == SlotUse::Required
            && let Some(slot) = &step.slot
        {
            self.slots.insert(slot.clone(), after);
        }
    }

    fn states(&self, step: &Step) -> States {
        let states = step.slot.as_ref().and_then(|slot| self.slots.get(slot));
        states.copied().unwrap_or(States::ABSENT)
    }

    fn note(&mut self, index: u32, expectation: StepExpectation) {
        let place = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
        if let Some(place) = place.and_then(|place| self.expectations.get_mut(place)) {
            *place = expectation;
        }
    }
}

/// The step on a slot that may be in any of these states.
fn predict(step: &Step, states: States) -> Prediction {
    let spec = step.operation.spec();
    if spec.slot != SlotUse::Required {
        let expectation = match (step.expect(), spec.to) {
            (None, Target::Unknown) => StepExpectation::Either,
            (None, _) => StepExpectation::MustSucceed,
            (Some(_), _) => stated(step),
        };
        return Prediction { expectation, after: states };
    }
    let from = legal_from(step);
    let legal = states.and(from);
    let illegal = states.without(from);
    let success = |states: States| match spec.to {
        Target::State(state) if !states.is_empty() => States::of(&[state]),
        Target::Unknown if !states.is_empty() => States::LIVE,
        _ => states,
    };
    let (expectation, after) = match step.expect() {
        Some(Expect::Ok) if legal.is_empty() => (StepExpectation::MustSucceed, success(states)),
        Some(Expect::Ok) => (StepExpectation::MustSucceed, success(legal)),
        Some(Expect::Error) => (StepExpectation::MustFail, states),
        Some(Expect::Any) => (StepExpectation::Either, states.or(success(legal))),
        None if legal.is_empty() => (StepExpectation::MustFail, states),
        None if illegal.is_empty() && is_predictable(step, legal) => {
            (StepExpectation::MustSucceed, success(legal))
        }
        None => (StepExpectation::Either, success(legal).or(illegal)),
    };
    Prediction { expectation, after }
}

/// The states in which this step is legal: the table's, but that a model can be swapped only where
/// there is one.
fn legal_from(step: &Step) -> States {
    let from = step.operation.spec().from;
    if step.operation == Operation::Swap && step.engine.is_none() {
        return from.and(Operation::Generate.spec().from);
    }
    from
}

/// Whether the model knows what a legal step does: an engine's own operation does what it likes,
/// and an engine that loads nothing never gets ready.
fn is_predictable(step: &Step, states: States) -> bool {
    match step.operation {
        Operation::Call => false,
        Operation::Await => Operation::Generate.spec().from.covers(states),
        _ => true,
    }
}

/// What the step's author says, else nothing.
fn stated(step: &Step) -> StepExpectation {
    match step.expect() {
        Some(Expect::Ok) => StepExpectation::MustSucceed,
        Some(Expect::Error) => StepExpectation::MustFail,
        Some(Expect::Any) | None => StepExpectation::Either,
    }
}

/// The steps of these bodies, in text order.
fn step_indexes(bodies: &[&[Node]]) -> Vec<u32> {
    let mut indexes = Vec::new();
    for node in bodies.iter().copied().flatten() {
        match node {
            Node::Step(index) => indexes.push(*index),
            Node::Pause { .. } => {}
            Node::Repeat { body, .. } | Node::UntilJoined(body) => {
                indexes.extend(step_indexes(&[body]));
            }
            Node::Lanes(lanes) => {
                for lane in lanes {
                    indexes.extend(step_indexes(&[&lane.body]));
                }
            }
        }
    }
    indexes
}
