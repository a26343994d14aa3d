//! What a descriptor of a process leads to: a pipe and its end, a socket and its addresses, what an
//! epoll instance watches.
//!
//! Deliberately absent: the peers of unix sockets, which only a netlink socket tells.

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::error::{Named, SysError};
use crate::procfs::read_text;

/// Lines read of one table of sockets, and targets of one epoll instance.
const LINES_MAX: usize = 65_536;
/// `TCP_LISTEN` (include/net/tcp_states.h).
const LISTENS: &str = "0A";
/// `__SO_ACCEPTCON` in `/proc/net/unix`.
const ACCEPTS: u64 = 0x1_0000;

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What the kernel says that it is: a path, `pipe:[INODE]`, `socket:[INODE]`, …
    pub target: String,
    /// It may be read from.
    pub reads: bool,
    /// It may be written to.
    pub writes: bool,
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketLine {
    /// `tcp`, `tcp6`, `udp`, `udp6` or `unix`.
    pub protocol: &'static str,
    /// Its own address: `ADDRESS:PORT`, or a path.
    pub local: String,
    /// The other end's; empty: none.
    pub remote: String,
    /// It waits for connections.
    pub listens: bool,
}

/// A descriptor of a process.
///
/// # Errors
/// It is not open (ENOENT), the process is gone or may not be looked at.
pub fn endpoint(pid: i32, number: i32) -> Result<Endpoint, SysError> {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).named("readlink(fd)")?;
    let text = read_text(&format!("/proc/{pid}/fdinfo/{number}"))?;
    let flags = parse_flags(&text).ok_or(SysError::new("parse(fdinfo)", Errno::EINVAL))?;
    // O_ACCMODE: 0 reads, 1 writes, 2 does both.
    let mode = flags & 3;
    let target = target.to_string_lossy().into_owned();
    Ok(Endpoint { target, reads: mode != 1, writes: mode != 0 })
}

/// `flags:` of a fdinfo file, octal.
fn parse_flags(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// The descriptors that an epoll instance watches.
///
/// # Errors
/// It is gone or may not be looked at.
pub fn epoll_targets(pid: i32, number: i32) -> Result<Vec<i32>, SysError> {
    let text = read_text(&format!("/proc/{pid}/fdinfo/{number}"))?;
    Ok(text.lines().take(LINES_MAX).filter_map(parse_target).collect())
}

/// A line `tfd: NUMBER events: …`.
fn parse_target(line: &str) -> Option<i32> {
    line.strip_prefix("tfd:")?.split_ascii_whitespace().next()?.parse().ok()
}

/// The sockets of a process's network namespace, by inode.
#[must_use]
pub fn sockets(pid: i32) -> BTreeMap<u64, SocketLine> {
    let table = |name: &str| read_text(&format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let mut found = BTreeMap::new();
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let text = table(name);
        found.extend(text.lines().take(LINES_MAX).filter_map(|line| parse_internet(name, line)));
    }
    let text = table("unix");
    found.extend(text.lines().take(LINES_MAX).filter_map(parse_unix));
    found
}

/// A line of `/proc/net/tcp` and its like: number, local and remote address, state, …, inode.
fn parse_internet(protocol: &'static str, line: &str) -> Option<(u64, SocketLine)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, remote, state) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
    let inode = fields.get(9)?.parse().ok()?;
    let remote = parse_address(remote)?;
    let has_remote = !remote.ends_with(":0");
    let line = SocketLine {
        protocol,
        local: parse_address(local)?,
        remote: if has_remote { remote } else { String::new() },
        listens: protocol.starts_with("tcp") && *state == LISTENS,
    };
    Some((inode, line))
}

/// `0100007F:1F90`: each group of eight digits is a number of this machine's byte order.
fn parse_address(text: &str) -> Option<String> {
    let (address, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let groups: Option<Vec<u8>> = address
        .as_bytes()
        .chunks(8)
        .map(|group| u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok())
        .flat_map(|group| match group {
            Some(number) => number.to_ne_bytes().map(Some).to_vec(),
            None => vec![None],
        })
        .collect();
    let bytes = groups?;
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(format!("{}:{port}", std::net::Ipv4Addr::from(bytes)));
    }
    let bytes = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(format!("[{}]:{port}", std::net::Ipv6Addr::from(bytes)))
}

/// A line of `/proc/net/unix`: address, count, protocol, flags, type, state, inode, path.
fn parse_unix(line: &str) -> Option<(u64, SocketLine)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = u64::from_str_radix(fields.get(3)?, 16).ok()?;
    let inode = fields.get(6)?.parse().ok()?;
    let local = fields.get(7).copied().unwrap_or_default().to_owned();
    let listens = flags & ACCEPTS != 0;
    Some((inode, SocketLine { protocol: "unix", local, remote: String::new(), listens }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn the_ends_of_a_pipe_are_told_apart() {
        let (read, write) = std::io::pipe().unwrap();
        let (first, second) = (
            endpoint(own(), read.as_raw_fd()).unwrap(),
            endpoint(own(), write.as_raw_fd()).unwrap(),
        );
        assert_eq!(first.target, second.target);
        assert!(first.target.starts_with("pipe:["), "{}", first.target);
        assert!(first.reads && !first.writes && second.writes && !second.reads);
        assert!(endpoint(own(), 9_999_999).is_err());
    }

    #[test]
    fn both_ends_of_a_connection_are_known() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let near = client.local_addr().unwrap().to_string();
        let all = sockets(own());
        let find = |local: &str, remote: &str| {
            all.values().any(|one| one.local == local && one.remote == remote)
        };
        let address = address.to_string();
        assert!(find(&near, &address) && find(&address, &near));
        assert!(all.values().any(|one| one.local == address && one.listens));
    }

    #[test]
    fn lines_are_read() {
        let line = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 4242 1";
        let (inode, socket) = parse_internet("tcp", line).unwrap();
        assert_eq!((inode, socket.local.as_str(), socket.listens), (4242, "127.0.0.1:8080", true));
        assert_eq!(socket.remote, "");
        let six = parse_address("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(six, "[::1]:80");
        assert_eq!(parse_target("tfd:        5 events:       19 data: 5"), Some(5));
        assert_eq!(parse_target("pos:\t0"), None);
        assert_eq!(parse_flags("pos:\t0\nflags:\t02000001\n"), Some(0o2_000_001));
    }
}
