//! The defects that the engine has on request: `defect=NAME`, several joined with `+`.
//!
//! A defect changes only an order, a bound, a lock or a lifetime; nothing crashes on purpose. A new
//! one is a row here and a line in `cpp/defects.def`. Deliberately absent: what the code then does,
//! which stands where the healthy engine does it right.

/// A defect, as `hotfire list --defects` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// The word behind `defect=`.
    pub name: &'static str,
    /// The mechanism, in one sentence.
    pub mechanism: &'static str,
    /// What differs from the healthy engine.
    pub changes: Change,
    /// The status word of the runs that show it.
    pub shows_as: &'static str,
    /// The scenario that shows it.
    pub scenario: &'static str,
}

/// What a defect may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Two things happen the other way round.
    Order,
    /// A limit or a check is off, or missing.
    Bound,
    /// A lock, a wait or a wake-up is missing, or too much.
    Lock,
    /// Something ends too early, or never.
    Lifetime,
}

impl Change {
    /// One lowercase word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Bound => "bound",
            Self::Lock => "lock",
            Self::Lifetime => "lifetime",
        }
    }
}

/// All defects, sorted by name.
pub const DEFECTS: &[Defect] = &[
    Defect {
        name: "cleanup-order",
        mechanism: "the destructor unmaps memory before the tensors that point into it",
        changes: Change::Order,
        shows_as: "SIGSEGV",
        scenario: "swap-cleanup-order",
    },
    Defect {
        name: "exit-static-order",
        mechanism: "the exit handler unmaps memory before it stops the workers that use it",
        changes: Change::Order,
        shows_as: "EXIT-CRASH",
        scenario: "shutdown-exit-static-order",
    },
    Defect {
        name: "generate-during-load",
        mechanism: "a generate does not wait until the load has linked the model",
        changes: Change::Lock,
        shows_as: "SIGSEGV",
        scenario: "concurrent-generate-during-load",
    },
    Defect {
        name: "half-built-init",
        mechanism: "a failed load leaves its pieces, and the destructor counts those never built",
        changes: Change::Lifetime,
        shows_as: "SIGSEGV",
        scenario: "fail-init-half-built",
    },
    Defect {
        name: "leak-fd",
        mechanism: "a load or a swap does not close the model's file",
        changes: Change::Lifetime,
        shows_as: "LEAK",
        scenario: "load-leak-fd",
    },
    Defect {
        name: "leak-memory",
        mechanism: "the memory of a model that goes is not unmapped",
        changes: Change::Lifetime,
        shows_as: "LEAK",
        scenario: "load-leak-memory",
    },
    Defect {
        name: "leak-semaphore",
        mechanism: "a load makes a named semaphore whose name nobody unlinks",
        changes: Change::Lifetime,
        shows_as: "LEAK",
        scenario: "load-leak-semaphore",
    },
    Defect {
        name: "leak-thread",
        mechanism: "nobody tells the thread that reads a model's file ahead to end",
        changes: Change::Lifetime,
        shows_as: "LEAK",
        scenario: "load-leak-thread",
    },
    Defect {
        name: "orphan-worker",
        mechanism: "nobody tells the worker process to end: it outlives the engine and its host",
        changes: Change::Lifetime,
        shows_as: "ORPHANS",
        scenario: "shutdown-orphan-worker",
    },
    Defect {
        name: "swap-deadlock",
        mechanism: "a swap takes two locks the other way round than a generate",
        changes: Change::Lock,
        shows_as: "HANG",
        scenario: "swap-deadlock",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::settings;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(DEFECTS.is_sorted_by(|left, right| left.name < right.name));
    }

    /// The C++ engine refuses a name that `cpp/defects.def` does not hold.
    #[test]
    fn the_engine_knows_every_defect() {
        for defect in DEFECTS {
            let args = [("defect".to_owned(), defect.name.to_owned())].into_iter().collect();
            let made = crate::adapter::Reference::new(
                &settings(&args).unwrap(),
                hotfire_host::Ledger::off(),
            );
            assert_eq!(made.err(), None, "{}", defect.name);
        }
    }
}
