//! Stops lane 0 at step borders, so that the supervisor can look at what the process holds.
//!
//! A stop is a signal that this thread sends to itself. Who traces it is stopped at the signal and
//! told which border it is by the recorder; it takes the signal away. A thread that blocks SIGURG
//! lets it through for that moment. Untraced, SIGURG does nothing. Deliberately absent: borders
//! inside of lanes, which run beside each other.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hotfire_plan::StepIndex;
use hotfire_recorder::{Border, Gate, Gating, Writer};

use crate::{attach, os};

/// So many turns of a loop are stopped at, evenly spread.
const TURNS_MAX: u32 = 128;

/// Where lane 0 is.
pub(crate) struct Borders {
    recorder: Option<Writer<'static>>,
    gating: Gating,
    /// Whether steps of this turn are stopped at.
    is_looked_at: AtomicBool,
    turn: AtomicU64,
    last_step: AtomicU32,
}

impl Borders {
    pub(crate) fn new(recorder: Option<Writer<'static>>, gating: Gating) -> Self {
        Self {
            recorder,
            gating,
            is_looked_at: AtomicBool::new(true),
            turn: AtomicU64::new(0),
            last_step: AtomicU32::new(0),
        }
    }

    /// Nothing has run yet.
    pub(crate) fn start(&self) {
        self.stop(Border::Start, Gating::Ends);
    }

    /// A step, or a block of lanes with this last step, has ended in lane 0.
    pub(crate) fn step_ended(&self, step: StepIndex) {
        self.last_step.store(step, Ordering::Relaxed);
        if self.is_looked_at.load(Ordering::Relaxed) {
            self.stop(Border::Step, Gating::Steps);
        }
    }

    /// A turn of an outermost loop of `count` turns begins in lane 0. After turns that were not
    /// looked at, its first step would have nothing to be compared with: then this is a border.
    pub(crate) fn turn_begins(&self, turn: u32, count: u32) {
        let stride = count.div_ceil(TURNS_MAX).max(1);
        let is_looked_at = turn.is_multiple_of(stride) || turn + 1 == count;
        self.turn.store(turn.into(), Ordering::Relaxed);
        let was_looked_at = self.is_looked_at.swap(is_looked_at, Ordering::Relaxed);
        if is_looked_at && !was_looked_at {
            self.stop(Border::Step, Gating::Steps);
        }
    }

    /// The turn has ended.
    pub(crate) fn turn_ended(&self) {
        if self.is_looked_at.load(Ordering::Relaxed) {
            self.stop(Border::Turn, Gating::Ends);
        }
    }

    /// The loop has ended: what comes is in no turn.
    pub(crate) fn loop_ended(&self) {
        self.turn.store(0, Ordering::Relaxed);
        self.is_looked_at.store(true, Ordering::Relaxed);
    }

    /// The exit begins.
    pub(crate) fn end(&self) {
        self.stop(Border::End, Gating::Ends);
    }

    fn stop(&self, border: Border, needed: Gating) {
        let Some(recorder) = self.recorder.filter(|_| self.gating >= needed && attach::is_here())
        else {
            return;
        };
        let step = self.last_step.load(Ordering::Relaxed);
        recorder.gate_reached(Gate { border, step, turn: self.turn.load(Ordering::Relaxed) });
        os::stop_for_tracer();
        recorder.gate_left();
    }
}
