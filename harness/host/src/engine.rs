//! What an engine must offer to be driven: [`EngineKind`] makes engines, [`Engine`] runs steps.
//!
//! Deliberately absent: how steps are scheduled (see `interpreter.rs`).

use std::sync::Arc;

use hotfire_plan::Args;
use hotfire_plan::model::Operation;

use crate::ledger::Ledger;

/// A kind of engine, e.g. `reference`; registered once in the host.
pub trait EngineKind: Send + Sync {
    /// The name in plan text.
    fn name(&self) -> &'static str;

    /// Whether `create` would understand these settings. Pure: it reads the settings, and neither
    /// loads a library nor runs code of the engine, so that the command may ask before it makes a
    /// child.
    ///
    /// # Errors
    /// The first setting that is not known, with what is.
    fn check(&self, args: &Args) -> Result<(), EngineError> {
        let _ = args;
        Ok(())
    }

    /// Loads the engine's libraries, so that a forkserver can fork children that have them.
    /// Starts no thread and opens no model.
    ///
    /// # Errors
    /// The engine is not here: a sentence, and the command that fetches it.
    fn prepare(&self) -> Result<(), EngineError>;

    /// Makes an engine.
    ///
    /// # Errors
    /// What the engine refused.
    fn create(&self, args: &Args, context: &CreateContext) -> Result<Arc<dyn Engine>, EngineError>;
}

/// What a new engine gets from the host.
#[derive(Clone)]
pub struct CreateContext {
    /// Where acquire and release events go; a no-op with `--no-ledger`.
    pub ledger: Ledger,
    /// The run's seed, for engines that draw.
    pub seed: u64,
}

/// A living engine. Steps come by shared reference, from several lanes at once.
///
/// `drop` in a plan takes the engine out of its slot and releases this object; the destructor
/// runs when the last step in flight has ended.
pub trait Engine: Send + Sync {
    /// What the engine says of itself, for `await`. Must not block.
    fn state(&self) -> EngineState;

    /// Runs one operation of the lifecycle: load, generate, cancel, export, unload, swap (model),
    /// cleanup, gc, shutdown or call. `create`, `await`, `drop`, engine swaps, signals and `exit`
    /// are the host's.
    ///
    /// # Errors
    /// Whatever the engine refuses; an illegal step must come back as an error, never a signal.
    fn step(&self, request: &Request<'_>) -> Result<Outcome, EngineError>;
}

/// One step, as the engine sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Which operation.
    pub operation: Operation,
    /// Arguments without a name, in order.
    pub positional: &'a [String],
    /// Arguments by name. `expect` and `on` are the host's and never reach the engine.
    pub named: &'a Args,
}

/// What a successful step brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// A digest of the result (e.g. FNV-1a of the tokens); 0 where there is nothing to compare.
    pub digest: u64,
    /// How many units were made (tokens, bytes).
    pub count: u64,
    /// Digests that would be right; empty where the engine cannot tell. A digest outside of a
    /// non-empty set is a torn result. At most 4.
    pub valid: Vec<u64>,
}

/// How far an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineState {
    /// Made, without a model.
    Created,
    /// A load is under way.
    Loading,
    /// A model is loaded.
    Ready,
    /// Released or shut down.
    Released,
    /// A step failed and left it unusable.
    Failed,
}

/// Why a step did not work. The text is a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine's libraries or files are not on this machine.
    #[error("{what}; help: {help}")]
    Missing {
        /// What is missing.
        what: String,
        /// The command that mends it.
        help: String,
    },
    /// The step is not legal in this state.
    #[error("illegal now: {0}")]
    Illegal(String),
    /// The engine tried and failed.
    #[error("{0}")]
    Failed(String),
    /// The step was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The engine has no such operation: a plan that needs it is skipped. A wrong argument is
    /// `Failed`, a mistake to be mended.
    #[error("not supported: {0}")]
    Unsupported(String),
}
