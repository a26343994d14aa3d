//! The forkserver: a host that has loaded the engines' libraries, and forks a child per run.
//!
//! It speaks in datagrams: `ready` or `refused: REASON` at first; then for each `run` (with the
//! recorder, standard output and standard error as descriptors) `forked PID`, `failed: REASON`, or
//! `refused: REASON` when it may not fork any more. `end`, or the other side's end, ends it.
//!
//! Deliberately absent: waiting for children. Who traces them reaps them; SA_NOCLDWAIT sees to it
//! that no other leaves a zombie.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use crate::check;
use crate::engine::EngineKind;
use crate::error::HostError;
use crate::os;
use crate::proof;
use crate::socket::{self, Message};

/// How [`serve`] ended.
pub(crate) enum Service {
    /// This is a forked child; it is to run the plan in this recorder.
    Child(OwnedFd),
    /// Nobody wants more children.
    Over,
}

/// Serves until the other side ends it.
///
/// # Errors
/// The engines cannot be prepared, or this process may not be forked with them (the other side
/// has been told); or the socket broke.
pub(crate) fn serve(
    socket: OwnedFd,
    prepare: &str,
    kinds: &[Arc<dyn EngineKind>],
) -> Result<Service, HostError> {
    let broken = |source| HostError::System { call: "the forkserver's socket", source };
    if let Err(error) = make_ready(prepare, kinds) {
        // The status tells it too, should the other side have gone.
        let _ = socket::send(&socket, &format!("refused: {error}"));
        return Err(error);
    }
    if !socket::send(&socket, "ready").map_err(broken)? {
        return Ok(Service::Over);
    }
    while let Some(message) = socket::receive(&socket).map_err(broken)? {
        if message.request() == b"end" {
            break;
        }
        match answer(message) {
            Answer::Child(recorder) => return Ok(Service::Child(recorder)),
            Answer::Text(text) => {
                if !socket::send(&socket, &text).map_err(broken)? {
                    break;
                }
            }
        }
    }
    Ok(Service::Over)
}

fn make_ready(prepare: &str, kinds: &[Arc<dyn EngineKind>]) -> Result<(), HostError> {
    for name in prepare.split(',').filter(|name| !name.is_empty()) {
        let kind = kinds
            .iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| check::unknown(name, kinds))?;
        kind.prepare()
            .map_err(|error| HostError::Usage(format!("`{name}` cannot be prepared: {error}")))?;
    }
    proof::may_fork().map_err(|reason| HostError::Usage(format!("may not fork: {reason}")))?;
    // Each child's end would interrupt us; and a child that nobody traces must leave no zombie.
    os::block_only_sigchld(true);
    os::default_action(libc::SIGCHLD, libc::SA_NOCLDWAIT);
    Ok(())
}

enum Answer {
    Child(OwnedFd),
    Text(String),
}

/// Forks a child for a request. Between the request and the fork stands only what must.
fn answer(message: Message) -> Answer {
    if message.request() != b"run" || message.was_cut {
        return Answer::Text("failed: unknown request".to_owned());
    }
    let Ok([recorder, output, errors]) = <[OwnedFd; 3]>::try_from(message.descriptors) else {
        return Answer::Text("failed: a run needs three descriptors".to_owned());
    };
    if let Err(reason) = proof::has_one_thread() {
        return Answer::Text(format!("refused: may not fork: {reason}"));
    }
    // SAFETY: this process has one thread (just proved), so the child is whole.
    match unsafe { libc::fork() } {
        -1 => Answer::Text(format!("failed: {}", io::Error::last_os_error())),
        0 => {
            become_child(&output, &errors);
            Answer::Child(recorder)
        }
        pid => Answer::Text(format!("forked {pid}")),
    }
}

/// Undoes in the child what is only for the forkserver, and gives it its own output.
fn become_child(output: &OwnedFd, errors: &OwnedFd) {
    os::default_action(libc::SIGCHLD, 0);
    os::block_only_sigchld(false);
    // SAFETY: both are open descriptors, and 1 and 2 are nobody's property. They are above 2,
    // because Rust's runtime keeps 0, 1 and 2 open, so dup2 clears close-on-exec. setsid cannot
    // fail in a fresh child; without it a signal to the child's group would hit the forkserver.
    unsafe {
        libc::setsid();
        libc::dup2(output.as_raw_fd(), libc::STDOUT_FILENO);
        libc::dup2(errors.as_raw_fd(), libc::STDERR_FILENO);
    }
}
