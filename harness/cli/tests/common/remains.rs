//! Who is still there: processes that carry a test's mark in their environment or command line.
//!
//! Deliberately absent: ending them. A test that finds one fails.

use hotfire_sys::{monotonic_ns, poll_readable, procfs};

/// How long the kernel may take to let ended processes vanish.
const GRACE_NS: u64 = 2_000_000_000;
/// Between two looks.
const PAUSE_NS: u64 = 2_000_000;

/// Waits until `done`, at most `limit_ns`; says whether it came to be.
pub(crate) fn wait_until(limit_ns: u64, mut done: impl FnMut() -> bool) -> bool {
    let deadline = monotonic_ns() + limit_ns;
    while !done() {
        if monotonic_ns() > deadline {
            return false;
        }
        poll_readable(&[], PAUSE_NS).expect("poll works");
    }
    true
}

/// The living processes that carry `mark`.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| carries(*pid, mark)).collect()
}

fn carries(pid: i32, mark: &str) -> bool {
    ["environ", "cmdline"].iter().any(|file| {
        // One that has ended since, or that we may not look at, is none of ours.
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
    })
}

/// Asserts that no process carries the mark any more.
pub(crate) fn assert_nothing_remains(mark: &str) {
    if wait_until(GRACE_NS, || marked(mark).is_empty()) {
        return;
    }
    let left: Vec<String> = marked(mark)
        .into_iter()
        .map(|pid| {
            let stat = procfs::stat(pid).map(|stat| format!("{} {}", stat.name, stat.state));
            format!("{pid} ({}) {stat:?}", procfs::command_line(pid))
        })
        .collect();
    panic!("processes remain: {left:#?}");
}
