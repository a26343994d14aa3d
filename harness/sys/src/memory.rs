//! Reading another process's memory.

use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::error::{Named, SysError};

/// Reads up to `buffer.len()` bytes at `address` of the process that holds thread `tid`; returns
/// how many bytes could be read (fewer where a mapping ends).
///
/// # Errors
/// Nothing can be read there, the thread is gone, or it may not be read (EPERM).
pub fn read_memory(tid: i32, address: u64, buffer: &mut [u8]) -> Result<usize, SysError> {
    let length = buffer.len();
    let base = usize::try_from(address).unwrap_or(usize::MAX);
    let remote = [RemoteIoVec { base, len: length }];
    process_vm_readv(Pid::from_raw(tid), &mut [IoSliceMut::new(buffer)], &remote)
        .named("process_vm_readv")
}
