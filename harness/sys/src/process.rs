//! Processes: who they are, how they end, and what ours promise.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::process_cpu_ns;
use crate::error::{Named, SysError};
use crate::procfs;

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessIdentity {
    /// The pid.
    pub pid: i32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of a process; `None` when it is gone.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = procfs::stat(pid).ok()?;
        Some(Self { pid, start_time: stat.start_time })
    }

    /// This process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether this very process still exists (a zombie does).
    #[must_use]
    pub fn exists(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Whether a process with this pid runs (zombies do not).
#[must_use]
pub fn process_alive(pid: i32) -> bool {
    procfs::stat(pid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Whether a living thread is one of this process, and no process of its own.
#[must_use]
pub fn is_thread_of(tid: i32, process: i32) -> bool {
    // SAFETY: tgkill takes numbers only; signal 0 asks and sends nothing.
    let answer = unsafe { libc::syscall(libc::SYS_tgkill, process, tid, 0) };
    // Who may not be sent to is there.
    answer == 0 || Errno::last() == Errno::EPERM
}

/// A fork of a process with one thread leaves no lock held in the child.
///
/// # Errors
/// EDEADLK: it has more.
pub(crate) fn ensure_one_thread() -> Result<(), SysError> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    match procfs::threads(own)?.len() {
        1 => Ok(()),
        _ => Err(SysError::new("fork", Errno::EDEADLK)),
    }
}

/// Orphans below this process become its children.
///
/// # Errors
/// The kernel is older than 3.4.
pub fn become_subreaper() -> Result<(), SysError> {
    nix::sys::prctl::set_child_subreaper(true).named("prctl(SET_CHILD_SUBREAPER)")
}

/// This process gets SIGKILL when its parent ends. `parent` is checked after, so that a parent
/// that had ended before is seen too.
///
/// # Errors
/// ESRCH: the parent has ended already.
pub fn die_with_parent(parent: i32) -> Result<(), SysError> {
    nix::sys::prctl::set_pdeathsig(Some(Signal::SIGKILL)).named("prctl(SET_PDEATHSIG)")?;
    if nix::unistd::getppid().as_raw() == parent {
        Ok(())
    } else {
        Err(SysError::new("getppid", nix::errno::Errno::ESRCH))
    }
}

/// Processes below write no core files; a limit of 1 also stops cores that go into a pipe.
///
/// # Errors
/// The limit cannot be set.
pub fn forbid_core_dumps() -> Result<(), SysError> {
    setrlimit(Resource::RLIMIT_CORE, 1, 1).named("setrlimit")
}

/// This process may have at most so much memory, mapped files included, in bytes.
///
/// # Errors
/// The limit cannot be set.
pub fn limit_memory(bytes: u64) -> Result<(), SysError> {
    setrlimit(Resource::RLIMIT_AS, bytes, bytes).named("setrlimit")
}

/// Limits what this process may still compute, in seconds beyond what it has: SIGXCPU ends it then.
/// A later call gives it as much again.
///
/// # Errors
/// The hard limit of the machine is lower (EINVAL).
pub fn limit_work(seconds: u64) -> Result<(), SysError> {
    let (_, most) = getrlimit(Resource::RLIMIT_CPU).named("getrlimit")?;
    let used = process_cpu_ns() / 1_000_000_000;
    setrlimit(Resource::RLIMIT_CPU, used.saturating_add(1 + seconds).min(most), most)
        .named("setrlimit")
}

/// Sends SIGKILL to a process that this process has not reaped yet.
///
/// # Errors
/// It is gone (ESRCH), or not ours (EPERM).
pub fn end_process(pid: i32) -> Result<(), SysError> {
    kill(Pid::from_raw(pid), Signal::SIGKILL).named("kill")
}

/// Sends a signal to a process.
///
/// # Errors
/// It is gone (ESRCH), not ours (EPERM), or there is no such signal (EINVAL).
pub fn send_signal(pid: i32, signal: i32) -> Result<(), SysError> {
    let signal = Signal::try_from(signal).named("kill")?;
    kill(Pid::from_raw(pid), signal).named("kill")
}

/// Whether a process and this one have a terminal and belong to the same group of its jobs.
#[must_use]
pub fn shares_terminal_group(pid: i32) -> bool {
    let own = nix::unistd::getpgrp().as_raw();
    let stat = procfs::stat(pid);
    stat.is_ok_and(|stat| stat.group == own && stat.terminal != 0)
}

/// Stops this process, as Ctrl-Z stops its neighbours; returns when somebody continues it.
///
/// # Errors
/// None that the kernel documents.
pub fn stop_this_process() -> Result<(), SysError> {
    nix::sys::signal::raise(Signal::SIGSTOP).named("raise(SIGSTOP)")
}

/// Asks a child of this process to end, by SIGTERM.
///
/// # Errors
/// It is gone (ESRCH), or not ours (EPERM).
pub fn terminate_process(pid: i32) -> Result<(), SysError> {
    kill(Pid::from_raw(pid), Signal::SIGTERM).named("kill")
}

/// The path of the running program.
///
/// # Errors
/// `/proc` is not there.
pub fn own_executable() -> Result<PathBuf, SysError> {
    std::fs::read_link("/proc/self/exe").named("readlink(/proc/self/exe)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_belongs_to_its_process_alone() {
        let own = i32::try_from(std::process::id()).unwrap();
        // Tests run in threads of their own.
        assert!(is_thread_of(nix::unistd::gettid().as_raw(), own));
        assert!(!is_thread_of(1, own) && !is_thread_of(own, 1));
    }
}
