//! Threads: victims beside the leader, a leader that ends first, exec by another thread.

use hotfire_core::observe::{Ending, LaunchMode, Observation};
use hotfire_sys::signal::{SIGABRT, SIGSEGV};

use crate::common::case::{assert_exited, crash_of_child, fixtures, run};

fixtures! {
    abort_in_thread: run("abort-in-thread") => |seen| in_thread(seen, SIGABRT, "fx-worker", 2);
    two_crashes: run("two-crashes") => |seen| in_thread(seen, SIGSEGV, "fx-crasher", 3);
    exec_by_thread: run("exec-by-thread") => |seen| assert_exited(seen, 5);
    zombie_leader_crash: run("zombie-leader-crash") => zombie_leader;
    zombie_leader_exit: run("zombie-leader-exit") => |seen| assert_exited(seen, 6);
    zombie_leader_end: run("zombie-leader-end") => |seen| assert_exited(seen, 0);
    exit_while_threads_start: run("exit-while-threads-start") => |seen| {
        assert_eq!(seen.ending, Ending::Exited(4), "{seen:#?}");
        assert!(seen.crash.is_none() && seen.stall.is_none(), "{seen:#?}");
    };
}

fn in_thread(seen: &Observation, signal: i32, name: &str, threads: usize) {
    let (crash, _) = crash_of_child(seen, signal);
    assert_ne!(crash.victim.tid, crash.victim.pid);
    assert_eq!(crash.victim.thread, name, "{crash:#?}");
    assert_eq!(crash.threads.len(), threads, "{crash:#?}");
    assert!(crash.threads.iter().all(|thread| thread.pid == crash.victim.pid), "{crash:#?}");
}

fn zombie_leader(seen: &Observation) {
    let (crash, info) = crash_of_child(seen, SIGSEGV);
    assert_eq!((info.code, info.address), (1, Some(0)), "{crash:#?}");
    assert_ne!(crash.victim.tid, crash.victim.pid);
    let function = crash.location.known().and_then(|location| location.function.as_deref());
    assert_eq!(function, Some("crashes_alone"), "{crash:#?}");
    let leader = crash.threads.iter().find(|thread| thread.tid == crash.victim.pid);
    assert_eq!(leader.map(|thread| thread.state), Some('Z'), "{crash:#?}");
}
