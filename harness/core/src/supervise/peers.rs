//! Which descriptors a thread waits for, what they are, and who of the run holds the other end.
//!
//! Deliberately absent: the peers of unix sockets, and processes outside of the run.

use std::collections::BTreeMap;

use hotfire_sys::{SocketLine, endpoint, epoll_targets, read_memory, sockets};

use super::waits::is_timed;
use crate::observe::{DescriptorRecord, Fact, SocketRecord, Wait};

/// Descriptors that are listed of one wait.
const DESCRIPTORS_MAX: usize = 16;
/// Entries of `poll` that are read, and descriptors that `select` knows (FD_SETSIZE).
const POLLED_MAX: usize = 64;
const SELECTED_MAX: i32 = 1024;
/// POLLIN, POLLPRI, POLLRDHUP: whoever asks for one of them waits to read.
const POLL_READS: i16 = 0x1 | 0x2 | 0x2000;
const POLL_BYTES: usize = 8;

/// System calls whose first argument is what they read from (x86-64): read, readv, accept,
/// recvfrom, recvmsg, accept4, recvmmsg.
const READS: [i64; 7] = [0, 19, 43, 45, 47, 288, 299];
/// write, writev, connect, sendto, sendmsg, sendmmsg.
const WRITES: [i64; 6] = [1, 20, 42, 44, 46, 307];
const POLLS: [i64; 2] = [7, 271];
const SELECTS: [i64; 2] = [23, 270];
const EPOLLS: [i64; 3] = [232, 281, 441];

/// All processes of the run with what they hold, read once per look.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// By the kernel's name of the thing: process, and whether it reads or writes there.
    by_target: BTreeMap<String, Vec<(i32, bool, bool)>>,
    /// Of the network namespace of the first process.
    sockets: BTreeMap<u64, SocketLine>,
}

impl Holders {
    /// What these processes hold.
    pub(super) fn of(pids: &[i32]) -> Self {
        let mut by_target: BTreeMap<String, Vec<(i32, bool, bool)>> = BTreeMap::new();
        for pid in pids {
            for one in hotfire_sys::census::descriptors(*pid).unwrap_or_default() {
                // Only pipes, named pipes and sockets have two ends.
                if one.target.starts_with("anon_inode:") {
                    continue;
                }
                let Ok(end) = endpoint(*pid, one.number) else { continue };
                by_target.entry(end.target).or_default().push((*pid, end.reads, end.writes));
            }
        }
        let sockets = pids.first().map(|pid| sockets(*pid)).unwrap_or_default();
        Self { by_target, sockets }
    }

    fn describe(&self, pid: i32, number: i32, to_write: bool) -> DescriptorRecord {
        let Ok(end) = endpoint(pid, number) else {
            let peers = Fact::Unavailable("the descriptor could not be read".to_owned());
            let target = String::new();
            return DescriptorRecord { number, target, to_write, socket: None, peers };
        };
        let socket = inode_of(&end.target).and_then(|inode| self.sockets.get(&inode));
        let peers = self.peers(&end.target, socket, to_write);
        let socket = socket.map(|socket| SocketRecord {
            protocol: socket.protocol.to_owned(),
            local: socket.local.clone(),
            remote: socket.remote.clone(),
            listens: socket.listens,
        });
        DescriptorRecord { number, target: end.target, to_write, socket, peers }
    }

    fn peers(&self, target: &str, socket: Option<&SocketLine>, to_write: bool) -> Fact<Vec<i32>> {
        let unavailable = |why: &str| Fact::Unavailable(why.to_owned());
        let holders = |target: &str| self.by_target.get(target).map(Vec::as_slice);
        let mut pids: Vec<i32> = if target.starts_with("pipe:[") || is_named_pipe(target) {
            let ends = holders(target).unwrap_or_default().iter();
            // Who reads waits for one who writes.
            ends.filter(|(_, reads, writes)| if to_write { *reads } else { *writes })
                .map(|(pid, ..)| *pid)
                .collect()
        } else {
            match socket {
                Some(socket) if socket.listens => return unavailable("it waits for anybody"),
                Some(socket) if !socket.remote.is_empty() => {
                    let mut ends = self.sockets.iter();
                    let other = ends.find(|(_, other)| {
                        other.local == socket.remote && other.remote == socket.local
                    });
                    let Some((inode, _)) = other else {
                        return unavailable("the other end is on another machine");
                    };
                    let ends = holders(&format!("socket:[{inode}]")).unwrap_or_default();
                    ends.iter().map(|(pid, ..)| *pid).collect()
                }
                _ => {
                    return unavailable("only pipes and connections have an end that can be found");
                }
            }
        };
        pids.sort_unstable();
        pids.dedup();
        Fact::Known(pids)
    }

    /// A wait for descriptors with what they are; other waits as they are.
    pub(super) fn complete(&self, wait: Wait, pid: i32, tid: i32, arguments: &[u64; 6]) -> Wait {
        let Wait::Syscall { number, .. } = wait else { return wait };
        let Some(awaited) = awaited(number, arguments, pid, tid) else { return wait };
        let known = awaited.into_iter().take(DESCRIPTORS_MAX);
        let descriptors: Vec<DescriptorRecord> =
            known.map(|(fd, to_write)| self.describe(pid, fd, to_write)).collect();
        if descriptors.is_empty() {
            return wait;
        }
        Wait::Descriptors { number, untimed: !is_timed(number, arguments), descriptors }
    }
}

fn inode_of(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn is_named_pipe(target: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_path = target.starts_with('/');
    is_path && std::fs::metadata(target).is_ok_and(|data| data.file_type().is_fifo())
}

/// The descriptors of a system call, and whether it waits to write; `None`: it waits for none.
fn awaited(number: i64, arguments: &[u64; 6], pid: i32, tid: i32) -> Option<Vec<(i32, bool)>> {
    let [first, second, third, ..] = *arguments;
    // The upper half of an int's register is anything.
    let descriptor = (first as u32).cast_signed();
    if READS.contains(&number) || WRITES.contains(&number) {
        return Some(vec![(descriptor, WRITES.contains(&number))]);
    }
    if POLLS.contains(&number) {
        let count = usize::try_from(second).unwrap_or(0).min(POLLED_MAX);
        let mut bytes = vec![0; count * POLL_BYTES];
        let read = read_memory(tid, first, &mut bytes).unwrap_or(0);
        return Some(bytes.get(..read)?.chunks_exact(POLL_BYTES).filter_map(polled).collect());
    }
    if SELECTS.contains(&number) {
        let highest = descriptor.clamp(0, SELECTED_MAX);
        let mut found = set_members(tid, second, highest, false);
        found.extend(set_members(tid, third, highest, true));
        return Some(found);
    }
    if EPOLLS.contains(&number) {
        let targets = epoll_targets(pid, descriptor).ok()?;
        return Some(targets.into_iter().map(|target| (target, false)).collect());
    }
    None
}

/// `struct pollfd`: a descriptor, what is asked for, what has come.
fn polled(bytes: &[u8]) -> Option<(i32, bool)> {
    let number = i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let events = i16::from_le_bytes(bytes.get(4..6)?.try_into().ok()?);
    // A negative one is left out.
    (number >= 0).then_some((number, events & POLL_READS == 0))
}

/// The members of an `fd_set`.
fn set_members(tid: i32, address: u64, count: i32, to_write: bool) -> Vec<(i32, bool)> {
    let length = usize::try_from(count).unwrap_or(0).div_ceil(8);
    let mut bytes = vec![0; length];
    if address == 0 || read_memory(tid, address, &mut bytes) != Ok(length) {
        return Vec::new();
    }
    let is_set = |number: &i32| {
        let at = usize::try_from(*number).unwrap_or(usize::MAX);
        bytes.get(at / 8).is_some_and(|byte| byte & (1 << (at % 8)) != 0)
    };
    (0..count).filter(is_set).map(|number| (number, to_write)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_pipe_held_by_itself_has_itself_as_peer() {
        use std::os::fd::AsRawFd;
        let (read, write) = std::io::pipe().unwrap();
        let number = u64::try_from(read.as_raw_fd()).unwrap();
        let holders = Holders::of(&[own()]);
        let wait = Wait::Syscall { number: 0, endless: false };
        let arguments = [number, 0, 1, 0, 0, 0];
        let Wait::Descriptors { untimed, descriptors, .. } =
            holders.complete(wait.clone(), own(), own(), &arguments)
        else {
            unreachable!()
        };
        assert!(untimed && descriptors[0].target.starts_with("pipe:["));
        assert_eq!(descriptors[0].peers, Fact::Known(vec![own()]));
        drop(write);
        let alone = Holders::of(&[own()]).describe(own(), read.as_raw_fd(), false);
        assert_eq!(alone.peers, Fact::Known(Vec::new()));
        let other = Wait::Syscall { number: 34, endless: false };
        assert_eq!(holders.complete(other.clone(), own(), own(), &arguments), other);
    }

    #[test]
    fn what_poll_and_select_wait_for_is_read_from_memory() {
        let polled: [i32; 4] = [5, 1, -1, 4];
        let at = polled.as_ptr() as u64;
        let seen = awaited(7, &[at, 2, 0, 0, 0, 0], own(), own());
        assert_eq!(seen, Some(vec![(5, false)]));
        let read: [u64; 16] = std::array::from_fn(|at| if at == 1 { 0b100 } else { 0 });
        let seen = awaited(23, &[70, read.as_ptr() as u64, 0, 0, 0, 0], own(), own());
        assert_eq!(seen, Some(vec![(66, false)]));
    }
}
