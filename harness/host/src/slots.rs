//! Named places for engines. A lock is held only to look at a slot or to change it, never while
//! an engine runs a step or a destructor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotfire_plan::{Args, Program};

use crate::engine::Engine;

/// The arguments of the load that brought the model, so that a swap can bring it again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Model {
    pub(crate) positional: Vec<String>,
    pub(crate) named: Args,
}

/// What stands in a slot.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) model: Option<Model>,
}

/// All slots that a program names.
pub(crate) struct Slots {
    places: BTreeMap<String, Mutex<Option<Slot>>>,
}

impl Slots {
    /// The slots of a program, all empty.
    pub(crate) fn of(program: &Program) -> Self {
        let names = program.steps.iter().filter_map(|step| step.slot.clone());
        Self { places: names.map(|name| (name, Mutex::new(None))).collect() }
    }

    /// What stands in the slot now.
    pub(crate) fn get(&self, name: &str) -> Option<Slot> {
        self.lock(name)?.clone()
    }

    /// Fills an empty slot; gives the engine back when the slot is not empty.
    pub(crate) fn fill(&self, name: &str, slot: Slot) -> Result<(), Slot> {
        match self.lock(name) {
            Some(mut place) if place.is_none() => {
                *place = Some(slot);
                Ok(())
            }
            _ => Err(slot),
        }
    }

    /// Puts another engine in the slot, and returns what stood there.
    pub(crate) fn replace(&self, name: &str, slot: Slot) -> Option<Slot> {
        self.lock(name)?.replace(slot)
    }

    /// Takes the engine out of the slot.
    pub(crate) fn take(&self, name: &str) -> Option<Slot> {
        self.lock(name)?.take()
    }

    /// Notes which model the engine has, if it still stands in the slot.
    pub(crate) fn note_model(&self, name: &str, engine: &Arc<dyn Engine>, model: Option<Model>) {
        if let Some(mut place) = self.lock(name)
            && let Some(slot) = place.as_mut().filter(|slot| Arc::ptr_eq(&slot.engine, engine))
        {
            slot.model = model;
        }
    }

    /// Every engine that stands in a slot.
    pub(crate) fn engines(&self) -> Vec<Arc<dyn Engine>> {
        self.places.keys().filter_map(|name| Some(self.get(name)?.engine)).collect()
    }

    /// An engine's code never runs under the lock, so that what it guards is whole even when
    /// a thread has panicked.
    fn lock(&self, name: &str) -> Option<MutexGuard<'_, Option<Slot>>> {
        Some(self.places.get(name)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
