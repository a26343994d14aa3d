//! What a process is, to one who wants to look into it from outside: whether it can be, and whether
//! it is a copy of its parent.
//!
//! Deliberately absent: looking into it (`trace`).

use nix::errno::Errno;

use crate::error::SysError;
use crate::procfs::{read_bytes, read_text, stat};

/// `PF_KTHREAD` (linux/sched.h), in the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// `ADDR_NO_RANDOMIZE` (linux/personality.h): where all lies is the same in every process.
const SAME_PLACES: u64 = 0x0004_0000;
/// The flags are the seventh field behind the name.
const FLAGS_FIELD: usize = 6;

/// A process, or a thread, as its status tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The process that it is, or is a thread of.
    pub process: i32,
    /// R, S, D, T, t, Z, X.
    pub state: char,
    /// Who traces it; 0: nobody.
    pub tracer: i32,
    /// Its effective user.
    pub user: u32,
    /// It runs in the kernel alone.
    pub is_kernel_thread: bool,
}

/// What is known of a process or thread.
///
/// # Errors
/// It is gone (ESRCH), or a field is missing (EINVAL).
pub fn target(pid: i32) -> Result<Target, SysError> {
    let status = read_text(&format!("/proc/{pid}/status"))?;
    let line = read_text(&format!("/proc/{pid}/stat"))?;
    parse(&status, &line).ok_or(SysError::new("parse(/proc/PID/status)", Errno::EINVAL))
}

fn parse(status: &str, line: &str) -> Option<Target> {
    let field = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(text.split_ascii_whitespace().collect::<Vec<&str>>())
    };
    let (_, fields) = line.rsplit_once(')')?;
    let flags: u64 = fields.split_ascii_whitespace().nth(FLAGS_FIELD)?.parse().ok()?;
    Some(Target {
        process: field("Tgid")?.first()?.parse().ok()?,
        state: field("State")?.first()?.chars().next()?,
        tracer: field("TracerPid")?.first()?.parse().ok()?,
        // Real, effective, saved, of the file system.
        user: field("Uid")?.get(1)?.parse().ok()?,
        is_kernel_thread: flags & KERNEL_THREAD != 0,
    })
}

/// Whether a process was forked from another one and both have the program that they had then: each
/// exec puts the program, its stack and the loader elsewhere, and tells it where (getauxval(3)).
/// False also where that cannot be told.
#[must_use]
pub fn is_copy(pid: i32, of: i32) -> bool {
    let places = |pid: i32| read_bytes(&format!("/proc/{pid}/auxv")).ok();
    let is_random = read_text(&format!("/proc/{pid}/personality"))
        .ok()
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .is_some_and(|flags| flags & SAME_PLACES == 0);
    is_random && places(pid).is_some_and(|own| !own.is_empty() && Some(own) == places(of))
}

/// The threads of a process that were there when another one was made.
#[must_use]
pub fn threads_before(process: i32, made: i32) -> Vec<i32> {
    let Ok(then) = stat(made).map(|stat| stat.start_time) else { return Vec::new() };
    let threads = crate::procfs::threads(process).unwrap_or_default().into_iter();
    // Within one tick of the clock, numbers tell the order.
    let was_there = |tid: &i32| stat(*tid).is_ok_and(|stat| (stat.start_time, *tid) < (then, made));
    threads.filter(was_there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nState:\tt (tracing stop)\nTgid:\t7\nPid:\t8\nTracerPid:\t31\n\
                          Uid:\t1000\t1001\t1000\t1000\n";

    #[test]
    fn a_status_tells_process_tracer_and_user() {
        let line = "8 (a) b) t 1 8 8 0 -1 4194560 0 0";
        let told = parse(STATUS, line).unwrap();
        let expected =
            Target { process: 7, state: 't', tracer: 31, user: 1001, is_kernel_thread: false };
        assert_eq!(told, expected);
        let kernels = parse(STATUS, &line.replace("4194560", "2129984")).unwrap();
        assert!(kernels.is_kernel_thread);
        assert_eq!(parse("Name:\tx\n", line), None);
        assert!(target(i32::MAX).is_err_and(|error| error.is_gone()));
    }

    #[test]
    fn a_process_that_has_execed_is_no_copy() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut cat = std::process::Command::new("cat");
        let mut other = cat.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        assert!(is_copy(own, own) && !is_copy(pid, own));
        let before = threads_before(own, pid);
        assert!(before.contains(&own) && threads_before(pid, own).is_empty());
        drop(other.stdin.take());
        other.wait().unwrap();
    }
}
