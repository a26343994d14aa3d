//! The ledger: acquire and release events that an engine may report, to prove cleanup order.
//!
//! Deliberately absent: any judgement; the ledger only adds the *why* to outside facts.

/// A handle through which an engine reports what it acquires and releases. Cheap to clone;
/// every method is wait-free and makes no system call.
#[derive(Clone, Default)]
pub struct Ledger {
    recorder: Option<hotfire_recorder::Writer<'static>>,
}

pub use hotfire_recorder::Resource;

impl Ledger {
    /// A ledger that drops every event.
    #[must_use]
    pub fn off() -> Self {
        Self { recorder: None }
    }

    /// A ledger that writes into the run's recorder.
    #[must_use]
    pub fn new(recorder: hotfire_recorder::Writer<'static>) -> Self {
        Self { recorder: Some(recorder) }
    }

    /// `id` (unique in the process, e.g. an address) was acquired as a part of `parent` (0: none).
    /// `address` and `bytes` tell the memory it owns; 0 and 0 where it owns none.
    pub fn acquire(&self, resource: Resource, id: u64, parent: u64, memory: (u64, u64)) {
        if let Some(recorder) = self.recorder() {
            recorder.ledger_acquire(resource, id, parent, memory);
        }
    }

    /// `id` is about to be released.
    pub fn release(&self, resource: Resource, id: u64) {
        if let Some(recorder) = self.recorder() {
            recorder.ledger_release(resource, id);
        }
    }

    /// The recorder, unless this process is a fork of the host, where it is not mapped.
    fn recorder(&self) -> Option<&hotfire_recorder::Writer<'static>> {
        self.recorder.as_ref().filter(|_| crate::attach::is_here())
    }
}
