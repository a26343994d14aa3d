//! Runs one step: the host's own operations here, the others in the engine.
//!
//! Deliberately absent: lanes and time (`interpreter.rs`), and the ways out (`ending.rs`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use hotfire_plan::model::Operation;
use hotfire_plan::{Args, EngineSpec, Program, Step, parse_duration_us};
use hotfire_recorder::StepOutcome;

use crate::engine::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Outcome, Request,
};
use crate::os;
use crate::slots::{Model, Slot, Slots};

/// How often `await` asks the engine, microseconds.
const AWAIT_PERIOD_US: u64 = 200;
/// How long `await` waits when the plan does not say, microseconds.
const AWAIT_TIMEOUT_US: u64 = 10_000_000;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepReport {
    pub(crate) outcome: StepOutcome,
    pub(crate) digest: u64,
    pub(crate) count: u64,
    pub(crate) torn: bool,
    pub(crate) text: String,
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("not ready after {0} us")]
    Timeout(u64),
}

/// The engines under test, and what is needed to make more of them.
pub(crate) struct Stand {
    kinds: Vec<Arc<dyn EngineKind>>,
    slots: Slots,
    context: CreateContext,
    /// The first engine whose files are not here. Every later step on an empty slot says so too:
    /// the record of the `create` may be overwritten by then.
    missing: OnceLock<EngineError>,
}

impl Stand {
    pub(crate) fn new(
        kinds: Vec<Arc<dyn EngineKind>>,
        program: &Program,
        context: CreateContext,
    ) -> Self {
        Self { kinds, slots: Slots::of(program), context, missing: OnceLock::new() }
    }

    /// Every engine that stands in a slot.
    pub(crate) fn engines(&self) -> Vec<Arc<dyn Engine>> {
        self.slots.engines()
    }

    /// Runs a step to its end. A panic in an engine's adapter becomes a report.
    pub(crate) fn perform(&self, step: &Step) -> StepReport {
        // A slot is whole whenever an engine's code runs, so nothing broken can be seen later.
        match catch_unwind(AssertUnwindSafe(|| self.operate(step))) {
            Ok(Ok(outcome)) => StepReport {
                outcome: StepOutcome::Ok,
                digest: outcome.digest,
                count: outcome.count,
                torn: !outcome.valid.is_empty() && !outcome.valid.contains(&outcome.digest),
                text: String::new(),
            },
            Ok(Err(error)) => unsuccessful(outcome_of(&error), error.to_string()),
            Err(payload) => unsuccessful(StepOutcome::Panic, panic_text(payload.as_ref())),
        }
    }

    fn operate(&self, step: &Step) -> Result<Outcome, StepError> {
        match (step.operation, &step.slot, &step.engine) {
            (Operation::Interrupt, _, _) => os::signal_self(libc::SIGINT),
            (Operation::Kill, _, _) => os::signal_self(libc::SIGKILL),
            (Operation::Create, Some(slot), Some(spec)) => self.create(slot, spec)?,
            (Operation::Swap, Some(slot), Some(spec)) => return self.swap_engine(slot, spec, step),
            (Operation::Await, Some(slot), _) => self.wait_until_ready(slot, step)?,
            (Operation::Drop, Some(slot), _) => self.drop_engine(slot, step)?,
            (_, Some(slot), _) => return self.engine_step(slot, step),
            (operation, None, _) => {
                let text = format!("`{operation}` without a slot in a native host");
                return Err(EngineError::Unsupported(text).into());
            }
        }
        Ok(Outcome::default())
    }

    fn create(&self, name: &str, spec: &EngineSpec) -> Result<(), StepError> {
        let occupied = || EngineError::Illegal(format!("slot `{name}` is occupied"));
        if self.slots.get(name).is_some() {
            return Err(occupied().into());
        }
        let engine = self.new_engine(spec)?;
        // Another lane may have been faster; the engine that comes too late is released.
        self.slots.fill(name, Slot { engine, model: None }).map_err(|_late| occupied().into())
    }

    fn new_engine(&self, spec: &EngineSpec) -> Result<Arc<dyn Engine>, StepError> {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name() == spec.kind) else {
            let text = format!("no engine kind `{}`", spec.kind);
            return Err(EngineError::Unsupported(text).into());
        };
        kind.create(&spec.args, &self.context).map_err(|error| {
            if matches!(error, EngineError::Missing { .. }) {
                self.missing.get_or_init(|| error.clone());
            }
            error.into()
        })
    }

    /// The new engine is made and loaded before the old one goes, as services do it.
    fn swap_engine(
        &self,
        name: &str,
        spec: &EngineSpec,
        step: &Step,
    ) -> Result<Outcome, StepError> {
        let old = self.slot(name)?;
        let model = match step.named.get("model") {
            Some(model) => Some(Model { positional: vec![model.clone()], named: Args::new() }),
            None => old.model,
        };
        drop(old.engine);
        let engine = self.new_engine(spec)?;
        let outcome = match &model {
            Some(Model { positional, named }) => {
                engine.step(&Request { operation: Operation::Load, positional, named })?
            }
            None => Outcome::default(),
        };
        let old = self.slots.replace(name, Slot { engine, model });
        drop(old);
        Ok(outcome)
    }

    fn wait_until_ready(&self, name: &str, step: &Step) -> Result<(), StepError> {
        let engine = self.slot(name)?.engine;
        let timeout_us = step
            .named
            .get("timeout")
            .and_then(|text| parse_duration_us(text))
            .unwrap_or(AWAIT_TIMEOUT_US);
        let deadline_ns = os::monotonic_ns().saturating_add(timeout_us.saturating_mul(1_000));
        loop {
            let failed = |text: &str| Err(EngineError::Failed(text.to_owned()).into());
            match engine.state() {
                EngineState::Ready => return Ok(()),
                EngineState::Failed => return failed("the engine has failed"),
                EngineState::Released => return failed("the engine was released"),
                EngineState::Created | EngineState::Loading => {}
            }
            if os::monotonic_ns() >= deadline_ns {
                return Err(StepError::Timeout(timeout_us));
            }
            os::pause_us(AWAIT_PERIOD_US);
        }
    }

    fn drop_engine(&self, name: &str, step: &Step) -> Result<(), StepError> {
        if step.named.contains_key("via") {
            let text = "`via=gc` in a native host".to_owned();
            return Err(EngineError::Unsupported(text).into());
        }
        let slot = self.slots.take(name).ok_or_else(|| self.empty(name))?;
        drop(slot);
        Ok(())
    }

    fn engine_step(&self, name: &str, step: &Step) -> Result<Outcome, StepError> {
        let engine = self.slot(name)?.engine;
        let named = step.engine_args();
        let request =
            Request { operation: step.operation, positional: &step.positional, named: &named };
        let outcome = engine.step(&request)?;
        match step.operation {
            Operation::Load => {
                let model = Model { positional: step.positional.clone(), named };
                self.slots.note_model(name, &engine, Some(model));
            }
            Operation::Swap => {
                let positional = named.get("model").cloned().into_iter().collect();
                let model = Model { positional, named: Args::new() };
                self.slots.note_model(name, &engine, Some(model));
            }
            Operation::Unload | Operation::Cleanup | Operation::Shutdown => {
                self.slots.note_model(name, &engine, None);
            }
            _ => {}
        }
        Ok(outcome)
    }

    fn slot(&self, name: &str) -> Result<Slot, StepError> {
        self.slots.get(name).ok_or_else(|| self.empty(name))
    }

    fn empty(&self, name: &str) -> StepError {
        let illegal = || EngineError::Illegal(format!("slot `{name}` is empty"));
        self.missing.get().cloned().unwrap_or_else(illegal).into()
    }
}

fn unsuccessful(outcome: StepOutcome, text: String) -> StepReport {
    StepReport { outcome, digest: 0, count: 0, torn: false, text }
}

fn outcome_of(error: &StepError) -> StepOutcome {
    match error {
        StepError::Timeout(_) => StepOutcome::Timeout,
        StepError::Engine(EngineError::Missing { .. }) => StepOutcome::Missing,
        StepError::Engine(EngineError::Illegal(_)) => StepOutcome::Illegal,
        StepError::Engine(EngineError::Failed(_)) => StepOutcome::Failed,
        StepError::Engine(EngineError::Cancelled) => StepOutcome::Cancelled,
        StepError::Engine(EngineError::Unsupported(_)) => StepOutcome::Unsupported,
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
