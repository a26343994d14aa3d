//! Real hosts in the three modes: from a recorder, forked, and in a plain shell.
//!
//! Deliberately absent: traced children; the supervisor's tests have them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects"
)]

mod common;

use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;

use common::{Forkserver, Recorder, host, run_standalone, wait_for_end};
use hotfire_host::{RECORDER_VARIABLE, STATUS_REFUSED};
use hotfire_recorder::{Snapshot, Stage, StepEnded, StepEvent, StepOutcome};

/// Runs a plan in spawn mode; the recorder, the status and both outputs.
fn spawn(plan: &str, beat_period_us: u64) -> (Recorder, std::process::Output) {
    let recorder = Recorder::new(plan, beat_period_us);
    let mut command = host(&[recorder.fd.as_raw_fd()]);
    command.env(RECORDER_VARIABLE, recorder.fd.as_raw_fd().to_string());
    let output = wait_for_end(command);
    (recorder, output)
}

fn ended(snapshot: &Snapshot, lane: usize) -> Vec<StepEnded> {
    let events = snapshot.lanes[lane].events.iter();
    events
        .filter_map(|event| match event {
            StepEvent::Ended(ended) => Some(ended.clone()),
            StepEvent::Begun(_) => None,
        })
        .collect()
}

fn outcomes(snapshot: &Snapshot) -> Vec<StepOutcome> {
    ended(snapshot, 0).into_iter().map(|ended| ended.outcome).collect()
}

/// The signals that Rust's runtime or the host touch; others may come from who runs the tests.
const OURS: u64 = 1 << (libc::SIGPIPE - 1)
    | 1 << (libc::SIGSEGV - 1)
    | 1 << (libc::SIGBUS - 1)
    | 1 << (libc::SIGCHLD - 1);

/// The mask in a line of `/proc/PID/status`.
fn signals(line: &str) -> u64 {
    let mask = line.split('\t').nth(1).expect("a mask");
    u64::from_str_radix(mask, 16).expect("a mask")
}

#[test]
fn spawned_host_runs_its_plan_and_leaves_engines_alive() {
    let (recorder, output) = spawn("create a = toy; load a tiny; generate a 16; generate b", 0);
    let snapshot = recorder.snapshot();
    assert!(output.status.success(), "{output:?}");
    assert_eq!((snapshot.stage, snapshot.damage.len()), (Stage::Exiting, 0));
    let steps = ended(&snapshot, 0);
    let of = |step: usize| (steps[step].outcome, steps[step].text.as_str());
    assert_eq!(of(0), (StepOutcome::Ok, ""));
    assert_eq!((steps[2].digest, steps[2].count, steps[2].torn), (5, 16, false));
    assert_eq!(of(3), (StepOutcome::Illegal, "illegal now: slot `b` is empty"));
    assert_eq!(snapshot.lanes[0].in_flight, None);
    assert_eq!(snapshot.ledger.events.len(), 1, "acquired and not released");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "atexit ran\n");
}

#[test]
fn spawned_host_hides_its_variable_and_descriptor() {
    let (recorder, _) = spawn("create a = toy; call a env HOTFIRE_RECORDER; call a fds", 0);
    let steps = ended(&recorder.snapshot(), 0);
    assert_eq!(steps[1].text, "unset");
    assert_eq!(steps[2].text, "4", "0, 1, 2 and the listing");
}

#[test]
fn signals_are_as_a_program_finds_them() {
    let (recorder, _) = spawn("create a = toy; call a status SigIgn; call a status SigCgt", 0);
    let steps = ended(&recorder.snapshot(), 0);
    assert_eq!(signals(&steps[1].text) & OURS, 0, "ignored: {}", steps[1].text);
    assert_eq!(signals(&steps[2].text) & OURS, 0, "handled: {}", steps[2].text);
}

#[test]
fn lane_that_crashes_leaves_its_step_in_flight() {
    let (recorder, output) = spawn(
        "create a = toy; load a tiny; [until-joined(generate a) | pause 5ms; call a crash]",
        0,
    );
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
    let snapshot = recorder.snapshot();
    assert_eq!(snapshot.stage, Stage::Running);
    let crashed = snapshot.lanes.iter().find(|lane| lane.lane == 2).expect("lane 2");
    assert_eq!(crashed.in_flight.as_ref().map(|begun| begun.step), Some(4));
    let hammer = snapshot.lanes.iter().find(|lane| lane.lane == 1).expect("lane 1");
    assert!(hammer.ended > 1, "{}", hammer.ended);
    assert!(hammer.tid != 0 && crashed.tid != 0 && hammer.tid != crashed.tid);
}

#[test]
fn ways_out_are_real() {
    let cases = [
        ("exit how=exit code=7", Some(7), None, "atexit ran\n"),
        ("exit code=8", Some(8), None, "atexit ran\n"),
        ("exit how=return code=9", Some(9), None, "atexit ran\n"),
        ("exit how=quick code=3", Some(3), None, ""),
        ("exit how=abort", None, Some(libc::SIGABRT), ""),
        ("kill", None, Some(libc::SIGKILL), ""),
        ("interrupt", None, Some(libc::SIGINT), ""),
        ("drop a; exit", Some(0), None, "destructor ran\natexit ran\n"),
        ("[pause 1ms | exit code=5]", Some(5), None, "atexit ran\n"),
        ("exit how=daemon code=4", Some(4), None, "atexit ran\n"),
    ];
    for (ending, code, signal, stdout) in cases {
        let (recorder, output) = spawn(&format!("create a = toy; load a tiny; {ending}"), 0);
        assert_eq!(output.status.code(), code, "{ending}");
        assert_eq!(output.status.signal(), signal, "{ending}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{ending}");
        let snapshot = recorder.snapshot();
        let is_announced = ending.contains("exit");
        assert_eq!(snapshot.stage == Stage::Exiting, is_announced, "{ending}");
        assert!(snapshot.lanes.iter().any(|lane| lane.in_flight.is_some()), "{ending}");
    }
}

#[test]
fn panics_and_torn_results_are_told() {
    let (recorder, output) = spawn("create a = toy; call a panic; call a torn; call a torn", 0);
    assert!(output.status.success());
    let steps = ended(&recorder.snapshot(), 0);
    assert_eq!(steps[1].outcome, StepOutcome::Panic);
    assert_eq!(steps[1].text, "told to panic");
    assert!(steps[2].torn && steps[2].outcome == StepOutcome::Ok);
    assert_eq!(steps[3].iteration, 0, "counted per step, not per operation");
}

#[test]
fn refused_plans_are_told_before_any_step() {
    let cases = [
        ("create a = toy; lood a tiny", "unknown operation"),
        ("create a = nosuch", "unknown engine `nosuch`; this host has toy, threaded"),
        ("create a = toy; fail(malloc@3) load a tiny", "not available yet"),
        ("@order(1,2); create a = toy", "not available yet"),
        ("[create a = toy | exit how=return]", "stand in no lane"),
    ];
    for (plan, message) in cases {
        let (recorder, output) = spawn(plan, 0);
        assert_eq!(output.status.code(), Some(i32::from(STATUS_REFUSED)), "{plan}");
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.stage, Stage::Refused, "{plan}");
        assert!(snapshot.lanes.is_empty(), "{plan}");
        let told = snapshot.message.expect("a message");
        assert!(told.contains(message), "{plan}: {told}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{plan}");
    }
}

#[test]
fn what_is_no_recorder_is_refused() {
    let recorder = Recorder::new("create a = toy", 0);
    recorder.truncate(4096);
    let mut command = host(&[recorder.fd.as_raw_fd()]);
    command.env(RECORDER_VARIABLE, recorder.fd.as_raw_fd().to_string());
    let output = wait_for_end(command);
    assert_eq!(output.status.code(), Some(i32::from(STATUS_REFUSED)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("too short"), "{output:?}");
    let mut command = host(&[]);
    command.env(RECORDER_VARIABLE, "77");
    let output = wait_for_end(command);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`77` is no open"), "{output:?}");
}

#[test]
fn blocked_loop_shows_as_a_gap_with_its_step() {
    let (recorder, _) =
        spawn("create a = toy; pause 30ms; call a block 80 on=loop; pause 10ms", 2_000);
    let snapshot = recorder.snapshot();
    let beats = snapshot.event_loop.clone().expect("a loop");
    assert_eq!((beats.tid, beats.gap_step), (0, 2));
    assert!(beats.gap_max_ns >= 80_000_000, "{}", beats.gap_max_ns);
    assert!(beats.beats >= 5, "{}", beats.beats);
    assert_eq!(outcomes(&snapshot), [StepOutcome::Ok, StepOutcome::Ok]);
}

#[test]
fn loop_goes_on_beating_while_a_lane_blocks() {
    let (recorder, _) = spawn("create a = toy; call a block 100", 2_000);
    let beats = recorder.snapshot().event_loop.expect("a loop");
    assert!(beats.beats >= 10, "{}", beats.beats);
    assert_eq!(beats.gap_step, 0);
}

#[test]
fn forked_worker_of_an_engine_survives_the_ledger() {
    let (recorder, _) = spawn("create a = toy; call a fork", 0);
    let snapshot = recorder.snapshot();
    assert_eq!(ended(&snapshot, 0)[1].text, "status 0");
    assert_eq!(snapshot.ledger.total, 1, "the worker's event is not ours");
}

#[test]
fn standalone_runs_a_plan_and_tells_when_asked() {
    let output = run_standalone(&["--plan", "env TOY=yes; create a = toy; call a env TOY", "-v"]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "lane 0 step 1 `create a = toy` ok");
    assert_eq!(lines[1], "lane 0 step 2 `call a env TOY` failed: yes");
    let quiet = run_standalone(&["--plan", "create a = toy"]);
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn standalone_statuses_are_a_shells() {
    let status = |plan| run_standalone(&["--plan", plan]).status;
    assert_eq!(status("create a = toy:fail=yes").code(), Some(1));
    assert_eq!(status("create a = toy; generate a").code(), Some(0), "illegal on purpose");
    assert_eq!(status("create a = toy; call a crash").signal(), Some(libc::SIGSEGV));
    assert_eq!(status("create a = nosuch").code(), Some(96));
    let usage = run_standalone(&["--plain"]);
    assert_eq!(usage.status.code(), Some(96));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("unknown argument `--plain`"));
}

#[test]
fn standalone_reads_a_file() {
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().join("some.plan");
    std::fs::write(&path, "hotfire-plan 1\ncreate a = toy\nexit code=6\n").expect("written");
    let output = run_standalone(&["--plan", &format!("@{}", path.display())]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let output = run_standalone(&["--plan", "@/nowhere/at.all"]);
    assert_eq!(output.status.code(), Some(96));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`/nowhere/at.all` cannot be read"));
}

#[test]
fn forkserver_runs_a_hundred_children_and_keeps_none() {
    let mut server = Forkserver::start("toy");
    assert_eq!(server.receive(), "ready");
    for turn in 0..100u32 {
        let recorder = Recorder::new("create a = toy; load a tiny; generate a 3", 0);
        let child = server.run(&recorder);
        child.wait();
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.stage, Stage::Exiting, "{turn}: {:?}", snapshot.message);
        assert_eq!(outcomes(&snapshot), [StepOutcome::Ok; 3], "{turn}");
        assert_eq!(child.output(), "atexit ran\n", "{turn}");
    }
    assert_eq!(server.children(), Vec::<i32>::new());
    server.send("end", &[]);
    assert!(server.wait().success());
}

#[test]
fn forked_child_is_as_clean_as_a_spawned_one() {
    let mut server = Forkserver::start("toy");
    assert_eq!(server.receive(), "ready");
    let recorder = Recorder::new(
        "create a = toy; call a status SigBlk; call a status SigIgn; call a fds; \
         call a env HOTFIRE_FORKSERVER; call a env HOTFIRE_PREPARE; call a fork",
        0,
    );
    server.run(&recorder).wait();
    let texts: Vec<String> =
        ended(&recorder.snapshot(), 0).into_iter().map(|ended| ended.text).collect();
    assert_eq!(signals(&texts[1]), 0, "blocked: {}", texts[1]);
    assert_eq!(signals(&texts[2]) & OURS, 0, "ignored: {}", texts[2]);
    assert_eq!(texts[3], "4", "0, 1, 2 and the listing");
    assert_eq!((texts[4].as_str(), texts[5].as_str()), ("unset", "unset"));
    assert_eq!(texts[6], "status 0", "SIGCHLD is as usual, so waitpid works");
}

#[test]
fn forked_child_that_crashes_leaves_its_step_and_the_server() {
    let mut server = Forkserver::start("toy");
    assert_eq!(server.receive(), "ready");
    let recorder = Recorder::new("create a = toy; call a crash", 0);
    server.run(&recorder).wait();
    let snapshot = recorder.snapshot();
    assert_eq!(snapshot.lanes[0].in_flight.as_ref().map(|begun| begun.step), Some(2));
    let recorder = Recorder::new("env A=b; create a = toy", 0);
    let child = server.run(&recorder);
    child.wait();
    assert_eq!(recorder.snapshot().stage, Stage::Refused);
    assert!(child.output().contains("needs a fresh process"), "{}", child.output());
    assert_eq!(server.children(), Vec::<i32>::new());
}

#[test]
fn forkserver_says_why_it_may_not_fork() {
    let cases = [
        ("toy,threaded", "refused: may not fork: 2 threads run"),
        ("device", "refused: may not fork: `/dev/p"),
        ("absent", "refused: `absent` cannot be prepared: libabsent.so; help: fetch it"),
        ("nosuch", "refused: unknown engine `nosuch`"),
    ];
    for (prepare, message) in cases {
        let mut server = Forkserver::start(prepare);
        let told = server.receive();
        assert!(told.starts_with(message), "{prepare}: {told}");
        assert_eq!(server.wait().code(), Some(i32::from(STATUS_REFUSED)), "{prepare}");
    }
}

#[test]
fn forkserver_answers_nonsense_and_ends_with_its_socket() {
    let mut server = Forkserver::start("");
    assert_eq!(server.receive(), "ready");
    server.send("walk", &[]);
    assert_eq!(server.receive(), "failed: unknown request");
    server.send("run", &[]);
    assert_eq!(server.receive(), "failed: a run needs three descriptors");
    let recorder = Recorder::new("create a = toy", 0);
    server.send("run", &[recorder.fd.as_raw_fd(); 5]);
    assert!(server.receive().starts_with("failed: "));
    let child = server.run(&recorder);
    child.wait();
    server.hang_up();
    assert!(server.wait().success());
}

#[test]
fn forkserver_proves_again_before_each_fork() {
    let mut server = Forkserver::start("late-thread");
    assert_eq!(server.receive(), "ready");
    let recorder = Recorder::new("create a = toy", 0);
    server.run(&recorder).wait();
    assert_eq!(recorder.snapshot().stage, Stage::Exiting);
    server.signal(libc::SIGUSR1);
    let fd = recorder.fd.as_raw_fd();
    server.send("run", &[fd, fd, fd]);
    assert_eq!(server.receive(), "refused: may not fork: 2 threads run");
    server.hang_up();
    assert!(server.wait().success());
}
