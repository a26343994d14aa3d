//! What a process holds: descriptors, memory, sockets that listen, and the machine's named shared
//! memory. Every reader has a limit; names are untrusted.
//!
//! Deliberately absent: whether it should hold them (see hotfire-core).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use crate::error::{Named, SysError};
use crate::procfs::{self, read_folder, read_text};

/// Where glibc keeps named shared memory and named semaphores.
const SHARED_MEMORY: &str = "/dev/shm";
/// Descriptors looked at per process, and names per folder.
const ENTRIES_MAX: usize = 65_536;
/// `TCP_LISTEN` in `/proc/net/tcp` (include/net/tcp_states.h).
const LISTENS: &str = "0A";
/// `__SO_ACCEPTCON` in `/proc/net/unix`.
const ACCEPTS: u64 = 0x1_0000;

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// What the kernel says that it is: a path, `pipe:[INODE]`, `anon_inode:[eventfd]`, …
    pub target: String,
}

/// A name in `/dev/shm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedName {
    /// The name; `sem.NAME` for a semaphore.
    pub name: String,
    /// Its inode: a name that was unlinked and made again is another one.
    pub inode: u64,
}

/// The open descriptors of a process, by number.
///
/// # Errors
/// It is gone, or may not be looked at.
pub fn descriptors(pid: i32) -> Result<Vec<Descriptor>, SysError> {
    let mut found: Vec<Descriptor> = read_folder(&format!("/proc/{pid}/fd"))?
        .filter_map(Result::ok)
        .take(ENTRIES_MAX)
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // One that is closed meanwhile is not open.
            let target = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some(Descriptor { number, target })
        })
        .collect();
    found.sort_by_key(|descriptor| descriptor.number);
    Ok(found)
}

/// How many descriptors a process has open.
///
/// # Errors
/// It is gone, or may not be looked at.
pub fn descriptor_count(pid: i32) -> Result<u32, SysError> {
    let folder = format!("/proc/{pid}/fd");
    // Since Linux 6.2 the folder's size is their number (proc_fd_getattr, fs/proc/fd.c).
    let size = std::fs::metadata(&folder).named("stat(/proc/PID/fd)")?.len();
    let count = match usize::try_from(size) {
        Ok(size) if size > 0 => size,
        _ => read_folder(&folder)?.take(ENTRIES_MAX).count(),
    };
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The inodes of the names in `/dev/shm` that a process has open.
#[must_use]
pub fn shared_open(pid: i32, descriptors: &[Descriptor]) -> BTreeSet<u64> {
    let open = descriptors.iter().filter(|one| is_shared(&one.target));
    // One that is closed meanwhile is not open.
    let data =
        open.filter_map(|one| std::fs::metadata(format!("/proc/{pid}/fd/{}", one.number)).ok());
    data.map(|data| data.ino()).collect()
}

/// Which of these inodes in `/dev/shm` are mapped or open in a process that may be looked at.
#[must_use]
pub fn shared_in_use(inodes: &BTreeSet<u64>) -> BTreeSet<u64> {
    let mut in_use = BTreeSet::new();
    if inodes.is_empty() {
        return in_use;
    }
    for pid in procfs::processes().unwrap_or_default() {
        let maps = procfs::maps(pid).unwrap_or_default();
        let mapped = maps.iter().filter(|map| is_shared(&map.path)).map(|map| map.inode);
        let open = shared_open(pid, &descriptors(pid).unwrap_or_default());
        in_use.extend(mapped.chain(open).filter(|inode| inodes.contains(inode)));
    }
    in_use
}

fn is_shared(path: &str) -> bool {
    path.strip_prefix(SHARED_MEMORY).is_some_and(|rest| rest.starts_with('/'))
}

/// Private memory of a process that it has written, in bytes (`Private_Dirty`).
///
/// # Errors
/// It is gone, may not be looked at, or the kernel has no `smaps_rollup` (before 4.14).
pub fn private_dirty_bytes(pid: i32) -> Result<u64, SysError> {
    let text = read_text(&format!("/proc/{pid}/smaps_rollup"))?;
    parse_private_dirty(&text).ok_or(SysError::new("parse(/proc/PID/smaps_rollup)", Errno::EINVAL))
}

fn parse_private_dirty(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The sockets that listen in the network namespace of a process: inode to address.
#[must_use]
pub fn listening(pid: i32) -> BTreeMap<u64, String> {
    let table = |name: &str| read_text(&format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let mut found = BTreeMap::new();
    for name in ["tcp", "tcp6"] {
        found.extend(table(name).lines().filter_map(|line| parse_tcp(name, line)));
    }
    found.extend(table("unix").lines().filter_map(parse_unix));
    found
}

/// A line of `/proc/net/tcp`: number, local and remote address, state, …, inode (the tenth).
fn parse_tcp(protocol: &str, line: &str) -> Option<(u64, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state) = (fields.get(1)?, fields.get(3)?);
    let inode = fields.get(9)?.parse().ok()?;
    let (_, port) = local.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (*state == LISTENS).then(|| (inode, format!("{protocol} port {port}")))
}

/// A line of `/proc/net/unix`: address, count, protocol, flags, type, state, inode, path.
fn parse_unix(line: &str) -> Option<(u64, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = u64::from_str_radix(fields.get(3)?, 16).ok()?;
    let inode = fields.get(6)?.parse().ok()?;
    let path = fields.get(7).copied().unwrap_or("without a name");
    (flags & ACCEPTS != 0).then(|| (inode, format!("unix socket {path}")))
}

/// All names in `/dev/shm`, sorted.
///
/// # Errors
/// The folder cannot be read.
pub fn shared_names() -> Result<Vec<SharedName>, SysError> {
    let entries = std::fs::read_dir(SHARED_MEMORY).named("readdir(/dev/shm)")?;
    let mut names: Vec<SharedName> = entries
        .filter_map(Result::ok)
        .take(ENTRIES_MAX)
        .filter_map(|entry| {
            let inode = entry.metadata().ok()?.ino();
            Some(SharedName { name: entry.file_name().to_string_lossy().into_owned(), inode })
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Removes a name from `/dev/shm`, if it still is the one with this inode.
///
/// # Errors
/// It may not be removed.
pub fn remove_shared(shared: &SharedName) -> Result<(), SysError> {
    let path = std::path::Path::new(SHARED_MEMORY).join(&shared.name);
    match std::fs::symlink_metadata(&path) {
        Ok(data) if data.ino() == shared.inode && data.is_file() => {
            std::fs::remove_file(&path).named("unlink(/dev/shm)")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = i32::try_from(std::process::id()).unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let number = file.as_raw_fd();
        let seen = descriptors(own).unwrap();
        assert!(seen.len() < 300, "nothing else holds so many here");
        let many: Vec<_> = (0..300).map(|_| file.try_clone().unwrap()).collect();
        assert!(descriptor_count(own).unwrap() >= 300);
        drop(many);
        assert!(descriptor_count(own).unwrap() < 300);
        assert!(descriptor_count(i32::MAX).is_err());
        assert!(seen.iter().any(|one| one.number == number && one.target.starts_with('/')));
        drop(file);
        assert!(private_dirty_bytes(own).unwrap() >= 4096);
        assert!(descriptors(i32::MAX).is_err_and(|error| error.is_gone()));
    }

    #[test]
    fn shared_memory_in_use_is_known_by_its_inode() {
        let name = format!("hotfire-{}-census-test", std::process::id());
        let path = std::path::Path::new(SHARED_MEMORY).join(&name);
        let file = std::fs::File::create(&path).unwrap();
        let shared = shared_names().unwrap().into_iter().find(|shared| shared.name == name);
        let inodes = BTreeSet::from([shared.clone().unwrap().inode]);
        assert_eq!(shared_in_use(&inodes), inodes);
        drop(file);
        assert_eq!(shared_in_use(&inodes), BTreeSet::new());
        remove_shared(&shared.unwrap()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_listens_is_told_from_one_that_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = i32::try_from(std::process::id()).unwrap();
        let wanted = format!("tcp port {port}");
        assert!(listening(own).values().any(|address| *address == wanted));
        drop(listener);
        assert!(!listening(own).values().any(|address| *address == wanted));
    }

    #[test]
    fn lines_are_read() {
        let text = "Rss: 8 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty:      12 kB\n";
        assert_eq!(parse_private_dirty(text), Some(12_288));
        assert_eq!(parse_private_dirty("Rss: 8 kB\n"), None);
        let listens =
            "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 4242 1";
        assert_eq!(parse_tcp("tcp", listens), Some((4242, "tcp port 8080".to_owned())));
        assert_eq!(parse_tcp("tcp", &listens.replace(" 0A ", " 01 ")), None);
        let unix = "0000000000000000: 00000002 00000000 00010000 0001 01 77 /run/x";
        assert_eq!(parse_unix(unix), Some((77, "unix socket /run/x".to_owned())));
        assert_eq!(parse_unix(&unix.replace("00010000", "00000000")), None);
    }
}
