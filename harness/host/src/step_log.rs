//! Tells what happens: into the recorder, and in a plain shell as lines on standard error.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use hotfire_plan::model::StepExpectation;
use hotfire_plan::{Program, StepIndex};
use hotfire_recorder::{Stage, StepOutcome, StepResult, Writer};

use crate::os;
use crate::stand::StepReport;

/// Where a step is run, and which turn of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) lane: u16,
    pub(crate) step: StepIndex,
    pub(crate) iteration: u64,
}

/// Tells what happens.
pub(crate) struct StepLog {
    recorder: Option<Writer<'static>>,
    is_verbose: bool,
    has_failed: AtomicBool,
}

impl StepLog {
    pub(crate) fn new(recorder: Option<Writer<'static>>, is_verbose: bool) -> Self {
        Self { recorder, is_verbose, has_failed: AtomicBool::new(false) }
    }

    /// Whether, in a plain shell, a step failed that the lifecycle model says must succeed. With a
    /// recorder nobody asks: the results stand there, and the plan's end is a success.
    pub(crate) fn is_standalone_failure(&self) -> bool {
        self.recorder.is_none() && self.has_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn stage(&self, stage: Stage) {
        if let Some(recorder) = self.recorder {
            recorder.stage(stage);
        }
    }

    pub(crate) fn lane_started(&self, lane: u16) {
        if let Some(recorder) = self.recorder {
            recorder.lane_started(lane, os::tid());
        }
    }

    pub(crate) fn begin(&self, place: Place) {
        if let Some(recorder) = self.recorder {
            recorder.step_begin(place.lane, place.step, place.iteration);
        }
    }

    pub(crate) fn end(&self, place: Place, report: &StepReport) {
        if let Some(recorder) = self.recorder {
            let result = StepResult {
                outcome: report.outcome,
                digest: report.digest,
                count: report.count,
                torn: report.torn,
                text: &report.text,
            };
            recorder.step_end(place.lane, place.step, place.iteration, &result);
        }
    }

    /// What a person in a plain shell wants to know of a step that has ended.
    pub(crate) fn tell(
        &self,
        program: &Program,
        place: Place,
        report: &StepReport,
        expected: StepExpectation,
    ) {
        let Some(step) = program.step(place.step) else { return };
        let is_refusal =
            report.outcome == StepOutcome::Unsupported && !step.operation.spec().required;
        if report.outcome != StepOutcome::Ok
            && expected == StepExpectation::MustSucceed
            && !is_refusal
        {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        if self.is_verbose {
            let torn = if report.torn { " torn" } else { "" };
            let separator = if report.text.is_empty() { "" } else { ": " };
            // A closed standard error must not change what the program under test does.
            let _ = writeln!(
                std::io::stderr(),
                "lane {} step {} `{step}` {}{torn}{separator}{}",
                place.lane,
                place.step,
                report.outcome.text(),
                report.text
            );
        }
    }
}
