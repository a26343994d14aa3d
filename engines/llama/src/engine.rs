//! The engine kind and the engine: lifecycle states, the lock, steps.
//!
//! Deliberately absent: llama.cpp's interface (see `library.rs` and `session.rs`).

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotfire_host::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Ledger, Outcome, Request,
};
use hotfire_plan::model::Operation;
use hotfire_plan::{Args, nearest};

use crate::library::{Library, library};
use crate::reference;
use crate::session::Session;

/// Tokens of a `generate` that names no count.
const COUNT_DEFAULT: u32 = 16;
/// Threads of one decode. ggml's threads spin at barriers: where another process wants a core too,
/// a decode with two threads took up to a thousand times longer than with one.
const THREADS_DEFAULT: u16 = 1;
/// Else a failed assertion in ggml starts gdb on its own process.
const NO_BACKTRACE_VARIABLE: &str = "GGML_NO_BACKTRACE";

/// The engine kind `llama`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Llama;

impl EngineKind for Llama {
    fn name(&self) -> &'static str {
        "llama"
    }

    fn check(&self, args: &Args) -> Result<(), EngineError> {
        Settings::read(args).map(drop)
    }

    fn prepare(&self) -> Result<(), EngineError> {
        if std::env::var_os(NO_BACKTRACE_VARIABLE).is_none() {
            // SAFETY: the host prepares engines before it starts threads.
            unsafe { std::env::set_var(NO_BACKTRACE_VARIABLE, "1") };
        }
        library().map(drop)
    }

    fn create(&self, args: &Args, context: &CreateContext) -> Result<Arc<dyn Engine>, EngineError> {
        let settings = Settings::read(args)?;
        Ok(Arc::new(LlamaEngine {
            library: library()?,
            ledger: context.ledger.clone(),
            settings,
            said: AtomicU8::new(Said::Created as u8),
            cancels: AtomicU64::new(0),
            slot: Mutex::new(Slot { life: Life::Created, session: None }),
        }))
    }
}

/// What stands after `llama:` in a plan.
struct Settings {
    /// Whether a generate holds the slot's lock while it decodes.
    serialised: bool,
    /// Threads of one decode.
    threads: u16,
}

impl Settings {
    fn read(args: &Args) -> Result<Self, EngineError> {
        let mut settings = Self { serialised: true, threads: THREADS_DEFAULT };
        for (key, value) in args {
            match (key.as_str(), value.as_str()) {
                ("lock", "on") => settings.serialised = true,
                ("lock", "off") => settings.serialised = false,
                ("threads", count) => {
                    settings.threads = count
                        .parse()
                        .ok()
                        .filter(|count| (1..=64).contains(count))
                        .ok_or_else(|| {
                            EngineError::Failed(format!("no setting threads={count}; use 1 to 64"))
                        })?;
                }
                ("lock", other) => {
                    return Err(EngineError::Failed(format!(
                        "no setting lock={other}; use on or off"
                    )));
                }
                (other, _) => {
                    let near = nearest(other, ["lock", "threads"]);
                    let near = near.map(|near| format!("did you mean `{near}`? "));
                    let near = near.unwrap_or_default();
                    return Err(EngineError::Failed(format!(
                        "no setting `{other}`; {near}known: lock, threads"
                    )));
                }
            }
        }
        Ok(settings)
    }
}

/// One engine: at most one session.
struct LlamaEngine {
    library: &'static Library,
    ledger: Ledger,
    settings: Settings,
    /// What `state` answers; apart from the slot, so that it never waits.
    said: AtomicU8,
    /// Counts `cancel`s; a generate stops when it moves.
    cancels: AtomicU64,
    slot: Mutex<Slot>,
}

/// [`EngineState`] as a number.
#[repr(u8)]
enum Said {
    Created,
    Loading,
    Ready,
    Released,
}

struct Slot {
    life: Life,
    /// There is one whenever `life` is `Loaded`, and only then.
    session: Option<Session>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Created,
    Loaded,
    Released,
    Stopped,
}

impl Engine for LlamaEngine {
    fn state(&self) -> EngineState {
        match self.said.load(Ordering::Acquire) {
            said if said == Said::Loading as u8 => EngineState::Loading,
            said if said == Said::Ready as u8 => EngineState::Ready,
            said if said == Said::Released as u8 => EngineState::Released,
            _ => EngineState::Created,
        }
    }

    fn step(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        let known: &[&str] = if request.operation == Operation::Swap { &["model"] } else { &[] };
        if let Some(key) = request.named.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(EngineError::Failed(format!("no argument {key}")));
        }
        let first = request.positional.first().map(String::as_str);
        match request.operation {
            Operation::Load => self.load(first.ok_or_else(|| lacks("a model"))?),
            Operation::Generate => self.generate(first),
            Operation::Cancel => self.cancel(),
            Operation::Unload => self.unload(),
            Operation::Swap => {
                self.swap_model(request.named.get("model").ok_or_else(|| lacks("model=…"))?)
            }
            Operation::Cleanup => self.release(Life::Released),
            Operation::Shutdown => self.release(Life::Stopped),
            Operation::Call => self.call(first.ok_or_else(|| lacks("a name"))?),
            other => Err(EngineError::Unsupported(format!("llama has no {other:?}"))),
        }
    }
}

impl LlamaEngine {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: Said) {
        self.said.store(said as u8, Ordering::Release);
    }

    fn open(&self, model: &str) -> Result<Session, EngineError> {
        Session::open(self.library, model, self.settings.threads, &self.ledger)
    }

    fn load(&self, model: &str) -> Result<Outcome, EngineError> {
        let mut slot = self.lock();
        if slot.life != Life::Created {
            return Err(illegal("load", slot.life));
        }
        self.say(Said::Loading);
        match self.open(model) {
            Ok(session) => {
                *slot = Slot { life: Life::Loaded, session: Some(session) };
                self.say(Said::Ready);
                Ok(Outcome::default())
            }
            Err(error) => {
                self.say(Said::Created);
                Err(error)
            }
        }
    }

    fn generate(&self, count: Option<&str>) -> Result<Outcome, EngineError> {
        let count = match count {
            None => COUNT_DEFAULT,
            Some(text) => text
                .parse()
                .map_err(|_| EngineError::Failed(format!("{text} is no count of tokens")))?,
        };
        // Before the lock: a cancel also stops generates that wait for their turn.
        let cancels_before = self.cancels.load(Ordering::Acquire);
        let slot = self.lock();
        let Some(session) = &slot.session else {
            return Err(illegal("generate", slot.life));
        };
        let handles = session.handles();
        let model = session.model_name().to_owned();
        // `lock=off`: from here on nothing keeps another step off this session.
        let held = self.settings.serialised.then_some(slot);
        let tokens =
            handles.generate(count, || self.cancels.load(Ordering::Acquire) != cancels_before)?;
        let undisturbed = held.is_some();
        drop(held);
        let digest = reference::digest(&tokens);
        let right = if undisturbed {
            Some(reference::keep(&model, count, digest))
        } else {
            reference::get(&model, count)
        };
        Ok(Outcome { digest, count: u64::from(count), valid: right.into_iter().collect() })
    }

    /// Must not wait for the generate that it stops, so it asks `state`, not the slot.
    fn cancel(&self) -> Result<Outcome, EngineError> {
        if self.state() == EngineState::Released {
            return Err(illegal("cancel", Life::Released));
        }
        self.cancels.fetch_add(1, Ordering::AcqRel);
        Ok(Outcome::default())
    }

    fn unload(&self) -> Result<Outcome, EngineError> {
        let mut slot = self.lock();
        if slot.life != Life::Loaded {
            return Err(illegal("unload", slot.life));
        }
        self.say(Said::Created);
        *slot = Slot { life: Life::Created, session: None };
        Ok(Outcome::default())
    }

    /// The new model is loaded first: where that fails, the old one stays.
    fn swap_model(&self, model: &str) -> Result<Outcome, EngineError> {
        let mut slot = self.lock();
        if slot.life != Life::Loaded {
            return Err(illegal("swap", slot.life));
        }
        slot.session = Some(self.open(model)?);
        Ok(Outcome::default())
    }

    fn release(&self, to: Life) -> Result<Outcome, EngineError> {
        let mut slot = self.lock();
        if slot.life == Life::Stopped {
            let step = if to == Life::Stopped { "shutdown" } else { "cleanup" };
            return Err(illegal(step, slot.life));
        }
        self.say(Said::Released);
        *slot = Slot { life: to, session: None };
        Ok(Outcome::default())
    }

    fn call(&self, name: &str) -> Result<Outcome, EngineError> {
        let misuse = match name {
            "free-model" => Session::free_model,
            "free-context" => Session::free_context,
            other => {
                return Err(EngineError::Unsupported(format!(
                    "{other}; llama has: free-model, free-context"
                )));
            }
        };
        let mut slot = self.lock();
        let life = slot.life;
        misuse(slot.session.as_mut().ok_or_else(|| illegal(name, life))?);
        Ok(Outcome::default())
    }
}

fn illegal(step: &str, life: Life) -> EngineError {
    let why = match life {
        Life::Created => "no model is loaded",
        Life::Loaded => "a model is loaded",
        Life::Released => "the engine is released",
        Life::Stopped => "the engine is shut down",
    };
    EngineError::Illegal(format!("{step}: {why}"))
}

fn lacks(what: &str) -> EngineError {
    EngineError::Failed(format!("a step without {what}"))
}
