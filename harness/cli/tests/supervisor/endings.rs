//! Exits, and each fatal signal: by a real cause where there is one, else sent to itself.

use hotfire_core::observe::{Ending, LaunchMode, Observation};
use hotfire_core::supervise::Job;
use hotfire_sys::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTERM, SIGTRAP};

use crate::common::case::{assert_exited, crash_of_child, fixtures, run};
use crate::common::stand::Stand;

const SIGPIPE: i32 = 13;
const SIGALRM: i32 = 14;
const SIGXFSZ: i32 = 25;
/// `si_code`s of faults.
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const SI_KERNEL: i32 = 128;

fixtures! {
    exit_zero: run("exit 0") => |seen| assert_exited(seen, 0);
    exit_three: run("exit 3") => |seen| assert_exited(seen, 3);
    segv_null: run("segv-null") => |seen| fault(seen, SIGSEGV, SEGV_MAPERR, Some(0));
    segv_wild: run("segv-wild") => segv_wild_is_seen;
    segv_read_only: run("segv-read-only") => segv_read_only_is_seen;
    segv_non_canonical: run("segv-non-canonical") => |seen| fault(seen, SIGSEGV, SI_KERNEL, Some(0));
    segv_exec_data: run("segv-exec-data") => |seen| jump(seen, SEGV_ACCERR, Some("rw-p"));
    segv_jump_unmapped: run("segv-jump-unmapped") => |seen| jump(seen, SEGV_MAPERR, None);
    bus_truncated: run("bus-truncated {folder}/truncated.bin") => bus_truncated_is_seen;
    ill: run("ill") => |seen| at_instruction(seen, SIGILL, 2, &[0x0f, 0x0b]);
    fpe: run("fpe") => |seen| fault(seen, SIGFPE, 1, None);
    trap: run("trap") => |seen| fault(seen, SIGTRAP, SI_KERNEL, None);
    abort: run("abort") => abort_is_seen;
    sys_trap: run("sys-trap") => |seen| fault(seen, SIGSYS, 1, None);
    sys_kill: run("sys-kill") => |seen| assert_eq!(seen.ending, Ending::Signaled(SIGSYS), "{seen:#?}");
    pipe_broken: run("pipe-broken") => |seen| sent(seen, SIGPIPE);
    alarm: run("alarm") => |seen| unsent(seen, SIGALRM, SI_KERNEL);
    timer: run("timer") => |seen| unsent(seen, SIGALRM, -2);
    file_size: run("file-size {folder}/grows.bin") => |seen| sent(seen, SIGXFSZ);
    self_term: run("raise 15") => |seen| sent(seen, SIGTERM);
    self_segv: run("raise 11") => |seen| sent(seen, SIGSEGV);
    stack_overflow: run("stack-overflow") => stack_overflow_is_seen;
}

fn fault(seen: &Observation, signal: i32, code: i32, address: Option<u64>) {
    let (crash, info) = crash_of_child(seen, signal);
    assert_eq!((info.signal, info.code, info.sender), (signal, code, None), "{crash:#?}");
    assert!(address.is_none() || info.address == address, "{crash:#?}");
    let location = crash.location.known().expect("the fixture's own code, or libc's");
    let registers = crash.registers.known().expect("ptrace gives them");
    assert_eq!(location.pc, registers.rip);
    assert!(!crash.through_handler && !crash.instruction.is_empty(), "{crash:#?}");
}

/// In a function of the fixture program, found by its symbol.
fn in_function(seen: &Observation, name: &str) {
    let crash = seen.crash.as_ref().expect("checked before");
    let location = crash.location.known().expect("the fixture's own code");
    assert!(location.module.contains("/fixture-"), "{location:#?}");
    assert_eq!(location.function.as_deref(), Some(name), "{location:#?}");
}

fn at_instruction(seen: &Observation, signal: i32, code: i32, bytes: &[u8]) {
    let (crash, info) = crash_of_child(seen, signal);
    assert_eq!(info.code, code);
    assert!(crash.instruction.starts_with(bytes), "{crash:#?}");
    assert_eq!(info.address, crash.registers.known().map(|registers| registers.rip));
}

fn segv_wild_is_seen(seen: &Observation) {
    fault(seen, SIGSEGV, SEGV_MAPERR, None);
    in_function(seen, "segv_wild");
    let crash = seen.crash.as_ref().expect("checked before");
    let map = crash.address_map.known().expect("the maps can be read");
    let address = crash.siginfo.known().and_then(|info| info.address).expect("a fault has one");
    // The hole has the fixture's own mappings on both sides.
    assert!(map.inside.is_none(), "{map:#?}");
    assert_eq!(map.below.as_ref().map(|below| below.end), Some(address & !0xfff));
    assert_eq!(map.above.as_ref().map(|above| above.start), Some((address & !0xfff) + 0x1000));
}

fn segv_read_only_is_seen(seen: &Observation) {
    fault(seen, SIGSEGV, SEGV_ACCERR, None);
    let crash = seen.crash.as_ref().expect("checked before");
    let map = crash.address_map.known().and_then(|map| map.inside.as_ref());
    assert_eq!(map.map(|map| map.permissions.as_str()), Some("r--p"), "{crash:#?}");
}

/// The program counter itself is the bad address.
fn jump(seen: &Observation, code: i32, permissions: Option<&str>) {
    let (crash, info) = crash_of_child(seen, SIGSEGV);
    assert_eq!(info.code, code, "{crash:#?}");
    assert_eq!(info.address, crash.registers.known().map(|registers| registers.rip));
    let inside = crash.address_map.known().expect("the maps can be read").inside.as_ref();
    assert_eq!(inside.map(|map| map.permissions.as_str()), permissions, "{crash:#?}");
}

fn bus_truncated_is_seen(seen: &Observation) {
    fault(seen, SIGBUS, 2, None);
    let crash = seen.crash.as_ref().expect("checked before");
    let map = crash.address_map.known().and_then(|map| map.inside.as_ref()).expect("it is mapped");
    assert!(map.path.ends_with("/truncated.bin") && map.file_bytes == Some(0), "{map:#?}");
}

fn abort_is_seen(seen: &Observation) {
    let (crash, info) = crash_of_child(seen, SIGABRT);
    assert_eq!(info.sender, Some(crash.victim.pid), "{crash:#?}");
    assert_eq!(seen.output.stderr.head, "about to abort\n");
}

/// Sent by the process to itself.
fn sent(seen: &Observation, signal: i32) {
    let (crash, info) = crash_of_child(seen, signal);
    assert!(info.code <= 0 && info.address.is_none(), "{info:#?}");
    assert_eq!(info.sender, Some(crash.victim.pid), "{info:#?}");
}

/// Made by the kernel: there is no sender to be named.
fn unsent(seen: &Observation, signal: i32, code: i32) {
    let (_, info) = crash_of_child(seen, signal);
    assert_eq!((info.code, info.sender, info.address), (code, None, None), "{info:#?}");
}

fn stack_overflow_is_seen(seen: &Observation) {
    fault(seen, SIGSEGV, SEGV_MAPERR, None);
    in_function(seen, "descend");
    let crash = seen.crash.as_ref().expect("checked before");
    let address = crash.siginfo.known().and_then(|info| info.address).expect("a fault has one");
    let sp = crash.registers.known().expect("ptrace gives them").rsp;
    assert!(address.abs_diff(sp) < 4096, "{crash:#?}");
    let above = crash.address_map.known().and_then(|map| map.above.as_ref());
    assert_eq!(above.map(|map| map.path.as_str()), Some("[stack]"), "{crash:#?}");
}

/// The signals that have no cause of their own above, and the last realtime signal.
#[test]
fn every_other_fatal_signal_ends_the_child() {
    let signals = [1, 2, 3, 10, 12, 16, 24, 26, 27, 29, 30, 34, 64];
    let stand = Stand::new();
    let jobs = signals.iter().flat_map(|signal| {
        [LaunchMode::Spawn, LaunchMode::Fork]
            .map(|mode| stand.job(0, &format!("raise {signal}"), mode))
    });
    let jobs = (0..).zip(jobs).map(|(id, job)| Job { id, ..job }).collect();
    let seen = stand.run(stand.pool(2), jobs);
    assert_eq!(seen.len(), 2 * signals.len());
    for seen in seen {
        let signal = seen.job.plan.strip_prefix("raise ").and_then(|text| text.parse().ok());
        sent(&seen.observation, signal.expect("as made above"));
    }
}
