//! The main of `hotfire __supervise`: jobs come from the front over a stream, and each one's
//! observation goes back.
//!
//! Deliberately absent: how a run is watched (`supervisor`, `perform`).

use std::collections::VecDeque;
use std::os::fd::AsFd;

use hotfire_sys::signal::{SIGCHLD, SIGINT, SIGTERM, SignalStream};
use hotfire_sys::{StreamSocket, SysError, become_subreaper, die_with_parent, poll_readable};

use super::protocol::{Job, Reply};
use super::supervisor::{Manners, Supervisor};

struct Worker {
    front: StreamSocket,
    queue: VecDeque<Job>,
    supervisor: Supervisor,
}

/// Jobs come over the stream at descriptor `socket`, from the process `parent`. Returns when the
/// front closes the stream or asks for the end.
///
/// # Errors
/// The set-up failed or the front is gone; nothing that was started is left.
pub fn supervise_main(socket: i32, parent: i32, launcher: &str) -> Result<(), SysError> {
    die_with_parent(parent)?;
    become_subreaper()?;
    let signals = SignalStream::new(&[SIGCHLD, SIGTERM, SIGINT])?;
    let mut worker = Worker {
        front: StreamSocket::inherited(socket)?,
        queue: VecDeque::new(),
        supervisor: Supervisor::new(signals, Manners::Worker, launcher.to_owned()),
    };
    // On the way out the kernel ends all tracees (EXITKILL).
    worker.serve()
}

impl Worker {
    fn serve(&mut self) -> Result<(), SysError> {
        while let Some(job) = self.next_job()? {
            let id = job.id;
            let observation = Box::new(self.supervisor.perform(job));
            if self.supervisor.terminating {
                // Who asked may not read any more. The front tells a job without an answer lost.
                return Ok(());
            }
            let reply = Reply::Done { id, observation };
            let bytes = serde_json::to_vec(&reply)
                .map_err(|error| SysError::from_io("serialise", &error.into()))?;
            self.front.send(&bytes)?;
        }
        Ok(())
    }

    /// The next job; `None` when the front has closed or asked for the end.
    fn next_job(&mut self) -> Result<Option<Job>, SysError> {
        loop {
            if self.supervisor.terminating {
                return Ok(None);
            }
            if let Some(job) = self.queue.pop_front() {
                return Ok(Some(job));
            }
            let polled = [self.front.as_fd(), self.supervisor.signals()];
            let ready = poll_readable(&polled, 1_000_000_000)?;
            let is_ready = |index: usize| ready.get(index).is_some_and(|ready| ready.readable);
            if is_ready(0) {
                let Some(messages) = self.front.receive()? else { return Ok(None) };
                for message in messages {
                    let job = serde_json::from_slice(&message)
                        .map_err(|error| SysError::from_io("parse job", &error.into()))?;
                    self.queue.push_back(job);
                }
            }
            if is_ready(1) {
                self.supervisor.pump(0);
            }
        }
    }
}
