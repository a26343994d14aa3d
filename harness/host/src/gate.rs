//! Starts the lanes of a block at the same moment.
//!
//! `std::sync::Barrier` wakes sleepers one after the other, tens of microseconds apart, which is
//! longer than many a race; and it cannot be called off. So the lanes wait awake.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A starting line for `wanted` threads.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: AtomicUsize,
    wanted: usize,
    is_off: AtomicBool,
}

impl Gate {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { arrived: AtomicUsize::new(0), wanted, is_off: AtomicBool::new(false) }
    }

    /// Waits until all have arrived; false when the start was called off.
    pub(crate) fn pass(&self) -> bool {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        while self.arrived.load(Ordering::Acquire) < self.wanted {
            if self.is_off.load(Ordering::Relaxed) {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    /// Calls the start off: a thread could not be made.
    pub(crate) fn call_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }
}
