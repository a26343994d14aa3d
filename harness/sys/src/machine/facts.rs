//! Facts that stand in files of the kernel.

use std::io::Read;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use crate::error::{Named, SysError};

/// The longest such file, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// What stands in the kernel's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release, e.g. `6.1.0-28-amd64`.
    pub release: Result<String, SysError>,
    /// Yama's ptrace scope, 0 to 3; ENOENT: no Yama, which is as good as 0.
    pub ptrace_scope: Result<u32, SysError>,
    /// Who we are and what we may do.
    pub rights: Result<Rights, SysError>,
    /// `always`, `madvise` or `never`: when memory comes in huge pages unasked.
    pub huge_pages: Result<String, SysError>,
    /// The most mappings of a process.
    pub mappings_max: Result<u64, SysError>,
    /// Where core files go.
    pub core_pattern: Result<String, SysError>,
    /// The most open descriptors of a process: now, and the highest that it may ask for.
    pub descriptors: Result<(u64, u64), SysError>,
}

/// From `/proc/self/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// The effective user.
    pub user: u32,
    /// Effective capabilities, a bit each (capabilities(7)).
    pub capabilities: u64,
    /// 0: no seccomp, 1: strict, 2: a filter.
    pub seccomp: u32,
}

impl Rights {
    /// Whether processes of others may be traced: CAP_SYS_PTRACE, bit 19 (linux/capability.h).
    #[must_use]
    pub fn may_trace_all(&self) -> bool {
        self.capabilities & (1 << 19) != 0
    }
}

/// Looks at the machine.
#[must_use]
pub fn facts() -> Facts {
    Facts {
        release: line("/proc/sys/kernel/osrelease"),
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
        rights: text("/proc/self/status").and_then(|text| parse_rights(&text).ok_or(unreadable())),
        huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| parse_chosen(&text).ok_or(unreadable())),
        mappings_max: number("/proc/sys/vm/max_map_count"),
        core_pattern: line("/proc/sys/kernel/core_pattern"),
        descriptors: getrlimit(Resource::RLIMIT_NOFILE).named("getrlimit"),
    }
}

fn unreadable() -> SysError {
    SysError::new("parse", Errno::EINVAL)
}

/// A file of the kernel, whole, or an error.
pub(super) fn text(path: &str) -> Result<String, SysError> {
    let file = std::fs::File::open(path).named("open")?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).named("read")?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SysError::new("read", Errno::EFBIG));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn line(path: &str) -> Result<String, SysError> {
    Ok(text(path)?.lines().next().unwrap_or_default().trim().to_owned())
}

fn number<T: std::str::FromStr>(path: &str) -> Result<T, SysError> {
    line(path)?.parse().map_err(|_| unreadable())
}

fn parse_rights(status: &str) -> Option<Rights> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.split_ascii_whitespace().collect::<Vec<&str>>())
    };
    Some(Rights {
        // Real, effective, saved, file system.
        user: field("Uid")?.get(1)?.parse().ok()?,
        capabilities: u64::from_str_radix(field("CapEff")?.first()?, 16).ok()?,
        seccomp: field("Seccomp")?.first()?.parse().ok()?,
    })
}

/// The word in brackets of `always [madvise] never`.
fn parse_chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_whole_or_not_at_all() {
        let text = "Name:\tx\nUid:\t0\t1000\t0\t0\nCapEff:\t0000000000080000\nSeccomp:\t2\n\
                    Seccomp_filters:\t1\n";
        let rights = parse_rights(text).unwrap();
        assert_eq!(rights, Rights { user: 1000, capabilities: 0x8_0000, seccomp: 2 });
        assert!(rights.may_trace_all());
        assert!(!Rights { capabilities: !0x8_0000, ..rights }.may_trace_all());
        assert_eq!(parse_rights("Uid:\t0\t1000\nCapEff:\t0\n"), None);
    }

    #[test]
    fn the_chosen_word_stands_in_brackets() {
        assert_eq!(parse_chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(parse_chosen("always madvise never\n"), None);
    }

    #[test]
    fn this_machine_is_seen() {
        let facts = facts();
        assert!(facts.release.is_ok_and(|release| !release.is_empty()));
        assert!(facts.rights.is_ok_and(|rights| rights.seccomp <= 2));
        assert!(facts.mappings_max.is_ok_and(|most| most > 1000));
        assert!(facts.descriptors.is_ok_and(|(now, most)| now > 0 && now <= most));
        assert_eq!(number::<u32>("/proc/hotfire").map_err(|error| error.errno), Err(Errno::ENOENT));
        assert_eq!(number::<u32>("/proc/version").map_err(|error| error.errno), Err(Errno::EINVAL));
    }
}
