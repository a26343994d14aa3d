//! Programs that handle, block or ignore their own faults: what was mended is no crash, and what
//! killed in the end keeps its first cause.

use hotfire_core::observe::{LaunchMode, Observation};
use hotfire_sys::signal::{SIGABRT, SIGSEGV};

use crate::common::case::{assert_exited, crash_of_child, fixtures, run};

/// Where the fixtures write to.
const BAD_ADDRESS: u64 = 0x18;

fixtures! {
    mends_once: run("mends 1") => mended;
    mends_often: run("mends 3000") => mended;
    resets: run("resets") => |seen| first_fault(seen, SIGSEGV, true);
    resets_and_raises: run("resets-and-raises") => |seen| first_fault(seen, SIGSEGV, true);
    raises_at_once: run("raises-at-once") => |seen| first_fault(seen, SIGSEGV, true);
    handler_aborts: run("handler-aborts") => |seen| first_fault(seen, SIGABRT, true);
    handler_faults: run("handler-faults") => |seen| first_fault(seen, SIGSEGV, true);
    mends_and_faults_above: run("mends-and-faults-above") =>
        |seen| fault_at(seen, 0x28);
    handler_exits: run("handler-exits") => |seen| assert_exited(seen, 7);
    mends_then_aborts: run("mends-then-aborts") => |seen| sent_by_itself(seen, SIGABRT);
    mends_then_raises: run("mends-then-raises") => |seen| sent_by_itself(seen, SIGSEGV);
    mends_then_handler_aborts: run("mends-then-handler-aborts") => |seen| first_fault(seen, SIGABRT, true);
    mends_at_many_places: run("mends-at-places 5000") => mended;
    same_place_twice: run("same-place-twice") => second_fault;
    same_place_other_caller: run("same-place-other-caller") =>
        |seen| called_from(seen, "same_place_other_caller");
    jumps_out_and_aborts: run("jumps-out-and-aborts") =>
        |seen| called_from(seen, "jumps_out_and_aborts");
    blocked_segv: run("blocked-segv") => |seen| first_fault(seen, SIGSEGV, false);
    ignored_segv: run("ignored-segv") => ignored;
    overflow_with_handler: run("overflow-with-handler") => overflow;
}

fn mended(seen: &Observation) {
    assert_exited(seen, 0);
    assert_eq!(seen.output.stdout.head, "mended\n");
}

/// The facts are those of the bad write, whoever ended the process.
fn first_fault(seen: &Observation, signal: i32, through_handler: bool) {
    let (crash, info) = crash_of_child(seen, signal);
    assert_eq!(
        (info.signal, info.code, info.address),
        (SIGSEGV, 1, Some(BAD_ADDRESS)),
        "{crash:#?}"
    );
    assert_eq!(crash.through_handler, through_handler, "{crash:#?}");
    let function = crash.location.known().and_then(|location| location.function.as_deref());
    assert_eq!(function, Some("fault"), "{crash:#?}");
}

/// The place is that of a fault mended before, the address is not.
fn second_fault(seen: &Observation) {
    let (crash, info) = crash_of_child(seen, SIGABRT);
    assert_eq!((info.signal, info.address), (SIGSEGV, Some(0x38)), "{crash:#?}");
    let registers = crash.registers.known().expect("ptrace gives them");
    assert!(registers.general.contains(&0x38), "{crash:#?}");
    assert!(crash.through_handler, "{crash:#?}");
}

/// Nothing of an older fault is told, though its frame still lies on the stack.
fn fault_at(seen: &Observation, address: u64) {
    let (crash, info) = crash_of_child(seen, SIGSEGV);
    assert_eq!((info.address, crash.through_handler), (Some(address), false), "{crash:#?}");
}

/// The stack is that of the fault, though the place was met before, or the stack was used since.
fn called_from(seen: &Observation, caller: &str) {
    let (crash, info) = crash_of_child(seen, SIGABRT);
    assert_eq!((info.signal, info.address), (SIGSEGV, Some(0x38)), "{crash:#?}");
    let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid);
    let stack = own.and_then(|own| own.stack.known()).expect("it stood");
    let names = stack
        .frames
        .iter()
        .take(3)
        .map(|frame| frame.location.known().and_then(|location| location.function.as_deref()));
    let names: Vec<_> = names.collect();
    assert_eq!(names, [Some("write_to"), Some("second_caller"), Some(caller)], "{stack:#?}");
}

/// An older, mended fault has nothing to do with it.
fn sent_by_itself(seen: &Observation, signal: i32) {
    let (crash, info) = crash_of_child(seen, signal);
    assert_eq!((info.signal, info.sender), (signal, Some(crash.victim.pid)), "{crash:#?}");
    assert!(!crash.through_handler, "{crash:#?}");
}

fn ignored(seen: &Observation) {
    first_fault(seen, SIGSEGV, false);
    assert_eq!(seen.output.stdout.head, "a sent one was ignored\n");
}

/// The forced signal has no address of its own; the fault before it has.
fn overflow(seen: &Observation) {
    let (crash, info) = crash_of_child(seen, SIGSEGV);
    let sp = crash.registers.known().expect("ptrace gives them").rsp;
    assert_eq!(info.code, 1, "{crash:#?}");
    assert!(info.address.is_some_and(|address| address.abs_diff(sp) < 4096), "{crash:#?}");
    assert!(crash.through_handler, "{crash:#?}");
}
