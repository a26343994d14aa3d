//! Runs that do not go on: what hangs for ever is said early, and what only looks so is not.

use hotfire_core::observe::{Ending, LaunchMode, Observation, StallReason, Wait};

use crate::common::case::{assert_exited, fixtures, run};

/// Well under the limits of 30 s, on a busy machine too.
const EARLY_MS: u64 = 2000;

fixtures! {
    ignores_term: run("ignores-term").run_ms(500) => |seen| stalled(seen, StallReason::RunLimit);
    deadlock: run("deadlock").within_ms(EARLY_MS) => deadlocked;
    join_of_deadlocked: run("join-of-deadlocked").within_ms(EARLY_MS) => |seen| endless(seen, 3);
    waits_for_hung_child: run("waits-for-hung-child").within_ms(EARLY_MS) => |seen| endless(seen, 2);
    timed_wait: run("timed-wait") => |seen| assert_exited(seen, 21);
    alarm_wakes: run("alarm-wakes") => |seen| assert_exited(seen, 22);
    join_of_sleeper: run("join-of-sleeper") => |seen| assert_exited(seen, 23);
    waits_for_slow_child: run("waits-for-slow-child") => |seen| assert_exited(seen, 24);
    join_of_endless: run("join-of-endless").run_ms(500) => |seen| stalled(seen, StallReason::RunLimit);
    blocked_read: run("blocked-read").run_ms(500) => |seen| stalled(seen, StallReason::RunLimit);
    step_too_long: run("step-too-long").step_ms(300) => |seen| {
        stalled(seen, StallReason::StepLimit);
        let lanes = &seen.recorder.known().expect("the recorder is whole").lanes;
        assert_eq!(lanes[0].in_flight.map(|step| step.step), Some(5), "{lanes:#?}");
    };
    exit_too_long: run("exit-too-long").exit_ms(300) => |seen| stalled(seen, StallReason::ExitLimit);
    step_since_ever: run("step-since-ever").run_ms(500) => |seen| stalled(seen, StallReason::RunLimit);
    join_of_working_loop: run("join-of-working-loop") => |seen| assert_exited(seen, 25);
    deadlock_beside_loop: run("deadlock-beside-loop").within_ms(EARLY_MS) => |seen| {
        stalled(seen, StallReason::EndlessWait);
        assert_eq!(seen.stall.as_ref().map(|stall| stall.threads.len()), Some(3), "{seen:#?}");
    };
    signal_storm: run("signal-storm").run_ms(500) => |seen| stalled(seen, StallReason::RunLimit);
}

fn stalled(seen: &Observation, reason: StallReason) {
    let stall = seen.stall.as_ref().unwrap_or_else(|| panic!("{seen:#?}"));
    assert_eq!((stall.reason, &seen.ending), (reason, &Ending::Ended), "{stall:#?}");
    assert!(seen.crash.is_none(), "{:#?}", seen.crash);
    assert!(!stall.threads.is_empty());
}

/// Every thread's wait is among the facts.
fn endless(seen: &Observation, threads: usize) {
    stalled(seen, StallReason::EndlessWait);
    let stall = seen.stall.as_ref().expect("checked before");
    assert_eq!(stall.threads.len(), threads, "{stall:#?}");
    let waits = stall.threads.iter().all(|thread| {
        matches!(
            thread.wait,
            Wait::Futex { untimed: true, private: true, .. } | Wait::Child { endless: true, .. }
        )
    });
    assert!(waits, "{stall:#?}");
}

fn deadlocked(seen: &Observation) {
    endless(seen, 2);
    let lanes = &seen.recorder.known().expect("the recorder is whole").lanes;
    assert_eq!(lanes[0].in_flight.map(|step| step.step), Some(2), "{lanes:#?}");
}
