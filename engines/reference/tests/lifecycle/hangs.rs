//! The defects that do not crash: waits that never end, a loop that is kept waiting, and a worker
//! process that outlives its host.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::children::{MARK, example, silent};

const DEADLINE: Duration = Duration::from_secs(10);
const CONTEST: &str = "[3x swap model=other | 3x generate 16]";
const FUTEX: &str = "202";

fn start(steps: &[&str]) -> Child {
    Command::new(example("lifecycle"))
        .args(steps)
        .env(MARK, std::process::id().to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// How many threads wait in a futex without a time limit; `None` when another thread does not.
fn all_stuck(pid: u32) -> Option<usize> {
    let tasks: Vec<_> = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().collect();
    for task in &tasks {
        let text = fs::read_to_string(task.path().join("syscall")).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        // futex(address, operation, value, timeout, …)
        if words.first() != Some(&FUTEX) || words.get(4) != Some(&"0x0") {
            return None;
        }
    }
    Some(tasks.len())
}

/// Whether the child comes to a state where every thread waits for ever.
fn deadlocks(mut child: Child) -> bool {
    let start = Instant::now();
    let mut stuck_since = None;
    let verdict = loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        match (all_stuck(child.id()), stuck_since) {
            (None, _) => stuck_since = None,
            (Some(_), None) => stuck_since = Some(Instant::now()),
            (Some(_), Some(since)) if since.elapsed() > Duration::from_millis(200) => break true,
            (Some(_), Some(_)) => {}
        }
        assert!(start.elapsed() < DEADLINE, "the child neither ends nor deadlocks");
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    verdict
}

#[test]
fn swap_deadlock_deadlocks() {
    let steps = ["create defect=swap-deadlock", "load tiny", CONTEST, "drop"];
    let hung = (0..20).filter(|_| deadlocks(start(&steps))).count();
    assert!(hung >= 10, "{hung} of 20");
}

#[test]
fn swap_deadlock_needs_both_at_once() {
    silent(&["create defect=swap-deadlock", "load tiny", "3x swap model=other", "3x generate 16"]);
    silent(&["create defect=swap-deadlock", "load tiny", "[3x generate 16 | 3x generate 16]"]);
    for _ in 0..5 {
        let text = silent(&["create", "load tiny", CONTEST, "drop"]);
        assert_eq!(text.matches(": ok").count(), 9, "{text}");
    }
}

#[test]
fn lost_wakeup_waits_for_ever() {
    let steps = ["create defect=lost-wakeup device=aux", "load tiny", "generate 16"];
    let hung = (0..20).filter(|_| deadlocks(start(&steps))).count();
    assert!(hung >= 10, "{hung} of 20");
    silent(&["create defect=lost-wakeup device=aux", "load tiny", "drop"]);
    silent(&["create device=aux", "load tiny", "generate 16", "drop"]);
}

/// The child of a child waits in a futex, and its parent for it.
#[test]
fn fork_after_compute_hangs_the_forked_child() {
    let create = "create defect=fork-after-compute export=child";
    for _ in 0..5 {
        let mut child = start(&[create, "load tiny", "generate 16", "export"]);
        let begun = Instant::now();
        let forked = loop {
            let path = format!("/proc/{0}/task/{0}/children", child.id());
            let children = fs::read_to_string(path).unwrap_or_default();
            let forked = children.split_whitespace().find_map(|pid| pid.parse().ok());
            if let Some(forked) = forked.filter(|pid| all_stuck(*pid) == Some(1)) {
                break forked;
            }
            assert!(begun.elapsed() < DEADLINE, "no forked child waits");
            std::thread::yield_now();
        };
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
        while fs::exists(format!("/proc/{forked}")).unwrap() {
            assert!(begun.elapsed() < DEADLINE, "the forked child outlives its parent");
            std::thread::yield_now();
        }
    }
    silent(&[create, "load tiny", "export", "generate 16", "drop"]);
    silent(&["create export=child", "load tiny", "generate 16", "export", "drop"]);
}

/// How long an export of `ms` keeps its caller.
fn export_takes(settings: &[&str], ms: u64) -> Duration {
    let engine = crate::support::create(settings).unwrap();
    crate::support::perform(&*engine, "load tiny").unwrap();
    let begun = Instant::now();
    crate::support::perform(&*engine, &format!("export ms={ms}")).unwrap();
    begun.elapsed()
}

#[test]
fn loop_freeze_waits_for_an_export_that_should_go_on_alone() {
    let slow = export_takes(&["defect=loop-freeze", "export=thread"], 300);
    assert!(slow >= Duration::from_millis(300), "{slow:?}");
    // So much longer than a busy machine delays the caller.
    let quick = export_takes(&["export=thread"], 4000);
    assert!(quick < Duration::from_secs(2), "{quick:?}");
    let own = export_takes(&["defect=loop-freeze"], 300);
    assert!(own >= Duration::from_millis(300), "without a thread the caller works: {own:?}");
}

/// The worker processes that this test's children started and that live now.
fn workers() -> Vec<i32> {
    let mark = format!("{MARK}={}", std::process::id());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let ours = environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes());
        if name.trim() == "ref-process" && ours {
            found.push(pid);
        }
    }
    found
}

/// Waits until so many workers live.
fn workers_become(count: usize) -> Vec<i32> {
    let start = Instant::now();
    loop {
        let found = workers();
        if found.len() == count {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{found:?} instead of {count} workers");
        std::thread::yield_now();
    }
}

/// One test for all, because they count the processes of one program.
#[test]
fn only_an_orphan_worker_outlives_its_engine_and_its_host() {
    workers_become(0);
    for last in ["drop", "cleanup", "shutdown", "exit", "quick"] {
        let text = silent(&["create process=1", "load tiny", "generate 16 prompt=HOT", last]);
        assert!(text.contains("generate 16 prompt=HOT: ok"), "{text}");
        workers_become(0);
    }
    let mut child = start(&["create process=1", "load tiny", "generate 1000000"]);
    workers_become(1);
    child.kill().unwrap();
    child.wait().unwrap();
    workers_become(0);

    for last in ["drop", "exit", "quick"] {
        silent(&["create defect=orphan-worker", "load tiny", "generate 16", last]);
        for pid in workers_become(1) {
            // SAFETY: kill(2) on a process that this test started.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        workers_become(0);
    }
}
