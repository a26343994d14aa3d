//! Which steps were in flight, where they stand in the plan, and to which phase they belong.
//!
//! Deliberately absent: whether their results are right (`contract.rs`).

use hotfire_plan::Program;
use hotfire_plan::model::{Operation, Phase};

use super::finding::FindingStep;
use crate::observe::{HostStage, LaneRecord, Observation, Recorded, StepRecord};

/// The plan's steps beside what the recorder tells of them.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'a> {
    program: &'a Program,
    recorded: Option<&'a Recorded>,
    is_of_command: bool,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(observation: &'a Observation, program: &'a Program) -> Self {
        let is_of_command = !observation.command.is_empty();
        Self { program, recorded: observation.recorder.known(), is_of_command }
    }

    fn lanes(&self) -> &'a [LaneRecord] {
        self.recorded.map_or(&[], |recorded| recorded.lanes.as_slice())
    }

    /// Whether there are no steps, because a command was run as it is.
    pub(crate) fn is_of_command(&self) -> bool {
        self.is_of_command
    }

    /// How far the host came; `None` when the recorder could not be read.
    pub(crate) fn stage(&self) -> Option<HostStage> {
        Some(self.recorded?.stage)
    }

    pub(crate) fn operation(&self, step: u32) -> Option<Operation> {
        Some(self.program.step(step)?.operation)
    }

    /// The phase of a step; `run` for none.
    pub(crate) fn phase(&self, step: u32) -> Phase {
        self.operation(step).map_or(Phase::Run, Operation::phase)
    }

    /// The step's canonical text.
    pub(crate) fn text(&self, step: u32) -> String {
        let known = self.program.step(step);
        known.map_or_else(|| format!("step {step}"), ToString::to_string)
    }

    /// A step as findings show it.
    pub(crate) fn finding_step(&self, lane: u16, step: u32, iteration: u64) -> FindingStep {
        FindingStep { index: step, lane, iteration, text: self.text(step) }
    }

    /// Steps that ended, with their lanes.
    pub(crate) fn ended(&self) -> impl Iterator<Item = (u16, &'a StepRecord)> {
        self.lanes().iter().flat_map(|lane| lane.steps.iter().map(|step| (lane.lane, step)))
    }

    /// The steps in flight when the run ended, by lane.
    pub(crate) fn in_flight(&self) -> Vec<FindingStep> {
        self.lanes().iter().filter_map(|lane| self.lane_in_flight(lane)).collect()
    }

    /// The steps in flight at this time (CLOCK_MONOTONIC, nanoseconds), by lane. Steps that never
    /// ended count from their begin on: a crash is captured a moment after it happened.
    pub(crate) fn in_flight_at(&self, time_ns: u64) -> Vec<FindingStep> {
        let of_lane = |lane: &LaneRecord| {
            let ended = lane.steps.iter().find(|step| {
                let begun = step.took_us.map(|us| step.ended_ns.saturating_sub(us * 1000));
                begun.is_some_and(|begun| begun <= time_ns) && time_ns <= step.ended_ns
            });
            let ended = ended.map(|step| self.finding_step(lane.lane, step.step, step.iteration));
            ended.or_else(|| {
                lane.in_flight
                    .filter(|step| step.begun_ns <= time_ns)
                    .and_then(|_| self.lane_in_flight(lane))
            })
        };
        self.lanes().iter().filter_map(of_lane).collect()
    }

    fn lane_in_flight(&self, lane: &LaneRecord) -> Option<FindingStep> {
        let step = lane.in_flight?;
        Some(self.finding_step(lane.lane, step.step, step.iteration))
    }

    /// The lane that this thread runs.
    pub(crate) fn lane_of(&self, tid: i32) -> Option<u16> {
        // A lane that ended leaves its tid behind, which the kernel may give to another thread:
        // the newest lane wins.
        let lane = self.lanes().iter().rev().find(|lane| lane.tid == tid && tid > 0);
        Some(lane?.lane)
    }

    /// The end of the last step that ended, nanoseconds.
    pub(crate) fn last_end_ns(&self) -> u64 {
        self.ended().map(|(_, step)| step.ended_ns).max().unwrap_or(0)
    }

    /// Whether the plan has a step with this operation that was at least begun. Where the recorder
    /// is not to be had, having it in the plan counts.
    pub(crate) fn was_begun(&self, operation: Operation) -> bool {
        let is_it = |step: u32| self.operation(step) == Some(operation);
        match self.recorded {
            None => self.plan_has(operation),
            Some(_) => {
                self.in_flight().iter().any(|step| is_it(step.index))
                    || self.ended().any(|(_, step)| is_it(step.step))
            }
        }
    }

    pub(crate) fn plan_has(&self, operation: Operation) -> bool {
        self.program.steps.iter().any(|step| step.operation == operation)
    }

    /// The value of a named argument of the plan's last `exit` step.
    pub(crate) fn exit_argument(&self, name: &str) -> Option<&'a str> {
        let exits = |step: &&hotfire_plan::Step| step.operation == Operation::Exit;
        let exit = self.program.steps.iter().rev().find(exits)?;
        exit.named.get(name).map(String::as_str)
    }

    /// The phase where no step is in flight.
    pub(crate) fn phase_between_steps(&self) -> Phase {
        match self.stage() {
            Some(HostStage::Unborn | HostStage::Attached | HostStage::Refused) => Phase::Startup,
            Some(HostStage::Exiting) => Phase::Exit,
            Some(HostStage::Running) | None => Phase::Run,
        }
    }
}

/// The step that matters among those in flight: of the victim's lane, else of lane 0, else of the
/// first lane that has one.
pub(crate) fn step_that_matters(steps: &[FindingStep], lane: Option<u16>) -> Option<FindingStep> {
    let of = |wanted: u16| steps.iter().find(|step| step.lane == wanted);
    lane.and_then(of).or_else(|| of(0)).or_else(|| steps.first()).cloned()
}
