//! The pipes that catch a child's output.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Named, SysError};

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
