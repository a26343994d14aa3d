//! Signals: their names, our signalfd, and what a siginfo tells.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Named, SysError};
use crate::trace::classic;

pub use libc::{
    SIGABRT, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT,
    SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1,
    SIGUSR2, SIGWINCH, SIGXCPU, SIGXFSZ,
};

/// `SIGSEGV` for 11 and so on; `SIG34` for realtime signals.
#[must_use]
pub fn name(signal: i32) -> String {
    classic(signal).map_or_else(|| format!("SIG{signal}"), |signal| signal.as_str().to_owned())
}

/// Whether the default action of a signal ends the process.
#[must_use]
pub fn is_fatal_by_default(signal: i32) -> bool {
    !matches!(signal, SIGCHLD | SIGCONT | SIGURG | SIGWINCH | SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU)
}

/// Whether a signal asks a program to end, which it may do in its own way.
#[must_use]
pub fn asks_to_end(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM | SIGHUP | SIGQUIT)
}

/// Whether the kernel raises the signal for what a thread does itself.
#[must_use]
pub fn is_fault(signal: i32) -> bool {
    matches!(signal, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP | SIGSYS)
}

/// The bit of a signal in `/proc/PID/status` masks.
#[must_use]
pub fn mask_bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).map_or(0, |shift| 1u64.checked_shl(shift).unwrap_or(0))
}

/// What a siginfo tells: (code, fault address, sender).
#[must_use]
pub fn details(info: &libc::siginfo_t) -> (i32, Option<u64>, Option<i32>) {
    let fault = is_fault(info.si_signo) && info.si_code > 0;
    if fault {
        // SAFETY: a fault with a positive code carries the address in this union member.
        let address = unsafe { info.si_addr() } as u64;
        return (info.si_code, Some(address), None);
    }
    // Timers and completed requests have negative codes, too, and other words in the union.
    let was_sent =
        matches!(info.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL | libc::SI_MESGQ);
    // SAFETY: signals with these codes carry pid and uid in this union member.
    let sender = was_sent.then(|| unsafe { info.si_pid() });
    (info.si_code, None, sender)
}

/// The value that came with a queued signal, and who queued it.
#[must_use]
pub fn queued_value(info: &libc::siginfo_t) -> Option<(u64, i32)> {
    // SAFETY: signals with this code carry pid and value in these union members.
    (info.si_code == libc::SI_QUEUE)
        .then(|| unsafe { (info.si_value().sival_ptr as u64, info.si_pid()) })
}

/// Gives a signal its default action in this process.
pub(crate) fn default_action(signal: Signal, flags: SaFlags) -> Result<(), SysError> {
    let action = SigAction::new(SigHandler::SigDfl, flags, SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    unsafe { sigaction(signal, &action) }.map(|_| ()).named("sigaction")
}

/// Ends this process by a signal. Returns where the signal is blocked, or does not end a process.
///
/// # Errors
/// There is no such signal (EINVAL).
pub fn end_by(signal: i32) -> Result<(), SysError> {
    let signal = Signal::try_from(signal).named("raise")?;
    default_action(signal, SaFlags::empty())?;
    nix::sys::signal::raise(signal).named("raise")
}

/// A signal that this process got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Its number.
    pub signal: i32,
    /// The kernel sent it: a terminal does so to all processes of the group in its foreground.
    pub by_kernel: bool,
    /// The process that sent it; 0 where nobody did.
    pub sender: i32,
}

/// A record of signalfd(2) is so long, and so many are read with one call.
const CAUGHT_BYTES: usize = size_of::<libc::signalfd_siginfo>();
const CAUGHT_AT_ONCE: usize = 4;

/// Signals that arrive as bytes to read instead of interrupting.
#[derive(Debug)]
pub struct SignalStream {
    fd: SignalFd,
    before: SigSet,
}

impl Drop for SignalStream {
    /// The signals interrupt again, one that came meanwhile too.
    fn drop(&mut self) {
        // A mask that was in force once can be so again.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

impl SignalStream {
    /// Blocks the signals in this (single-threaded) process and reads them from now on.
    ///
    /// # Errors
    /// No descriptors are left, or a number is no signal.
    pub fn new(signals: &[i32]) -> Result<Self, SysError> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(Signal::try_from(*signal).named("signal")?);
        }
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before)).named("sigprocmask")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { fd: SignalFd::with_flags(&set, flags).named("signalfd")?, before })
    }

    /// The signals that came since the last call.
    ///
    /// # Errors
    /// The descriptor cannot be read.
    pub fn take(&self) -> Result<Vec<Caught>, SysError> {
        let mut signals = Vec::new();
        let mut bytes = [0; CAUGHT_BYTES * CAUGHT_AT_ONCE];
        loop {
            let length = match nix::unistd::read(&self.fd, &mut bytes) {
                Ok(length) => length,
                Err(Errno::EAGAIN | Errno::EINTR) => 0,
                Err(errno) => return Err(SysError::new("read(signalfd)", errno)),
            };
            let (records, _) = bytes.get(..length).unwrap_or_default().as_chunks();
            signals.extend(records.iter().map(caught));
            // There are no more than fit in.
            if length < bytes.len() {
                return Ok(signals);
            }
        }
    }
}

/// A record of signalfd(2): number, errno, code and sender are its first words.
fn caught(record: &[u8; CAUGHT_BYTES]) -> Caught {
    let (words, _) = record.as_chunks::<4>();
    let word = |index: usize| words.get(index).map_or(0, |word| i32::from_ne_bytes(*word));
    Caught { signal: word(0), by_kernel: word(2) > 0, sender: word(3) }
}

impl AsFd for SignalStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_no_sender() {
        // SAFETY: all-zero is a valid siginfo.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        info.si_signo = libc::SIGALRM;
        info.si_code = libc::SI_TIMER;
        assert_eq!(details(&info), (libc::SI_TIMER, None, None));
        info.si_code = libc::SI_USER;
        assert_eq!(details(&info), (libc::SI_USER, None, Some(0)));
    }
}
