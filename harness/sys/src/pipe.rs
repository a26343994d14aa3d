//! The pipes that catch a child's output.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Named, SysError};
use crate::poll::{Polled, poll_ready};

/// The harness's end of an output pipe; reading never blocks.
#[derive(Debug)]
pub struct ReadEnd {
    fd: OwnedFd,
}

/// A pipe: our end, and the one for the child. Both close on exec.
///
/// # Errors
/// No descriptors are left.
pub fn output_pipe() -> Result<(ReadEnd, OwnedFd), SysError> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe2")?;
    nix::fcntl::fcntl(read.as_fd(), nix::fcntl::F_SETFL(OFlag::O_NONBLOCK)).named("fcntl")?;
    Ok((ReadEnd { fd: read }, write))
}

/// Writes at most `PIPE_BUF` bytes if that can be done without waiting; 0 when it cannot. Between
/// poll and write others may fill the pipe: only one in a mode of its own (`pipe_of`) never waits.
///
/// # Errors
/// It cannot be written to; EPIPE: nobody reads any more.
pub fn write_if_ready(to: &OwnedFd, bytes: &[u8]) -> Result<usize, SysError> {
    let written = [to.as_fd()];
    let ready = poll_ready(&Polled { written: &written, ..Polled::default() }, 0)?;
    if !ready.iter().any(|ready| ready.writable || ready.hung_up) {
        return Ok(0);
    }
    match nix::unistd::write(to, bytes) {
        Ok(written) => Ok(written),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        Err(errno) => Err(SysError::new("write", errno)),
    }
}

impl ReadEnd {
    /// Reads what is there: `None` when nothing is there now, 0 bytes at the end of the stream.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, SysError> {
        match nix::unistd::read(&self.fd, buffer) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(SysError::new("read", errno)),
        }
    }
}

impl AsFd for ReadEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
