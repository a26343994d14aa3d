//! A process of ours that goes on by itself after this one: in a session of its own, with the
//! descriptors that its work needs and no others.
//!
//! Deliberately absent: what the work is, and an end of it; that is its caller's to bound.

use std::panic::AssertUnwindSafe;

use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, fork};

use crate::error::{Named, SysError};
use crate::process::ensure_one_thread;

/// Forks a process that does `work` and ends. It holds no folder, no terminal and, beside `kept`, no
/// descriptor of ours, so that nobody waits for it in our place. The answer is its pid.
///
/// # Errors
/// This process has more than one thread (EDEADLK: the others' locks would stay held in the
/// child), or no process can be made.
pub fn fork_apart(kept: &[i32], work: impl FnOnce()) -> Result<i32, SysError> {
    ensure_one_thread()?;
    // SAFETY: this process has one thread, so that no lock is held in the child for ever.
    match unsafe { fork() }.named("fork")? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => {
            // The frames above are the parent's: nothing may return or unwind into them.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
                stand_apart(kept);
                work();
            }));
            // SAFETY: ends this process without running anybody's exit handlers.
            unsafe { libc::_exit(0) }
        }
    }
}

/// What fails here costs no more than that something is held longer than it need be.
fn stand_apart(kept: &[i32]) {
    let _ = nix::unistd::setsid();
    let _ = nix::unistd::chdir("/");
    let _ = SigSet::empty().thread_set_mask();
    let mut numbers: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    numbers.sort_unstable();
    let mut first = 0;
    for number in numbers {
        if let Some(last) = number.checked_sub(1).filter(|last| first <= *last) {
            close_range(first, last);
        }
        first = number + 1;
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: no memory is passed; who owns these descriptors in this process never uses them: it
    // does its work with the kept ones and ends without dropping anything.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests have threads: only the refusal can be seen here. The rest is seen by the command's
    /// tests.
    #[test]
    fn a_process_with_threads_does_not_fork() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let refused = fork_apart(&[], || ());
        assert_eq!(refused, Err(SysError::new("fork", nix::errno::Errno::EDEADLK)));
        go.send(()).unwrap();
        other.join().unwrap().unwrap();
    }
}
