//! The C++ engine behind the host's `Engine` trait: arguments in, outcomes and errors out, and
//! which results would have been right.
//!
//! Deliberately absent: any lock around the engine; its own locks are what is under test.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cxx::UniquePtr;
use hotfire_host::{Engine, EngineError, EngineState, Ledger, Outcome, Request};
use hotfire_plan::model::Operation;

use crate::bridge::LedgerPort;
use crate::bridge::ffi::{Handle, Made, Settings, open_engine};
use crate::source::{Opened, Source, TEMPORARY, open, path_of};

/// What `generate` makes when no count is given, in tokens.
pub(crate) const DEFAULT_COUNT: u64 = 16;
pub(crate) const DEFAULT_PROMPT: &[u8] = b"hotfire";
/// Longest text, in tokens.
const COUNT_MAX: u64 = 1_000_000;
/// A step may name so many digests that would be right.
const VALID_MAX: usize = 4;

/// An engine of the kind `reference`.
pub(crate) struct Reference {
    handle: SharedHandle,
    models: Mutex<Models>,
    /// Files of this engine that end with it.
    temporary: Mutex<Vec<PathBuf>>,
}

struct SharedHandle(UniquePtr<Handle>);

// SAFETY: every method of the C++ engine may be called from any thread (cpp/engine.h says so), and
// none depends on the thread that made it.
unsafe impl Send for SharedHandle {}
// SAFETY: as above; the engine guards its state with its own locks.
unsafe impl Sync for SharedHandle {}

/// The models that a step in flight may have seen.
#[derive(Default)]
struct Models {
    seen: Vec<Arc<Source>>,
    /// Steps that are under way and replace or read a model.
    in_flight: u32,
}

impl Reference {
    pub(crate) fn new(settings: &Settings, ledger: Ledger) -> Result<Self, EngineError> {
        let handle = open_engine(settings, Box::new(LedgerPort(ledger))).map_err(refusal)?;
        Ok(Self {
            handle: SharedHandle(handle),
            models: Mutex::default(),
            temporary: Mutex::default(),
        })
    }

    fn load(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        let [name] = request.positional else {
            return Err(EngineError::Failed("load without one model's name".into()));
        };
        only_named(request, &[])?;
        let Opened { source, file } = open(name)?;
        let _seen = self.see(Some(&source));
        self.handle.0.load(file.into_raw_fd(), source.id()).map_err(refusal)?;
        Ok(Outcome::default())
    }

    fn swap(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        only_named(request, &["model"])?;
        let (Some(name), []) = (request.named.get("model"), request.positional) else {
            return Err(EngineError::Failed("swap without model=NAME".into()));
        };
        let Opened { source, file } = open(name)?;
        let _seen = self.see(Some(&source));
        self.handle.0.swap(file.into_raw_fd(), source.id()).map_err(refusal)?;
        Ok(Outcome::default())
    }

    fn generate(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        only_named(request, &["prompt"])?;
        let count = match request.positional {
            [] => DEFAULT_COUNT,
            [count] => number("a count of tokens", count, COUNT_MAX)?,
            _ => return Err(EngineError::Failed("generate with more than a count".into())),
        };
        let prompt = request.named.get("prompt").map_or(DEFAULT_PROMPT, |text| text.as_bytes());
        let seen = self.see(None);
        let made = self.handle.0.generate(count, prompt).map_err(refusal)?;
        Ok(seen.outcome(&made, |source| source.text_digest(prompt, count)))
    }

    fn export(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        only_named(request, &["ms"])?;
        let milliseconds =
            request.named.get("ms").map_or(Ok(0), |text| number("ms", text, 600_000))?;
        let file = match request.positional {
            [] => None,
            [path] => Some(self.create_file(path)?),
            _ => return Err(EngineError::Failed("export with more than a path".into())),
        };
        let fd = file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let seen = self.see(None);
        let made = self.handle.0.export_model(fd, milliseconds).map_err(refusal)?;
        if made.count == 0 {
            // A thread goes on with it.
            return Ok(Outcome::default());
        }
        Ok(seen.outcome(&made, |source| Some(source.file_digest())))
    }

    /// Keeps all models that may be in use from now on until the guard goes; `new` is about to be.
    fn see(&self, new: Option<&Arc<Source>>) -> Seen<'_> {
        let mut models = self.lock_models();
        models.in_flight += 1;
        if let Some(new) = new
            && models.seen.iter().all(|source| source.id() != new.id())
        {
            models.seen.push(Arc::clone(new));
        }
        Seen(self)
    }

    fn create_file(&self, name: &str) -> Result<File, EngineError> {
        let path = path_of(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file =
            file.map_err(|error| EngineError::Failed(format!("export to {name}: {error}")))?;
        if name.starts_with(TEMPORARY) {
            self.temporary.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        }
        Ok(file)
    }

    fn lock_models(&self) -> MutexGuard<'_, Models> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let mut files = self.temporary.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files.drain(..) {
            // One that was written twice has gone at the first time.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A step in flight, as far as models go.
struct Seen<'a>(&'a Reference);

impl Seen<'_> {
    /// What the step made, with the digests of all models that it may have read.
    fn outcome(&self, made: &Made, right: impl Fn(&Source) -> Option<u64>) -> Outcome {
        let seen = self.0.lock_models().seen.clone();
        let mut valid: Vec<u64> = seen.iter().filter_map(|source| right(source)).collect();
        if valid.len() > VALID_MAX {
            valid.clear();
        }
        Outcome { digest: made.digest, count: made.count, valid }
    }
}

impl Drop for Seen<'_> {
    /// With the last step in flight, all but the model in use are forgotten.
    fn drop(&mut self) {
        let mut models = self.0.lock_models();
        models.in_flight -= 1;
        if models.in_flight == 0 {
            let active = self.0.handle.0.active_source();
            models.seen.retain(|source| source.id() == active);
        }
    }
}

impl Engine for Reference {
    fn state(&self) -> EngineState {
        match self.handle.0.state() {
            0 => EngineState::Created,
            1 => EngineState::Loading,
            2 => EngineState::Ready,
            3 => EngineState::Released,
            _ => EngineState::Failed,
        }
    }

    fn step(&self, request: &Request<'_>) -> Result<Outcome, EngineError> {
        let plain = |result: Result<(), cxx::Exception>| {
            result.map(|()| Outcome::default()).map_err(refusal)
        };
        match request.operation {
            Operation::Load => self.load(request),
            Operation::Generate => self.generate(request),
            Operation::Swap => self.swap(request),
            Operation::Export => self.export(request),
            Operation::Unload => plain(self.handle.0.unload()),
            Operation::Cancel => plain(self.handle.0.cancel()),
            Operation::Cleanup => plain(self.handle.0.cleanup()),
            Operation::Shutdown => plain(self.handle.0.shutdown()),
            operation => Err(EngineError::Unsupported(format!("{operation:?}").to_lowercase())),
        }
    }
}

/// The engine's exceptions, told apart by how their text begins (cpp/errors.h).
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn refusal(exception: cxx::Exception) -> EngineError {
    match exception.what() {
        "cancelled" => EngineError::Cancelled,
        what => match what.strip_prefix("illegal now: ") {
            Some(reason) => EngineError::Illegal(reason.into()),
            None => EngineError::Failed(what.into()),
        },
    }
}

fn only_named(request: &Request<'_>, known: &[&str]) -> Result<(), EngineError> {
    match request.named.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(EngineError::Failed(format!("argument `{key}`"))),
        None => Ok(()),
    }
}

fn number(what: &str, text: &str, greatest: u64) -> Result<u64, EngineError> {
    match text.parse() {
        Ok(number) if number <= greatest => Ok(number),
        _ => Err(EngineError::Failed(format!("`{text}` as {what}; at most {greatest}"))),
    }
}
