//! Starting a program with nothing of ours in it: vfork and exec (by `posix_spawn`), all signal
//! dispositions default, an empty mask, its own session, only the descriptors that are named.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::error::SysError;

/// What to start.
#[derive(Debug)]
pub struct Command<'a> {
    /// The program's path.
    pub program: CString,
    /// Its arguments, the program's name first.
    pub arguments: Vec<CString>,
    /// Its environment, `K=V`.
    pub environment: Vec<CString>,
    /// Its descriptors: the n-th becomes number n.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// Whether it starts a session of its own (else only a process group of its own).
    pub own_session: bool,
}

/// Starts a program; returns its pid once exec has succeeded.
///
/// # Errors
/// Why exec failed (ENOENT, EACCES, …) or no process could be made.
pub fn spawn(command: &Command<'_>) -> Result<i32, SysError> {
    let actions = FileActions::new(&command.descriptors)?;
    let attributes = Attributes::new(command.own_session)?;
    let arguments = pointers(&command.arguments);
    let environment = pointers(&command.environment);
    let mut pid = 0;
    // SAFETY: all pointers are to live, NUL-terminated data; both arrays end with a null pointer.
    let errno = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            command.program.as_ptr(),
            &raw const actions.inner,
            &raw const attributes.inner,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    check("posix_spawn", errno)?;
    Ok(pid)
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

fn check(call: &'static str, errno: i32) -> Result<(), SysError> {
    if errno == 0 { Ok(()) } else { Err(SysError::new(call, Errno::from_raw(errno))) }
}

struct FileActions {
    inner: libc::posix_spawn_file_actions_t,
    // dup2 of a descriptor onto its own number would keep close-on-exec; sources therefore stand
    // on high numbers while the child is made.
    _high: Vec<std::os::fd::OwnedFd>,
}

impl FileActions {
    fn new(descriptors: &[BorrowedFd<'_>]) -> Result<Self, SysError> {
        let mut inner = std::mem::MaybeUninit::uninit();
        // SAFETY: the call initialises the structure.
        check("posix_spawn_file_actions_init", unsafe {
            libc::posix_spawn_file_actions_init(inner.as_mut_ptr())
        })?;
        // SAFETY: initialised above.
        let mut actions = Self { inner: unsafe { inner.assume_init() }, _high: Vec::new() };
        for (number, descriptor) in descriptors.iter().enumerate() {
            let high = duplicate_high(*descriptor)?;
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            // SAFETY: the structure is initialised; numbers are plain.
            check("posix_spawn_file_actions_adddup2", unsafe {
                libc::posix_spawn_file_actions_adddup2(
                    &raw mut actions.inner,
                    high.as_raw_fd(),
                    number,
                )
            })?;
            actions._high.push(high);
        }
        Ok(actions)
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.inner) };
    }
}

fn duplicate_high(descriptor: BorrowedFd<'_>) -> Result<std::os::fd::OwnedFd, SysError> {
    use std::os::fd::FromRawFd;
    // SAFETY: F_DUPFD_CLOEXEC takes a number and gives a new descriptor that we own.
    let number = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 64) };
    if number < 0 {
        return Err(SysError::last("fcntl(F_DUPFD_CLOEXEC)"));
    }
    // SAFETY: just made, owned by nobody else.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}

struct Attributes {
    inner: libc::posix_spawnattr_t,
}

impl Attributes {
    fn new(own_session: bool) -> Result<Self, SysError> {
        let mut inner = std::mem::MaybeUninit::uninit();
        // SAFETY: the call initialises the structure.
        check("posix_spawnattr_init", unsafe { libc::posix_spawnattr_init(inner.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        let mut attributes = Self { inner: unsafe { inner.assume_init() } };
        let group = if own_session {
            i32::from(libc::POSIX_SPAWN_SETSID)
        } else {
            libc::POSIX_SPAWN_SETPGROUP
        };
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | group;
        let all = nix::sys::signal::SigSet::all();
        let none = nix::sys::signal::SigSet::empty();
        // SAFETY: the structure is initialised, the sets are valid for the calls.
        unsafe {
            check(
                "posix_spawnattr_setsigdefault",
                libc::posix_spawnattr_setsigdefault(&raw mut attributes.inner, all.as_ref()),
            )?;
            check(
                "posix_spawnattr_setsigmask",
                libc::posix_spawnattr_setsigmask(&raw mut attributes.inner, none.as_ref()),
            )?;
            let flags = libc::c_short::try_from(flags).unwrap_or(0);
            check(
                "posix_spawnattr_setflags",
                libc::posix_spawnattr_setflags(&raw mut attributes.inner, flags),
            )?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.inner) };
    }
}
