//! Runs one plan in this process, from its text to the status that main returns.

use std::mem;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hotfire_plan::{Plan, Program};
use hotfire_recorder::{Gating, Stage, Writer};

use crate::borders::Borders;
use crate::check;
use crate::ending::{self, Ending};
use crate::engine::{CreateContext, EngineKind};
use crate::error::HostError;
use crate::event_loop::EventLoop;
use crate::interpreter::{Interpreter, Stop};
use crate::ledger::Ledger;
use crate::stand::Stand;
use crate::step_log::StepLog;

/// The loop's period when a plan has `on=loop` steps and nobody asked for beats.
const BEAT_PERIOD_DEFAULT_US: u64 = 10_000;

/// What a run needs to know beside its plan.
pub(crate) struct Settings {
    pub(crate) recorder: Option<Writer<'static>>,
    pub(crate) ledger: Ledger,
    pub(crate) seed: u64,
    /// The loop's heartbeat in microseconds; 0: none is asked for.
    pub(crate) beat_period_us: u64,
    /// Where lane 0 stops for the supervisor.
    pub(crate) gating: Gating,
    pub(crate) is_verbose: bool,
}

/// Runs a plan. What returns from here must return from main.
///
/// # Errors
/// The plan cannot be run by this host; no step has been run, unless a thread was refused.
pub(crate) fn run(
    plan: &Plan,
    kinds: Vec<Arc<dyn EngineKind>>,
    settings: Settings,
) -> Result<ExitCode, HostError> {
    check::check(plan, &kinds)?;
    let interpreter = prepare(plan, kinds, settings)?;
    interpreter.log().lane_started(0);
    interpreter.log().stage(Stage::Running);
    let flow = interpreter.run();
    let status = match flow {
        ControlFlow::Continue(()) => {
            let code = u8::from(interpreter.log().is_standalone_failure());
            Ok(ending::return_from_main(&interpreter, Ending::Return(code)))
        }
        ControlFlow::Break(Stop::Exit(ending)) => {
            Ok(ending::return_from_main(&interpreter, ending))
        }
        ControlFlow::Break(Stop::Broken(error)) => {
            interpreter.stop_loop(true);
            Err(error)
        }
    };
    // Main returns with its engines alive: what they leave to static destructors is under test.
    mem::forget(interpreter);
    status
}

/// Everything up to the first step.
pub(crate) fn prepare(
    plan: &Plan,
    kinds: Vec<Arc<dyn EngineKind>>,
    settings: Settings,
) -> Result<Interpreter, HostError> {
    let program = Program::from(plan);
    let context = CreateContext { ledger: settings.ledger, seed: settings.seed };
    let stand = Arc::new(Stand::new(kinds, &program, context));
    let needs_loop = program.steps.iter().any(hotfire_plan::Step::is_on_loop);
    let period_us = match settings.beat_period_us {
        0 if needs_loop => BEAT_PERIOD_DEFAULT_US,
        period_us => period_us,
    };
    let event_loop = (period_us > 0)
        .then(|| {
            let period = Duration::from_micros(period_us);
            EventLoop::start(Arc::clone(&stand), period, settings.recorder)
        })
        .transpose()?;
    let log = StepLog::new(settings.recorder, settings.is_verbose);
    let borders = Borders::new(settings.recorder, settings.gating);
    Ok(Interpreter::new(program, stand, (log, borders), event_loop))
}
