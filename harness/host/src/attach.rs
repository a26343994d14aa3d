//! Maps the recorder that the supervisor handed over.
//!
//! The mapping stays for the life of the process and is not inherited by its children; a child
//! made by `fork` (an engine's worker process, say) must not write to it, and does not.

use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotfire_recorder::{TOTAL_BYTES, TOTAL_WORDS, Writer};

use crate::error::HostError;
use crate::os;

/// Whether this process is a fork of the one that attached: the mapping is not there.
static IS_GONE: AtomicBool = AtomicBool::new(false);
static AT_FORK: Once = Once::new();

extern "C" fn forget_recorder() {
    IS_GONE.store(true, Ordering::Relaxed);
}

/// Whether the recorder may be written to in this process.
pub(crate) fn is_here() -> bool {
    !IS_GONE.load(Ordering::Relaxed)
}

/// Maps the recorder behind `fd`, and closes `fd`.
///
/// # Errors
/// It is no recorder of this version, or cannot be mapped.
pub(crate) fn attach(fd: OwnedFd) -> Result<Writer<'static>, HostError> {
    let words = map(&fd)?;
    drop(fd);
    AT_FORK.call_once(|| {
        // SAFETY: the handler only stores to an atomic, which a forked child may do. Its failure
        // (no memory) leaves children of the engine as they were: they would fault on a record.
        unsafe { libc::pthread_atfork(None, None, Some(forget_recorder)) };
    });
    IS_GONE.store(false, Ordering::Relaxed);
    Writer::new(words, os::monotonic_ns).ok_or(HostError::Recorder("the recorder has no header"))
}

fn map(fd: &OwnedFd) -> Result<&'static [AtomicU64], HostError> {
    // SAFETY: all-zero is a valid `stat`, and it is valid for writing.
    let bytes = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(fd.as_raw_fd(), &raw mut status) == -1 {
            return Err(HostError::last("fstat"));
        }
        status.st_size
    };
    // Touching pages behind the end would be a SIGBUS in the program under test.
    if usize::try_from(bytes).is_ok_and(|bytes| bytes < TOTAL_BYTES) {
        return Err(HostError::Recorder("the recorder is too short"));
    }
    // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            TOTAL_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd.as_raw_fd(),
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(HostError::last("mmap"));
    }
    // SAFETY: the range is the mapping just made.
    if unsafe { libc::madvise(start, TOTAL_BYTES, libc::MADV_DONTFORK) } == -1 {
        return Err(HostError::last("madvise"));
    }
    // SAFETY: the mapping is page-aligned, TOTAL_WORDS * 8 bytes long, never unmapped, and the
    // file is sealed against shrinking; atomics allow that other processes read and write it.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), TOTAL_WORDS) })
}
