//! The clocks of the harness: CLOCK_MONOTONIC, the same that the recorder's writer uses, and the
//! time that a thread worked.

/// CLOCK_MONOTONIC in nanoseconds; 0 if the clock cannot be read, which Linux rules out.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

/// Processor time of the calling thread in nanoseconds: what it worked, not what it waited for a
/// processor. 0 if the clock cannot be read, which Linux rules out.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time of all threads of this process in nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    read_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// A moment by which something must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at_ns: u64,
}

impl Deadline {
    /// So many nanoseconds from now.
    #[must_use]
    pub fn after(limit_ns: u64) -> Self {
        Self { at_ns: monotonic_ns().saturating_add(limit_ns) }
    }

    /// The earlier one of both.
    #[must_use]
    pub fn or_after(self, limit_ns: u64) -> Self {
        Self { at_ns: self.at_ns.min(Self::after(limit_ns).at_ns) }
    }

    /// Whether the time is over.
    #[must_use]
    pub fn has_passed(self) -> bool {
        monotonic_ns() > self.at_ns
    }
}

/// None: there is all the time in the world.
impl Default for Deadline {
    fn default() -> Self {
        Self { at_ns: u64::MAX }
    }
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that lives for the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_no_work() {
        const WAIT_NS: u64 = 50_000_000;
        let (wall, work) = (monotonic_ns(), thread_cpu_ns());
        crate::poll_readable(&[], WAIT_NS).unwrap();
        assert!(monotonic_ns() - wall >= WAIT_NS);
        assert!((1..WAIT_NS / 2).contains(&(thread_cpu_ns() - work)));
    }
}
