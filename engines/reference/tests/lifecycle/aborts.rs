//! Defects that the C++ runtime or the allocator ends by SIGABRT, with the line that each leaves.

use crate::children::{deaths, run, silent};

/// Ten of ten runs abort, and say so in these words.
fn aborts(steps: &[&str], complaint: &str) {
    assert_eq!(deaths(10, libc::SIGABRT, steps), 10, "{steps:?}");
    let said = run(steps).complaint;
    assert!(said.contains(complaint), "{steps:?}: {said}");
}

#[test]
fn heap_overflow_is_found_by_the_allocator() {
    let create = "create defect=heap-overflow";
    aborts(&[create, "load tiny", "generate 1296"], "free(): invalid next size");
    silent(&[create, "load tiny", "generate 1280", "generate 16", "drop"]);
    silent(&["create", "load tiny", "generate 1296", "generate 4000", "drop"]);
}

#[test]
fn joinable_thread_ends_the_destructor() {
    let create = "create defect=joinable-thread";
    aborts(&[create, "load tiny", "generate 16", "drop"], "terminate called without");
    aborts(&[create, "load tiny", "generate 16", "shutdown"], "terminate called without");
    silent(&[create, "load tiny", "drop"]);
}

#[test]
fn pure_virtual_ends_the_monitor() {
    let create = "create defect=pure-virtual monitor=1";
    aborts(&[create, "load tiny", "generate 16", "drop"], "pure virtual method called");
    silent(&["create monitor=1", "load tiny", "generate 16", "drop"]);
    silent(&["create defect=pure-virtual", "load tiny", "generate 16", "drop"]);
}

#[test]
fn uncaught_exception_ends_the_device_thread() {
    // One of the cancels meets a generate, however late its lane is; the first that does kills.
    let cancels = ["export ms=30; cancel"; 20].join("; ");
    let cancelled = format!("[9x generate 100000 | {cancels}]");
    let create = "create defect=uncaught-exception device=aux";
    aborts(&[create, "load tiny", &cancelled], "hotfire::reference::Cancelled");
    silent(&[create, "load tiny", "generate 16", "cancel", "generate 16", "drop"]);
    let cancelled = "[generate 100000 | export ms=30; cancel; cancel]";
    silent(&["create defect=uncaught-exception", "load tiny", cancelled, "drop"]);
    silent(&["create device=aux", "load tiny", cancelled, "drop"]);
}
