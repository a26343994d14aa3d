//! A model and its context: made in that order, freed in the other.
//!
//! Deliberately absent: locks and lifecycle states (see `engine.rs`).

use hotfire_host::{EngineError, Ledger, Resource};

use crate::folder::{missing, model_path};
use crate::library::{Library, RawContext, RawModel, c_path};

/// Positions of a context; tokens of one generate and its prompt.
const CONTEXT_SIZE: u32 = 256;
/// What every generate begins with.
const PROMPT: i32 = 1;
/// Models that the fetch script makes.
const FETCHED_MODELS: [&str; 4] = ["tiny", "other", "corrupt", "truncated"];

/// A loaded model with one context. Freed by `drop`, the context first.
pub(crate) struct Session {
    handles: Handles,
    model_name: String,
    /// Freed by misuse already; the orderly way out must not add a second crash to the first.
    model_freed: bool,
    context_freed: bool,
    ledger: Ledger,
}

/// The pointers of a session, which know nothing of its life: whoever holds a copy may outlive it.
#[derive(Clone, Copy)]
pub(crate) struct Handles {
    library: &'static Library,
    model: *mut RawModel,
    context: *mut RawContext,
    vocabulary_size: usize,
    context_size: u32,
}

// SAFETY: llama.cpp's models and contexts are bound to no thread.
unsafe impl Send for Handles {}

impl Session {
    /// Loads a model by name or path, and makes a context that decodes with `threads` threads.
    pub(crate) fn open(
        library: &'static Library,
        model_name: &str,
        threads: u16,
        ledger: &Ledger,
    ) -> Result<Self, EngineError> {
        let path = model_path(&library.folder, model_name);
        if FETCHED_MODELS.contains(&model_name) && !path.exists() {
            return Err(missing(format!("{} is not here", path.display())));
        }
        let functions = &library.functions;
        let c_path = c_path(&path)?;
        // SAFETY: the parameters are llama.cpp's own defaults; the path lives for the call.
        let model =
            unsafe { (functions.model_load)(c_path.as_ptr(), (functions.model_default_params)()) };
        if model.is_null() {
            return Err(EngineError::Failed(format!("llama.cpp cannot load {}", path.display())));
        }
        ledger.acquire(Resource::Model, model as u64, 0, (0, 0));
        // SAFETY: defaults again, but for the first member, which is `n_ctx` in every version;
        // the model is alive.
        let context = unsafe {
            let mut params = (functions.context_default_params)();
            params.first = CONTEXT_SIZE;
            (functions.context_new)(model, params)
        };
        if context.is_null() {
            ledger.release(Resource::Model, model as u64);
            // SAFETY: alive, and nothing refers to it.
            unsafe { (functions.model_free)(model) };
            return Err(EngineError::Failed("llama.cpp cannot make a context".to_owned()));
        }
        ledger.acquire(Resource::Session, context as u64, model as u64, (0, 0));
        // SAFETY: model and context are alive.
        let (vocabulary_size, context_size) = unsafe {
            (functions.set_threads)(context, threads.into(), threads.into());
            let vocabulary = (functions.model_vocabulary)(model);
            ((functions.vocabulary_size)(vocabulary), (functions.context_size)(context))
        };
        let vocabulary_size = usize::try_from(vocabulary_size).unwrap_or(0);
        Ok(Self {
            handles: Handles { library, model, context, vocabulary_size, context_size },
            model_name: model_name.to_owned(),
            model_freed: false,
            context_freed: false,
            ledger: ledger.clone(),
        })
    }

    /// The model as the plan named it.
    pub(crate) fn model_name(&self) -> &str {
        &self.model_name
    }

    /// Copies of the pointers.
    pub(crate) fn handles(&self) -> Handles {
        self.handles
    }

    /// Misuse: frees the model under its context, each time that it is called.
    pub(crate) fn free_model(&mut self) {
        self.model_freed = true;
        self.ledger.release(Resource::Model, self.handles.model as u64);
        // SAFETY: none: llama.cpp's contract is broken on purpose, which is what the plan asked
        // for, in a child that may die of it.
        unsafe { (self.handles.library.functions.model_free)(self.handles.model) };
    }

    /// Misuse: frees the context and keeps it in use, each time that it is called.
    pub(crate) fn free_context(&mut self) {
        self.context_freed = true;
        self.ledger.release(Resource::Session, self.handles.context as u64);
        // SAFETY: none, as in `free_model`.
        unsafe { (self.handles.library.functions.context_free)(self.handles.context) };
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Handles { library, model, context, .. } = self.handles;
        if !self.context_freed {
            self.ledger.release(Resource::Session, context as u64);
            // SAFETY: alive, unless the plan freed the model under it on purpose.
            unsafe { (library.functions.context_free)(context) };
        }
        if !self.model_freed {
            self.ledger.release(Resource::Model, model as u64);
            // SAFETY: alive; its only context went just now.
            unsafe { (library.functions.model_free)(model) };
        }
    }
}

impl Handles {
    /// Decodes `count` tokens greedily from a fixed prompt, with an empty cache. Ends early with
    /// [`EngineError::Cancelled`] when `cancelled` says so between two tokens.
    ///
    /// One call at a time per session, and the session must live: the caller sees to it, or
    /// breaks it on purpose (`lock=off`, the `free-…` calls).
    pub(crate) fn generate(
        self,
        count: u32,
        cancelled: impl Fn() -> bool,
    ) -> Result<Vec<i32>, EngineError> {
        if count >= self.context_size {
            return Err(EngineError::Unsupported(format!(
                "{count} tokens; the context has room for {}",
                self.context_size.saturating_sub(1)
            )));
        }
        let functions = &self.library.functions;
        // SAFETY: the context is alive, as the caller sees to.
        unsafe { (functions.memory_clear)((functions.context_memory)(self.context), true) };
        let mut token = PROMPT;
        let mut tokens = Vec::new();
        for _ in 0..count {
            if cancelled() {
                return Err(EngineError::Cancelled);
            }
            token = self.next(token)?;
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// The likeliest token after `token`.
    fn next(self, mut token: i32) -> Result<i32, EngineError> {
        let functions = &self.library.functions;
        // SAFETY: the batch points to `token`, which outlives the call.
        let status = unsafe {
            let batch = (functions.batch_of)(&raw mut token, 1);
            (functions.decode)(self.context, batch)
        };
        if status != 0 {
            return Err(EngineError::Failed(format!("llama_decode gave {status}")));
        }
        // SAFETY: the context is alive and has just decoded.
        let logits = unsafe { (functions.logits)(self.context, -1) };
        if logits.is_null() {
            return Err(EngineError::Failed("llama.cpp has no logits".to_owned()));
        }
        // SAFETY: llama.h: one float per token of the vocabulary, valid until the next decode.
        let logits = unsafe { std::slice::from_raw_parts(logits, self.vocabulary_size) };
        (0i32..)
            .zip(logits)
            .max_by(|(_, left), (_, right)| left.total_cmp(right))
            .map(|(best, _)| best)
            .ok_or_else(|| EngineError::Failed("the model has no tokens".to_owned()))
    }
}
