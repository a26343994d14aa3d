//! Walks a program: lane 0 in the main thread, the lanes of a block in threads of their own.
//!
//! Deliberately absent: what a step does (`stand.rs`) and how the process ends (`ending.rs`).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use hotfire_plan::model::{Operation, StepExpectation, expectations};
use hotfire_plan::{Lane, Node, Program, StepIndex};

use crate::borders::Borders;
use crate::ending::{self, Ending};
use crate::error::HostError;
use crate::event_loop::EventLoop;
use crate::gate::Gate;
use crate::os;
use crate::stand::Stand;
use crate::step_log::{Place, StepLog};

/// Why a lane goes no further.
pub(crate) enum Stop {
    /// An `exit` step that is done by returning from main.
    Exit(Ending),
    /// The plan cannot go on.
    Broken(HostError),
}

/// A program on its way.
pub(crate) struct Interpreter {
    program: Program,
    expected: Vec<StepExpectation>,
    stand: Arc<Stand>,
    log: StepLog,
    borders: Borders,
    event_loop: Option<EventLoop>,
    /// How often each step was begun. A step belongs to one lane, so this counts per lane.
    begun: Vec<AtomicU64>,
}

/// The thread that walks, and the block it belongs to.
#[derive(Clone, Copy)]
struct Walker<'a> {
    lane: u16,
    /// Inside of a loop of lane 0.
    in_loop: bool,
    /// Lanes of the block that are no hammers and have not ended.
    busy: &'a AtomicUsize,
}

impl Interpreter {
    pub(crate) fn new(
        program: Program,
        stand: Arc<Stand>,
        (log, borders): (StepLog, Borders),
        event_loop: Option<EventLoop>,
    ) -> Self {
        let begun = program.steps.iter().map(|_| AtomicU64::new(0)).collect();
        let expected = expectations(&program);
        Self { program, expected, stand, log, borders, event_loop, begun }
    }

    pub(crate) fn log(&self) -> &StepLog {
        &self.log
    }

    /// Where lane 0 stops for the supervisor.
    pub(crate) fn borders(&self) -> &Borders {
        &self.borders
    }

    pub(crate) fn stand(&self) -> &Arc<Stand> {
        &self.stand
    }

    /// Runs the program in the calling thread; returns when it has ended or an exit step stands
    /// that main must obey.
    pub(crate) fn run(&self) -> ControlFlow<Stop> {
        let nobody = AtomicUsize::new(0);
        self.borders.start();
        self.walk(Walker { lane: 0, in_loop: false, busy: &nobody }, &self.program.body)
    }

    /// Ends the event loop; see [`EventLoop::stop`].
    pub(crate) fn stop_loop(&self, join: bool) {
        if let Some(event_loop) = &self.event_loop {
            event_loop.stop(join);
        }
    }

    fn walk(&self, walker: Walker<'_>, body: &[Node]) -> ControlFlow<Stop> {
        body.iter().try_for_each(|node| match node {
            Node::Step(index) => self.step(walker.lane, *index),
            Node::Pause { micros } => {
                os::pause_us(*micros);
                ControlFlow::Continue(())
            }
            Node::Repeat { count, body } if walker.lane == 0 && !walker.in_loop => {
                self.turns(walker, *count, body)
            }
            Node::Repeat { count, body } => (0..*count).try_for_each(|_| self.walk(walker, body)),
            Node::UntilJoined(body) => self.hammer(walker, body),
            Node::Lanes(lanes) => {
                self.lanes(lanes)?;
                self.borders.step_ended(last_step(lanes));
                ControlFlow::Continue(())
            }
        })
    }

    /// An outermost loop of lane 0.
    fn turns(&self, walker: Walker<'_>, count: u32, body: &[Node]) -> ControlFlow<Stop> {
        let inside = Walker { in_loop: true, ..walker };
        (0..count).try_for_each(|turn| {
            self.borders.turn_begins(turn, count);
            self.walk(inside, body)?;
            self.borders.turn_ended();
            ControlFlow::Continue(())
        })?;
        self.borders.loop_ended();
        ControlFlow::Continue(())
    }

    /// At least one turn, so that a hammer that starts late is still seen.
    fn hammer(&self, walker: Walker<'_>, body: &[Node]) -> ControlFlow<Stop> {
        loop {
            self.walk(walker, body)?;
            if walker.busy.load(Ordering::Acquire) == 0 {
                return ControlFlow::Continue(());
            }
        }
    }

    fn step(&self, lane: u16, index: StepIndex) -> ControlFlow<Stop> {
        let Some(step) = self.program.step(index) else { return ControlFlow::Continue(()) };
        let slot = usize::try_from(index).unwrap_or(usize::MAX).saturating_sub(1);
        let begun = self.begun.get(slot);
        let iteration = begun.map_or(0, |begun| begun.fetch_add(1, Ordering::Relaxed));
        let place = Place { lane, step: index, iteration };
        self.log.begin(place);
        if step.operation == Operation::Exit {
            // Left in flight: the process ends within it.
            return ControlFlow::Break(Stop::Exit(ending::leave(self, lane, step)));
        }
        let report = match &self.event_loop {
            Some(event_loop) if step.is_on_loop() => event_loop.run(index, step),
            _ => self.stand.perform(step),
        };
        self.log.end(place, &report);
        let expected = self.expected.get(slot).copied().unwrap_or(StepExpectation::Either);
        self.log.tell(&self.program, place, &report, expected);
        if lane == 0 {
            self.borders.step_ended(index);
        }
        ControlFlow::Continue(())
    }

    fn lanes(&self, lanes: &[Lane]) -> ControlFlow<Stop> {
        let gate = Gate::new(lanes.len());
        let workers = lanes.iter().filter(|lane| !is_hammer(&lane.body)).count();
        let busy = AtomicUsize::new(workers);
        let started = thread::scope(|scope| {
            let mut threads = Vec::with_capacity(lanes.len());
            let started = lanes.iter().try_for_each(|lane| {
                threads.push(self.start_lane(scope, lane, &gate, &busy)?);
                Ok(())
            });
            if started.is_err() {
                gate.call_off();
            }
            for thread in threads {
                // The scope alone would not wait until the thread is gone from the process.
                // Panics of engines are caught in the step; another was printed as it happened.
                let _ = thread.join();
            }
            started
        });
        match started {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Stop::Broken(error)),
        }
    }

    fn start_lane<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        lane: &'scope Lane,
        gate: &'scope Gate,
        busy: &'scope AtomicUsize,
    ) -> Result<ScopedJoinHandle<'scope, ()>, HostError> {
        thread::Builder::new()
            .name(format!("lane-{}", lane.id))
            .spawn_scoped(scope, move || {
                self.log.lane_started(lane.id);
                let _done = (!is_hammer(&lane.body)).then(|| Done(busy));
                if gate.pass() {
                    // Lanes hold no lanes and no exit that main must obey: nothing is passed on.
                    let _ = self.walk(Walker { lane: lane.id, in_loop: true, busy }, &lane.body);
                }
            })
            .map_err(|source| HostError::System { call: "starting a lane's thread", source })
    }
}

/// Counts a lane as ended, however it ends, so that no hammer runs for ever.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn is_hammer(body: &[Node]) -> bool {
    body.iter().any(|node| match node {
        Node::UntilJoined(_) => true,
        Node::Repeat { body, .. } => is_hammer(body),
        Node::Step(_) | Node::Pause { .. } | Node::Lanes(_) => false,
    })
}

/// The last step of a block in text order.
fn last_step(lanes: &[Lane]) -> StepIndex {
    fn of(node: &Node) -> StepIndex {
        match node {
            Node::Step(index) => *index,
            Node::Repeat { body, .. } | Node::UntilJoined(body) => {
                body.iter().map(of).max().unwrap_or(0)
            }
            Node::Lanes(lanes) => last_step(lanes),
            Node::Pause { .. } => 0,
        }
    }
    lanes.iter().flat_map(|lane| &lane.body).map(of).max().unwrap_or(0)
}
