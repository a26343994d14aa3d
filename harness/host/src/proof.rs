//! Proves that this process may be forked: nothing in it would be missing or shared wrongly in
//! the child.
//!
//! Deliberately absent: locks held by nobody's thread; with one thread there are none in flight.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Devices without a state that a fork would share.
const HARMLESS: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Says why this process may not be forked.
pub(crate) fn may_fork() -> Result<(), String> {
    has_one_thread()?;
    has_no_device()
}

/// Says how many threads there are, when there is not exactly one.
///
/// One call instead of a directory's reading: the kernel counts a process's tasks as links of
/// `/proc/PID/task` (fs/proc/base.c, `proc_task_getattr`), beside the usual two of a directory.
pub(crate) fn has_one_thread() -> Result<(), String> {
    match fs::metadata("/proc/self/task").map(|task| task.nlink().saturating_sub(2)) {
        Ok(1) => Ok(()),
        Ok(threads) => Err(format!("{threads} threads run")),
        Err(error) => Err(format!("the threads cannot be counted: {error}")),
    }
}

fn has_no_device() -> Result<(), String> {
    let error = |error| format!("the open descriptors cannot be listed: {error}");
    for entry in fs::read_dir("/proc/self/fd").map_err(error)? {
        let link = entry.map_err(error)?.path();
        // The descriptor of this very listing may be gone, which is no device.
        let (Ok(target), Ok(status)) = (fs::read_link(&link), fs::metadata(&link)) else {
            continue;
        };
        let kind = status.file_type();
        let is_device = kind.is_char_device() || kind.is_block_device();
        if is_device && !is_harmless(&target) {
            return Err(format!("`{}` is open", target.display()));
        }
    }
    Ok(())
}

fn is_harmless(device: &Path) -> bool {
    // A terminal's end is `/dev/pts/N`; `/dev/pts/ptmx` makes terminals.
    let is_terminal = || {
        let name = device.strip_prefix("/dev/pts").ok().and_then(Path::to_str);
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    HARMLESS.iter().any(|harmless| device == Path::new(harmless)) || is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_devices_apart() {
        assert!(is_harmless(Path::new("/dev/null")));
        assert!(is_harmless(Path::new("/dev/pts/3")));
        assert!(!is_harmless(Path::new("/dev/nvidia0")));
        assert!(!is_harmless(Path::new("/dev/null0")));
        assert!(!is_harmless(Path::new("/dev/pts/ptmx")));
    }
}
