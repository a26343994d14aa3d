//! The one error of this crate: which call failed, and how.

/// A system call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct SysError {
    /// The call.
    pub call: &'static str,
    /// The kernel's answer.
    pub errno: nix::errno::Errno,
}

impl SysError {
    /// The failure of `call`, as the kernel told it.
    #[must_use]
    pub fn new(call: &'static str, errno: nix::errno::Errno) -> Self {
        Self { call, errno }
    }

    /// The failure of `call`, from the thread's errno.
    #[must_use]
    pub fn last(call: &'static str) -> Self {
        Self { call, errno: nix::errno::Errno::last() }
    }

    /// The failure of `call`, from an error of the standard library.
    #[must_use]
    pub fn from_io(call: &'static str, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(nix::errno::Errno::EIO as i32);
        Self { call, errno: nix::errno::Errno::from_raw(errno) }
    }

    /// There is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno, nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR)
    }

    /// The kernel, or who guards it, allows no tracing here.
    #[must_use]
    pub fn is_refused_trace(&self) -> bool {
        self.call.starts_with("ptrace") && self.errno == nix::errno::Errno::EPERM
    }

    /// The process or thread is gone (ESRCH): no failure for one who watches processes end.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.errno == nix::errno::Errno::ESRCH
    }
}

/// Names the call in an error of nix.
pub(crate) trait Named<T> {
    /// The same result with `call` in its error.
    fn named(self, call: &'static str) -> Result<T, SysError>;
}

impl<T> Named<T> for nix::Result<T> {
    fn named(self, call: &'static str) -> Result<T, SysError> {
        self.map_err(|errno| SysError::new(call, errno))
    }
}

impl<T> Named<T> for std::io::Result<T> {
    fn named(self, call: &'static str) -> Result<T, SysError> {
        self.map_err(|error| SysError::from_io(call, &error))
    }
}
