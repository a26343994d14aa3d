//! Waiting for several descriptors with a deadline, and for a moment.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::{get_timerslack, set_timerslack};
use nix::sys::time::TimeSpec;

use crate::error::SysError;

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Bytes (or an end) can be read.
    pub readable: bool,
    /// Bytes can be written.
    pub writable: bool,
    /// The other side is closed.
    pub hung_up: bool,
}

/// Waits until one of the descriptors can be read, at most `timeout_ns`; one answer per
/// descriptor, in order. An interrupting signal counts as the end of the wait.
///
/// # Errors
/// The kernel refused (a descriptor is no descriptor).
pub fn poll_readable(
    descriptors: &[BorrowedFd<'_>],
    timeout_ns: u64,
) -> Result<Vec<Readiness>, SysError> {
    poll_ready(&Polled { read: descriptors, ..Polled::default() }, timeout_ns)
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Polled<'a> {
    /// These can be read.
    pub read: &'a [BorrowedFd<'a>],
    /// These can be written to.
    pub written: &'a [BorrowedFd<'a>],
    /// The other side of these is closed.
    pub watched: &'a [BorrowedFd<'a>],
}

/// Waits until one of the descriptors is ready, at most `timeout_ns`; one answer per descriptor, in
/// the order of [`Polled`]. An interrupting signal counts as the end of the wait.
///
/// # Errors
/// The kernel refused (a descriptor is no descriptor).
pub fn poll_ready(all: &Polled<'_>, timeout_ns: u64) -> Result<Vec<Readiness>, SysError> {
    let read = all.read.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
    let written = all.written.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT));
    let watched = all.watched.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty()));
    let mut polled: Vec<PollFd<'_>> = read.chain(written).chain(watched).collect();
    let timeout = TimeSpec::from_duration(std::time::Duration::from_nanos(timeout_ns));
    match ppoll(&mut polled, Some(timeout), None) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(vec![Readiness::default(); polled.len()]),
        Err(errno) => return Err(SysError::new("ppoll", errno)),
    }
    Ok(polled.iter().map(readiness).collect())
}

/// Waits for so long, to the microsecond: with the timer slack of this thread, 50 µs by default, a
/// short wait takes several times as long as asked for.
pub fn pause_briefly(ns: u64) {
    let slack_ns = get_timerslack().unwrap_or(0);
    let precise = slack_ns > 0 && set_timerslack(1).is_ok();
    let _ = poll_readable(&[], ns);
    if precise && let Ok(slack_ns) = u64::try_from(slack_ns) {
        // What this process starts inherits it.
        let _ = set_timerslack(slack_ns);
    }
}

fn readiness(polled: &PollFd<'_>) -> Readiness {
    let flags = polled.revents().unwrap_or(PollFlags::empty());
    let hung_up = flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
    Readiness {
        readable: flags.contains(PollFlags::POLLIN) || hung_up,
        writable: flags.contains(PollFlags::POLLOUT),
        hung_up,
    }
}
