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
    /// Two things happen the other way round, or in the wrong thread.
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
        name: "accepts-illegal",
        mechanism: "a generate does not check for a model, and computes with weights nobody has written",
        changes: Change::Bound,
        shows_as: "FAIL",
        scenario: "load-accepts-illegal",
    },
    Defect {
        name: "cleanup-order",
        mechanism: "the destructor unmaps memory before the tensors that point into it",
        changes: Change::Order,
        shows_as: "SIGSEGV",
        scenario: "swap-cleanup-order",
    },
    Defect {
        name: "device-teardown",
        mechanism: "the aux device unmaps its memory before the sessions in it are closed",
        changes: Change::Order,
        shows_as: "SIGSEGV",
        scenario: "shutdown-device-teardown",
    },
    Defect {
        name: "double-cleanup",
        mechanism: "cleanup does not remember what it released, and releases it a second time",
        changes: Change::Lifetime,
        shows_as: "SIGSEGV",
        scenario: "shutdown-double-cleanup",
    },
    Defect {
        name: "exit-static-order",
        mechanism: "the exit handler unmaps memory before it stops the workers that use it",
        changes: Change::Order,
        shows_as: "EXIT-CRASH",
        scenario: "shutdown-exit-static-order",
    },
    Defect {
        name: "fork-after-compute",
        mechanism: "a forked child hands its work to a pool whose threads only its parent has",
        changes: Change::Lifetime,
        shows_as: "HANG",
        scenario: "load-fork-after-compute",
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
        name: "heap-overflow",
        mechanism: "a block of tokens is never taken for full, so that a long text overruns it",
        changes: Change::Bound,
        shows_as: "SIGABRT",
        scenario: "load-heap-overflow",
    },
    Defect {
        name: "joinable-thread",
        mechanism: "the workers' threads are destroyed without having been joined",
        changes: Change::Lifetime,
        shows_as: "SIGABRT",
        scenario: "shutdown-joinable-thread",
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
        name: "loop-freeze",
        mechanism: "the future of an export in a thread is dropped at once, and waits for the thread",
        changes: Change::Lifetime,
        shows_as: "FROZEN",
        scenario: "load-freeze",
    },
    Defect {
        name: "lost-wakeup",
        mechanism: "a job's end is looked at, the lock given back, and only then waited for",
        changes: Change::Lock,
        shows_as: "HANG",
        scenario: "load-lost-wakeup",
    },
    Defect {
        name: "orphan-worker",
        mechanism: "nobody tells the worker process to end: it outlives the engine and its host",
        changes: Change::Lifetime,
        shows_as: "ORPHANS",
        scenario: "shutdown-orphan-worker",
    },
    Defect {
        name: "pure-virtual",
        mechanism: "a base class stops the thread that calls its derived class, which is gone by then",
        changes: Change::Order,
        shows_as: "SIGABRT",
        scenario: "shutdown-pure-virtual",
    },
    Defect {
        name: "stack-overflow",
        mechanism: "the recursion over a prompt has no end for an empty one",
        changes: Change::Bound,
        shows_as: "SIGSEGV",
        scenario: "load-stack-overflow",
    },
    Defect {
        name: "swap-deadlock",
        mechanism: "a swap takes two locks the other way round than a generate",
        changes: Change::Lock,
        shows_as: "HANG",
        scenario: "swap-deadlock",
    },
    Defect {
        name: "torn-swap",
        mechanism: "a generate takes, for each token, the model of the moment",
        changes: Change::Lock,
        shows_as: "FAIL",
        scenario: "swap-torn",
    },
    Defect {
        name: "truncated-model",
        mechanism: "weights are read from the mapped file when they are first used, not when loaded",
        changes: Change::Lifetime,
        shows_as: "SIGBUS",
        scenario: "load-truncated-model",
    },
    Defect {
        name: "uncaught-exception",
        mechanism: "a cancelled generate throws in the device's thread, where nobody catches",
        changes: Change::Order,
        shows_as: "SIGABRT",
        scenario: "concurrent-generate-uncaught",
    },
    Defect {
        name: "unload-during-generate",
        mechanism: "a generate borrows the model, and an unload does not wait for its end",
        changes: Change::Lifetime,
        shows_as: "SIGSEGV",
        scenario: "concurrent-generate-unloaded",
    },
    Defect {
        name: "worker-outlives-engine",
        mechanism: "a worker is not waited for, and counts on in memory that has gone",
        changes: Change::Lifetime,
        shows_as: "SIGSEGV",
        scenario: "shutdown-worker-outlives-engine",
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
