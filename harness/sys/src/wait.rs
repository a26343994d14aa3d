//! Wait statuses of children and tracees, decoded.
//!
//! Document folklore: a wait status with a ptrace event keeps the event in bits 16–23, and a
//! group stop under PTRACE_SEIZE is PTRACE_EVENT_STOP with the stopping signal; the first stop of
//! an auto-attached child is PTRACE_EVENT_STOP with SIGTRAP.

use nix::errno::Errno;

use crate::error::SysError;
use crate::trace::Tracee;

/// A change of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitEvent {
    /// The thread (for an end: of a process, its leader).
    pub tid: i32,
    /// What happened.
    pub stop: Stop,
    /// Of a fork or clone: who was made; of an exec: which thread did it.
    pub other: Option<i32>,
}

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It exited.
    Exited(i32),
    /// A signal ended it.
    Signaled(i32),
    /// A signal is about to be delivered.
    Signal(i32),
    /// It made a process (fork, vfork).
    Fork,
    /// It made a thread, or a process by other means (clone).
    Clone,
    /// It has exec'ed.
    Exec,
    /// It is about to end.
    Exiting,
    /// Its first stop, or the answer to an interrupt.
    Attached,
    /// It is stopped by job control.
    GroupStop(i32),
    /// Something else; it should go on.
    Other,
}

/// Takes the next change of any child or tracee, without waiting.
///
/// # Errors
/// There are no children at all (ECHILD).
pub fn wait_any() -> Result<Option<WaitEvent>, SysError> {
    wait(-1)
}

/// Takes the next change of one child, without waiting.
///
/// # Errors
/// It is no child of this process (ECHILD).
pub fn wait_one(pid: i32) -> Result<Option<WaitEvent>, SysError> {
    wait(pid)
}

fn wait(pid: i32) -> Result<Option<WaitEvent>, SysError> {
    let mut status = 0;
    // SAFETY: `status` is a valid int that lives for the call.
    let tid = unsafe {
        libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::WUNTRACED | libc::__WALL)
    };
    match tid {
        -1 if Errno::last() == Errno::EINTR => Ok(None),
        -1 => Err(SysError::last("waitpid")),
        0 => Ok(None),
        tid => {
            let stop = decode(status);
            Ok(Some(WaitEvent { tid, stop, other: other(tid, stop) }))
        }
    }
}

/// Read at once: a thread that is killed at this stop has another message soon, its exit status.
fn other(tid: i32, stop: Stop) -> Option<i32> {
    if !matches!(stop, Stop::Fork | Stop::Clone | Stop::Exec) {
        return None;
    }
    Tracee::new(tid).event_message().ok().and_then(|message| i32::try_from(message).ok())
}

fn decode(status: i32) -> Stop {
    if libc::WIFEXITED(status) {
        return Stop::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Stop::Signaled(libc::WTERMSIG(status));
    }
    if !libc::WIFSTOPPED(status) {
        return Stop::Other;
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        0 => Stop::Signal(signal),
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => Stop::Fork,
        libc::PTRACE_EVENT_CLONE => Stop::Clone,
        libc::PTRACE_EVENT_EXEC => Stop::Exec,
        libc::PTRACE_EVENT_EXIT => Stop::Exiting,
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Stop::Attached,
        libc::PTRACE_EVENT_STOP => Stop::GroupStop(signal),
        _ => Stop::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_ptrace_events_and_group_stops() {
        let stopped = |event: i32, signal: i32| (event << 16) | (signal << 8) | 0x7f;
        assert_eq!(decode(0x0300), Stop::Exited(3));
        assert_eq!(decode(libc::SIGSEGV), Stop::Signaled(libc::SIGSEGV));
        assert_eq!(decode(stopped(0, libc::SIGSEGV)), Stop::Signal(libc::SIGSEGV));
        assert_eq!(decode(stopped(libc::PTRACE_EVENT_EXEC, libc::SIGTRAP)), Stop::Exec);
        assert_eq!(decode(stopped(libc::PTRACE_EVENT_STOP, libc::SIGTRAP)), Stop::Attached);
        let group = stopped(libc::PTRACE_EVENT_STOP, libc::SIGSTOP);
        assert_eq!(decode(group), Stop::GroupStop(libc::SIGSTOP));
    }
}
