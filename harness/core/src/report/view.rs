//! What the text of a finding shows beside the finding: the scenario and the steps with results.
//!
//! Deliberately absent: how it looks (`finding_text.rs`).

use hotfire_plan::model::{Operation, StepExpectation, expectations};
use hotfire_plan::{Item, Node, Program, Step, StepIndex};

use crate::diagnose::{Finding, Reproduced};
use crate::judge::Rate;
use crate::observe::{Ending, LaneRecord, Observation, StepRecord};

/// All that the text of a finding shows.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingView<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// The scenario's name; `plan` for one given on the command line.
    pub scenario: &'a str,
    /// The scenario's file and line.
    pub place: Option<(&'a str, u32)>,
    /// The engine, as in plan text.
    pub engine: &'a str,
    /// The plan's steps with their results.
    pub steps: Vec<StepView>,
    /// In how many of how many fresh processes it showed.
    pub tried: Option<Reproduced>,
    /// The interval of that rate.
    pub rate: Option<&'a Rate>,
    /// What else the same plan showed, and how to see it; a line each.
    pub also: &'a [String],
    /// Where the finding is shown whole.
    pub whole: Whole<'a>,
}

/// Where a finding is shown whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole<'a> {
    /// On this page: nothing is cut.
    Here,
    /// By this command.
    By(&'a str),
    /// Nowhere but in a JSON report: it could not be kept.
    Nowhere,
}

/// One step of the plan with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// Its number in the plan, from 1.
    pub index: u32,
    /// Its lane; 0 is the main lane.
    pub lane: u16,
    /// Its text.
    pub text: String,
    /// How it ended: that of the first end that was not ok, else ok; `None`: it never ended.
    pub outcome: Option<String>,
    /// How long the last one took, microseconds.
    pub took_us: Option<u64>,
    /// How often it ended, as far as recorded.
    pub times: usize,
    /// How often of these not ok.
    pub not_ok: usize,
    /// It was in flight when the run ended.
    pub in_flight: bool,
    /// The lifecycle model calls it illegal, or the plan expects an error, and an error came.
    pub refused_as_predicted: bool,
    /// The pause behind it, in which the run was stopped.
    pub stopped_in: Option<String>,
}

/// The plan's steps with what one run made of them.
#[must_use]
pub fn step_views(observation: &Observation, program: &Program) -> Vec<StepView> {
    let recorded = observation.recorder.known();
    let lanes: &[LaneRecord] = recorded.map_or(&[], |recorded| recorded.lanes.as_slice());
    let mut lane_of = vec![0; program.steps.len()];
    // The step that ends the process never returns, and did what it should.
    let has_left = |step: &Step| {
        step.operation == Operation::Exit && matches!(observation.ending, Ending::Exited(_))
    };
    assign_lanes(&program.body, 0, &mut lane_of);
    let stopped = observation.stall.is_some().then(|| pause_at_the_end(program, lanes)).flatten();
    (1u32..)
        .zip(&program.steps)
        .zip(lane_of)
        .zip(expectations(program))
        .map(|(((index, step), lane), expected)| {
            let ends: Vec<&StepRecord> = lanes
                .iter()
                .flat_map(|lane| &lane.steps)
                .filter(|record| record.step == index)
                .collect();
            let not_ok = ends.iter().find(|record| record.outcome != "ok");
            let is_this = |lane: &LaneRecord| lane.in_flight.is_some_and(|step| step.step == index);
            let is_in_flight = lanes.iter().any(is_this);
            StepView {
                index,
                lane,
                text: step.to_string(),
                outcome: match not_ok.or(ends.last()) {
                    Some(record) => Some(record.outcome.clone()),
                    None => (has_left(step) && is_in_flight).then(|| "ok".to_owned()),
                },
                took_us: ends.last().and_then(|record| record.took_us),
                times: ends.len(),
                not_ok: ends.iter().filter(|record| record.outcome != "ok").count(),
                in_flight: is_in_flight && !has_left(step),
                refused_as_predicted: expected == StepExpectation::MustFail
                    && !ends.is_empty()
                    && ends.iter().all(|record| ["illegal", "failed"].contains(&&*record.outcome)),
                stopped_in: stopped.clone().filter(|(before, _)| *before == index).map(|it| it.1),
            }
        })
        .collect()
}

/// The step before the pause of the main lane in which the run was stopped, and the pause: what is
/// before it has ended, what is behind it has not begun.
fn pause_at_the_end(program: &Program, lanes: &[LaneRecord]) -> Option<(StepIndex, String)> {
    let has_ended =
        |index| lanes.iter().flat_map(|lane| &lane.steps).any(|record| record.step == index);
    let is_in_flight =
        |index| lanes.iter().any(|lane| lane.in_flight.is_some_and(|step| step.step == index));
    let mut before = None;
    let mut nodes = program.body.iter();
    while let Some(node) = nodes.next() {
        let Node::Pause { micros } = node else {
            before = steps_of(node).max().or(before);
            continue;
        };
        let behind = nodes.clone().find_map(|node| steps_of(node).min());
        let is_behind_unbegun = behind.is_none_or(|it| !has_ended(it) && !is_in_flight(it));
        if let Some(step) = before.filter(|it| has_ended(*it) && !is_in_flight(*it))
            && is_behind_unbegun
        {
            return Some((step, Item::Pause { micros: *micros }.to_string()));
        }
    }
    None
}

/// The steps within a node.
fn steps_of(node: &Node) -> Box<dyn Iterator<Item = StepIndex> + '_> {
    match node {
        Node::Step(index) => Box::new(std::iter::once(*index)),
        Node::Pause { .. } => Box::new(std::iter::empty()),
        Node::Repeat { body, .. } | Node::UntilJoined(body) => {
            Box::new(body.iter().flat_map(steps_of))
        }
        Node::Lanes(lanes) => Box::new(lanes.iter().flat_map(|lane| &lane.body).flat_map(steps_of)),
    }
}

fn assign_lanes(body: &[Node], lane: u16, lane_of: &mut [u16]) {
    for node in body {
        match node {
            Node::Step(index) => {
                let place = usize::try_from(*index).ok().and_then(|index| index.checked_sub(1));
                if let Some(slot) = place.and_then(|place| lane_of.get_mut(place)) {
                    *slot = lane;
                }
            }
            Node::Pause { .. } => {}
            Node::Repeat { body, .. } | Node::UntilJoined(body) => {
                assign_lanes(body, lane, lane_of);
            }
            Node::Lanes(lanes) => {
                for inner in lanes {
                    assign_lanes(&inner.body, inner.id, lane_of);
                }
            }
        }
    }
}
