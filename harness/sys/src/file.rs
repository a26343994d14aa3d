//! Opening files whose paths others chose.
//!
//! Deliberately absent: a limit on their length; whoever reads knows what is too long.

use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::errno::Errno;

use crate::error::{Named, SysError};

/// Opens a regular file for reading, and nothing else: the path may name a FIFO, which would keep
/// its reader waiting for a writer, or a device, which never ends.
///
/// # Errors
/// It cannot be opened, or is no regular file (EINVAL).
pub fn open_regular(path: &str) -> Result<File, SysError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .named("open")?;
    if file.metadata().named("fstat")?.is_file() {
        Ok(file)
    } else {
        Err(SysError::new("open", Errno::EINVAL))
    }
}

/// Which file it is, and in which state: equal as long as nobody wrote to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIdentity {
    /// Major and minor number of the device, as in `/proc/PID/maps`.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change of its contents, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// Which file was opened.
///
/// # Errors
/// The kernel does not tell (EIO of a lost file system).
pub fn file_identity(file: &File) -> Result<FileIdentity, SysError> {
    Ok(identity(&file.metadata().named("fstat")?))
}

/// Which regular file a path leads to now, without opening it.
///
/// # Errors
/// It leads nowhere, or to no regular file (EINVAL).
pub fn path_identity(path: &str) -> Result<FileIdentity, SysError> {
    let data = std::fs::metadata(path).named("stat")?;
    if data.is_file() { Ok(identity(&data)) } else { Err(SysError::new("stat", Errno::EINVAL)) }
}

fn identity(data: &Metadata) -> FileIdentity {
    FileIdentity {
        device: (libc::major(data.dev()), libc::minor(data.dev())),
        inode: data.ino(),
        bytes: data.len(),
        modified_ns: i128::from(data.mtime()) * 1_000_000_000 + i128::from(data.mtime_nsec()),
    }
}

/// The regular file behind a descriptor, opened once more for reading, and where the next byte
/// goes; `None` for anything else, and for a file that may not be read.
#[must_use]
pub fn written_file(descriptor: BorrowedFd<'_>) -> Option<(File, u64)> {
    let file = open_regular(&format!("/proc/self/fd/{}", descriptor.as_raw_fd())).ok()?;
    let flags = nix::fcntl::fcntl(descriptor, nix::fcntl::F_GETFL).ok()?;
    let appends =
        nix::fcntl::OFlag::from_bits_truncate(flags).contains(nix::fcntl::OFlag::O_APPEND);
    let here = nix::unistd::lseek(descriptor, 0, nix::unistd::Whence::SeekCur).ok();
    let start = match here.and_then(|here| u64::try_from(here).ok()).filter(|_| !appends) {
        Some(here) => here,
        None => file.metadata().ok()?.len(),
    };
    Some((file, start))
}

/// The pipe behind a descriptor, to be written to without waiting; `None` for anything else.
///
/// It is opened once more, so that others who share the descriptor find it in their mode, and may
/// fill it at any moment. Where that is not allowed (another user made it, or nobody reads any
/// more) it is duplicated, and in their mode.
#[must_use]
pub fn pipe_of(descriptor: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mode = nix::sys::stat::fstat(descriptor).ok()?.st_mode;
    if mode & libc::S_IFMT != libc::S_IFIFO {
        return None;
    }
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    opened.map(OwnedFd::from).or_else(|_| descriptor.try_clone_to_owned()).ok()
}

/// Whether two descriptors lead to the same file, pipe or device.
#[must_use]
pub fn same_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (nix::sys::stat::fstat(one), nix::sys::stat::fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// How long a write that must not wait may take on a busy machine.
    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_pipe_that_others_have_filled_keeps_nobody_waiting() {
        let (reader, shared) = crate::output_pipe().unwrap();
        let own = pipe_of(shared.as_fd()).unwrap();
        // A poll before would have said that there is room.
        File::from(shared.try_clone().unwrap()).write_all(&[b'x'; 64 * 1024]).unwrap();
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(nix::unistd::write(&own, b"more")));
        assert_eq!(receiver.recv_timeout(LIMIT), Ok(Err(Errno::EAGAIN)));
        let flags = nix::fcntl::fcntl(&shared, nix::fcntl::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0, "the others wait, as they did before");
        // Nobody reads any more, which a write tells.
        drop(reader);
        assert!(pipe_of(shared.as_fd()).is_some());
        assert!(pipe_of(File::open("/dev/null").unwrap().as_fd()).is_none());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let fifo =
            format!("{}/hotfire-fifo-{}", std::env::temp_dir().display(), std::process::id());
        nix::unistd::mkfifo(fifo.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let opened = open_regular(&fifo);
        std::fs::remove_file(&fifo).unwrap();
        for refused in [opened, open_regular("/dev/zero"), open_regular("/")] {
            assert_eq!(refused.map(drop), Err(SysError::new("open", Errno::EINVAL)));
        }
        let own = open_regular("/proc/self/exe").unwrap();
        assert_eq!(path_identity("/proc/self/exe"), file_identity(&own));
        assert_eq!(path_identity("/"), Err(SysError::new("stat", Errno::EINVAL)));
    }
}
