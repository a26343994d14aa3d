//! Trials: what can be done here is done once, on a small scale, and undone.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::clock::monotonic_ns;
use crate::error::{Named, SysError};
use crate::memory::read_memory;
use crate::poll::poll_readable;
use crate::process::{ProcessIdentity, end_process};
use crate::procfs;
use crate::recorder_file::RecorderFile;
use crate::socket::seq_pair;
use crate::spawn::{Command, spawn};
use crate::trace::Tracee;
use crate::wait::{Stop, wait_one};

/// How long the traced child may take to end.
const END_NS: u64 = 2_000_000_000;
/// How long a started program may take to be mapped.
const MAP_NS: u64 = 2_000_000_000;
const LOOK_NS: u64 = 500_000;

/// Traces a child and reads its memory. The child is `arguments`, a program that waits for its
/// socket on descriptor 3, as our launcher does.
///
/// # Errors
/// The call that is not allowed here, or the child could not be made.
pub fn tracing_works(arguments: &[&str]) -> Result<(), SysError> {
    let invalid = || SysError::new("posix_spawn", Errno::EINVAL);
    let arguments: Vec<CString> = arguments
        .iter()
        .map(|word| CString::new(*word).map_err(|_| invalid()))
        .collect::<Result<_, _>>()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").named("open")?;
    let (_ours, theirs) = seq_pair()?;
    let pid = spawn(&Command {
        program: arguments.first().ok_or_else(invalid)?.clone(),
        arguments,
        environment: Vec::new(),
        descriptors: vec![null.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd()],
        own_session: false,
    })?;
    let seen = Tracee::new(pid).seize().and_then(|()| read_start(pid));
    end(pid)?;
    seen
}

/// Reads the first bytes of the program's first file mapping, which are an ELF file's magic.
fn read_start(pid: i32) -> Result<(), SysError> {
    let start = first_mapping(pid)?;
    let mut magic = [0; 4];
    let count = read_memory(pid, start, &mut magic)?;
    if count == magic.len() && magic == *b"\x7fELF" {
        Ok(())
    } else {
        Err(SysError::new("process_vm_readv", Errno::EIO))
    }
}

/// Where the first file is mapped. A vfork's parent goes on as soon as its child has an address
/// space of its own, which is before anything is mapped there.
fn first_mapping(pid: i32) -> Result<u64, SysError> {
    let deadline = monotonic_ns() + MAP_NS;
    loop {
        let maps = procfs::maps(pid)?;
        if let Some(first) = maps.iter().find(|map| map.inode != 0 && map.offset == 0) {
            return Ok(first.start);
        }
        if monotonic_ns() > deadline {
            return Err(SysError::new("read(/proc/PID/maps)", Errno::ENODATA));
        }
        poll_readable(&[], LOOK_NS)?;
    }
}

fn end(pid: i32) -> Result<(), SysError> {
    // It may have ended by itself; the wait tells.
    let _ = end_process(pid);
    let deadline = monotonic_ns() + END_NS;
    while monotonic_ns() < deadline {
        match wait_one(pid)?.map(|event| event.stop) {
            Some(Stop::Exited(_) | Stop::Signaled(_)) => return Ok(()),
            // It stops once more on its way out.
            Some(_) => Tracee::new(pid).resume(0).or_else(gone)?,
            None => drop(poll_readable(&[], LOOK_NS)?),
        }
    }
    Err(SysError::new("waitpid", Errno::ETIMEDOUT))
}

fn gone(error: SysError) -> Result<(), SysError> {
    if error.is_gone() { Ok(()) } else { Err(error) }
}

/// Makes a file in memory and seals its size, as each run's recorder is.
///
/// # Errors
/// Why the kernel refuses.
pub fn memory_files_can_be_sealed() -> Result<(), SysError> {
    RecorderFile::new(4096).map(drop)
}

/// Makes a file without a name in the folder, which nothing can leave behind.
///
/// # Errors
/// It is no folder, or may not be written.
pub fn writable(folder: &Path) -> Result<(), SysError> {
    let unnamed = OpenOptions::new()
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .open(folder)
        .named("open(O_TMPFILE)");
    match unnamed {
        // A file system that has no files without a name.
        Err(error) if matches!(error.errno, Errno::EOPNOTSUPP | Errno::EISDIR) => try_named(folder),
        answer => answer.map(drop),
    }
}

/// The same with a name of ours, made and removed.
fn try_named(folder: &Path) -> Result<(), SysError> {
    let own = ProcessIdentity::own().ok_or(SysError::new("read(/proc)", Errno::ENOENT))?;
    let inner = folder.join(format!("hotfire-{}-{}", own.pid, own.start_time));
    std::fs::create_dir(&inner).named("mkdir")?;
    std::fs::remove_dir(&inner).named("rmdir")
}

/// Whether the kernel lists the children of a thread (CONFIG_PROC_CHILDREN).
///
/// # Errors
/// It does not.
pub fn children_are_listed() -> Result<(), SysError> {
    std::fs::read("/proc/thread-self/children").named("read(children)").map(drop)
}

/// The program of this name in the folders of `path` (as in the variable PATH) that may be run.
#[must_use]
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    path.split(':').filter(|folder| folder.starts_with('/')).map(Path::new).find_map(|folder| {
        let file = folder.join(name);
        let data = std::fs::metadata(&file).ok()?;
        (data.is_file() && data.permissions().mode() & 0o111 != 0).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_without_a_trace() {
        let folder = std::env::temp_dir().join(format!("writable-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(writable(&folder), Ok(()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
        assert!(writable(&folder).is_err());
        assert!(writable(Path::new("/proc")).is_err());
    }

    #[test]
    fn programs_are_found_where_path_says() {
        let found = find_program("sh", "relative::/nowhere:/bin:/usr/bin").unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
        assert_eq!(find_program("sh", "/nowhere"), None);
        // A folder, and a file that is no program.
        assert_eq!(find_program("bin", "/"), None);
        assert_eq!(find_program("version", "/proc"), None);
    }

    #[test]
    fn a_child_that_cannot_be_made_is_an_error() {
        let answer = tracing_works(&["/nowhere/at/all"]);
        assert_eq!(answer.map_err(|error| error.errno), Err(Errno::ENOENT));
    }

    #[test]
    fn a_waiting_child_is_traced_where_that_is_allowed() {
        // `cat` waits for descriptor 3 as the launcher does.
        let waiting = ["/bin/sh", "-c", "exec cat <&3"];
        let answer = tracing_works(&waiting);
        let refused = |error: SysError| error.call.starts_with("ptrace");
        assert!(answer.is_ok() || answer.is_err_and(refused), "{answer:?}");
    }
}
