//! Descriptors that this process got from its parent.

use crate::error::SysError;

/// Every descriptor from 3 on closes on exec: what a shell or a CI runner left open must not reach
/// the programs that we start.
///
/// # Errors
/// The kernel is older than 5.11.
pub fn close_rest_on_exec() -> Result<(), SysError> {
    // SAFETY: no memory is passed; descriptors stay open in this process.
    let answer =
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if answer == -1 { Err(SysError::last("close_range")) } else { Ok(()) }
}
