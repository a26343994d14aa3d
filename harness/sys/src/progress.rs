//! How far a thread has come: what it has used of the processors, and how often it slept.
//!
//! Deliberately absent: whether that is much or little (see hotfire-core).

use nix::errno::Errno;

use crate::error::SysError;
use crate::procfs::read_text;

/// Nanoseconds of a clock tick, in which `/proc/PID/stat` counts: 100 to a second on Linux.
const TICK_NS: u64 = 10_000_000;

/// What the kernel has counted of a thread since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskCounts {
    /// Time on a processor, nanoseconds.
    pub cpu_ns: u64,
    /// Time ready for a processor and without one, nanoseconds; `None`: the kernel does not count
    /// it.
    pub queued_ns: Option<u64>,
    /// How often it slept by itself, and how often a tracer stopped it.
    pub voluntary_switches: u64,
    /// Calls of read and write and their like; `None`: the kernel does not count them.
    pub transfers: Option<u64>,
}

/// The counts of a thread.
///
/// # Errors
/// It is gone (ESRCH), or a file is not of the known form (EINVAL).
pub fn task_counts(pid: i32, tid: i32) -> Result<TaskCounts, SysError> {
    let text = |name: &str| read_text(&format!("/proc/{pid}/task/{tid}/{name}"));
    let switches = parse_switches(&text("status")?);
    let schedule = text("schedstat").ok().and_then(|text| parse_schedule(&text));
    let (cpu_ns, queued_ns) = match schedule {
        Some((cpu, queued)) => (cpu, Some(queued)),
        None => (parse_ticks(&text("stat")?).ok_or(invalid("stat"))?, None),
    };
    let transfers = text("io").ok().and_then(|text| parse_transfers(&text));
    let voluntary_switches = switches.ok_or(invalid("status"))?;
    Ok(TaskCounts { cpu_ns, queued_ns, voluntary_switches, transfers })
}

fn invalid(file: &str) -> SysError {
    let call = if file == "stat" { "parse(/proc/TID/stat)" } else { "parse(/proc/TID/status)" };
    SysError::new(call, Errno::EINVAL)
}

/// `/proc/TID/schedstat`: time on a processor, time ready for one, and how often it got one. A
/// kernel that does not count leaves zeros.
fn parse_schedule(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (cpu, queued, turns) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let (cpu, queued, turns) = (cpu.ok()?, queued.ok()?, turns.ok()?);
    (turns > 0).then_some((cpu, queued))
}

/// The 14th and 15th field of `/proc/TID/stat`: time in the program and in the kernel for it.
fn parse_ticks(text: &str) -> Option<u64> {
    let (_, tail) = text.rsplit_once(')')?;
    let mut fields = tail.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((user + system) * TICK_NS)
}

fn parse_switches(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

fn parse_transfers(text: &str) -> Option<u64> {
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok()
    };
    Some(field("syscr:")? + field("syscw:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_is_counted() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = task_counts(own, own).unwrap();
        let after = task_counts(own, own).unwrap();
        assert!(after.cpu_ns >= before.cpu_ns);
        assert!(task_counts(i32::MAX, i32::MAX).is_err_and(|error| error.is_gone()));
    }

    #[test]
    fn files_are_read() {
        assert_eq!(parse_schedule("184612342 976137482 59\n"), Some((184_612_342, 976_137_482)));
        assert_eq!(parse_schedule("0 0 0\n"), None, "not counted here");
        let stat = "7 (a) (b) R 1 2 3 0 -1 0 0 0 0 0 18 2 0 0 20 0 1 0 4242";
        assert_eq!(parse_ticks(stat), Some(200_000_000));
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t5\n";
        assert_eq!(parse_switches(status), Some(12));
        assert_eq!(parse_transfers("rchar: 9\nsyscr: 8\nsyscw: 3\n"), Some(11));
        assert_eq!(parse_transfers("rchar: 9\n"), None);
    }
}
