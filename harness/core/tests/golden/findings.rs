//! What is a finding, and what is not; phase, step, culprit and identity of each kind.

use hotfire_core::diagnose::Finding;
use hotfire_core::observe::{
    DescendantEnd, Ending, Fact, Heartbeat, HostStage, LaneRecord, StallReason, StepInFlight,
};

use crate::build::{
    CHILD, CRASH_NS, Case, crash, descendant, ended, healthy, ledger_event, lock, thread,
};

const PLAN: &str = "create a = reference; load a tiny; generate a 16; exit";

fn json(finding: &Finding) -> String {
    serde_json::to_string_pretty(finding).unwrap()
}

fn words(case: &Case) -> Vec<String> {
    case.findings()
        .iter()
        .map(|finding| {
            format!("{} {} {} {}", finding.code, finding.status, finding.class, finding.phase)
        })
        .collect()
}

#[test]
fn a_healthy_run_is_silent() {
    assert_eq!(words(&healthy(PLAN)), Vec::<String>::new());
}

#[test]
fn a_crash_belongs_to_the_step_in_flight() {
    let finding = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18))).finding();
    insta::assert_snapshot!(json(&finding));
}

#[test]
fn the_victims_lane_decides_which_step_matters() {
    let plan = "create a = reference; load a tiny; [generate a 16 | unload a]; exit";
    let mut fault = crash(11, 1, Some(0x7f00_0000_0000));
    fault.victim.tid = 102;
    let case = healthy(plan).with_lane(1, 101, 3).with_lane(2, 102, 4).crashed(fault.clone());
    let finding = case.finding();
    assert_eq!(finding.step.unwrap().text, "unload a");
    assert_eq!(finding.phase, "unload");
    assert_eq!(finding.steps_in_flight, ["generate a 16", "unload a"]);
    // A worker thread of the engine's own: no lane's, so the first lane in flight stands for it.
    fault.victim.tid = 999;
    let case = healthy(plan).with_lane(1, 101, 3).with_lane(2, 102, 4).crashed(fault);
    assert_eq!(case.finding().step.unwrap().lane, 1);
}

#[test]
fn a_crash_after_the_last_step_is_an_exit_crash() {
    let mut case = healthy(PLAN).in_step(4).crashed(crash(6, -6, None));
    case.recorded().stage = HostStage::Exiting;
    let finding = case.finding();
    assert_eq!((finding.code.as_str(), finding.status.as_str()), ("X202", "EXIT-CRASH"));
    assert_eq!(finding.phase, "exit");
    assert_eq!(finding.signal.as_deref(), Some("SIGABRT"));
    // Without an `exit` step: the host's main returned.
    let mut case = healthy("create a = reference").crashed(crash(11, 1, Some(0x18)));
    case.recorded().stage = HostStage::Exiting;
    assert_eq!(words(&case), ["X201 EXIT-CRASH null-dereference exit"]);
}

#[test]
fn a_descendants_crash_belongs_to_the_step_of_its_time() {
    let mut fault = crash(11, 1, Some(0x18));
    fault.victim.is_child = false;
    fault.victim.pid = 200;
    fault.victim.tid = 200;
    // Step 2 ran from 1.1 to 2 ms.
    fault.time_ns = 1_500_000;
    let case = healthy(PLAN).crashed(fault);
    let finding = case.finding();
    assert_eq!((finding.phase.as_str(), finding.code.as_str()), ("load", "C101"));
    assert_eq!(finding.victim.unwrap().relation, "descendant");
    // Behind the last step's end it is on the way out.
    let mut late = case.clone();
    late.observation.crash.as_mut().unwrap().time_ns = CRASH_NS;
    assert_eq!(late.finding().status, "EXIT-CRASH");
}

#[test]
fn a_worker_that_the_run_itself_ends_is_no_finding() {
    let mut kill = crash(15, 0, None);
    kill.victim.is_child = false;
    kill.victim.pid = 200;
    if let Fact::Known(info) = &mut kill.siginfo {
        info.sender = Some(CHILD);
    }
    let end = DescendantEnd::Signaled(15);
    let case = healthy(PLAN).crashed(kill).with_descendant(descendant(200, end));
    assert_eq!(words(&case), Vec::<String>::new());
    let mut outside = case.clone();
    if let Fact::Known(info) = &mut outside.observation.crash.as_mut().unwrap().siginfo {
        info.sender = Some(9999);
    }
    assert_eq!(outside.finding().class, "external-kill");
    // SIGSEGV is never a request to end.
    let mut fault = case;
    fault.observation.crash.as_mut().unwrap().signal = 11;
    assert_eq!(fault.findings().len(), 1);
}

#[test]
fn a_death_that_was_not_captured_is_still_a_finding() {
    let case = healthy(PLAN).in_step(3).ending(Ending::Signaled(11));
    assert_eq!(words(&case), ["C101 SIGSEGV unknown generate"]);
}

#[test]
fn planned_deaths_are_no_findings_and_others_are() {
    let killed = healthy("create a = reference; kill").in_step(2).ending(Ending::Signaled(9));
    assert_eq!(words(&killed), Vec::<String>::new());
    // Killed in step 1 already: somebody else did it.
    let early = healthy("create a = reference; kill").in_step(1).ending(Ending::Signaled(9));
    assert_eq!(words(&early), ["C108 SIGKILL unknown create"]);
    let interrupted =
        healthy("create a = reference; interrupt").in_step(2).ending(Ending::Signaled(2));
    assert_eq!(words(&interrupted), Vec::<String>::new());
    let abort = healthy("create a = reference; exit how=abort").in_step(2);
    let mut abort = abort.crashed(crash(6, -6, None));
    abort.recorded().stage = HostStage::Exiting;
    assert_eq!(words(&abort), Vec::<String>::new());
    let unplanned = healthy(PLAN).in_step(3).ending(Ending::Signaled(9));
    assert_eq!(words(&unplanned), ["C108 SIGKILL unknown generate"]);
}

#[test]
fn culprits_are_no_runtimes() {
    let mut in_libc = crash(11, 1, Some(0x18));
    if let Fact::Known(location) = &mut in_libc.location {
        location.module = "/lib/x86_64-linux-gnu/libc.so.6".to_owned();
    }
    let finding = healthy(PLAN).in_step(3).crashed(in_libc).finding();
    assert_eq!(finding.culprit, None);
    assert!(finding.evidence.iter().any(|line| line.text.contains("libc.so.6")));
}

#[test]
fn the_signature_holds_what_stays_the_same() {
    let here = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18))).finding();
    let plan = "create a = reference:defect=x; load a big; generate a 99; exit";
    let mut other = crash(11, 1, Some(0x20));
    other.victim.tid = 777;
    let there = healthy(plan).in_step(3).crashed(other.clone()).finding();
    assert_eq!(here.id, there.id, "arguments, addresses and tids are no identity");
    if let Fact::Known(location) = &mut other.location {
        location.function = Some("engine::Other::step(int)".to_owned());
    }
    let elsewhere = healthy(plan).in_step(3).crashed(other).finding();
    assert_ne!(here.id, elsewhere.id);
    assert_eq!(here.id.len(), 16);
}

#[test]
fn hangs_tell_what_each_thread_waits_for() {
    let threads = vec![thread(CHILD, lock(0x10)), thread(101, lock(0x10))];
    let case = healthy(PLAN).in_step(3).stalled(StallReason::EndlessWait, threads);
    let finding = case.finding();
    assert_eq!((finding.code.as_str(), finding.class.as_str()), ("H301", "unknown"));
    assert_eq!(finding.threads[0].waits_on.as_deref(), Some("futex 0x10"));
    insta::assert_snapshot!(json(&finding));
}

#[test]
fn each_limit_has_its_code() {
    let code = |reason| {
        let mut case = healthy(PLAN).in_step(3).stalled(reason, Vec::new());
        if reason == StallReason::ExitLimit {
            case.recorded().stage = HostStage::Exiting;
        }
        words(&case).remove(0)
    };
    assert_eq!(code(StallReason::StepLimit), "H302 HANG unknown generate");
    assert_eq!(code(StallReason::RunLimit), "H303 HANG unknown generate");
    assert_eq!(code(StallReason::ExitLimit), "H304 HANG unknown exit");
    assert_eq!(code(StallReason::ProcessLimit), "L402 LEAK unknown generate");
}

#[test]
fn a_heartbeat_that_stops_too_long_is_a_freeze() {
    let beat = |gap_max_us| {
        let mut case = healthy("create a = reference; load a tiny; export a onnx");
        let allowed_us = 250_000;
        case.recorded().heartbeat =
            Some(Heartbeat { beats: 40, gap_max_us, gap_step: 3, allowed_us });
        case
    };
    assert_eq!(words(&beat(250_000)), Vec::<String>::new());
    assert_eq!(words(&beat(250_001)), ["H310 FROZEN missed-heartbeat export"]);
    let crashed = beat(900_000).crashed(crash(11, 1, Some(0x18)));
    assert_eq!(words(&crashed).len(), 1, "the crash stopped the heart");
}

#[test]
fn orphans_carry_the_step_they_were_born_in() {
    let end = DescendantEnd::LeftBehind { outlived_us: 300_000 };
    let case = healthy(PLAN)
        .with_descendant(descendant(200, end.clone()))
        .with_descendant(descendant(201, end.clone()))
        .with_descendant(descendant(202, DescendantEnd::Exited(0)));
    let finding = case.finding();
    assert_eq!(finding.left_behind.len(), 1);
    assert_eq!((finding.left_behind[0].count, finding.left_behind[0].step), (2, Some(2)));
    insta::assert_snapshot!(json(&finding));
    // A planned kill is a regular end; a crash is not.
    let killed = healthy("create a = reference; kill").in_step(2).ending(Ending::Signaled(9));
    assert_eq!(
        words(&killed.with_descendant(descendant(200, end.clone()))),
        ["L401 ORPHANS orphan-process exit"]
    );
    let crashed = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18)));
    assert_eq!(
        words(&crashed.with_descendant(descendant(200, end))),
        ["C101 SIGSEGV null-dereference generate", "L401 ORPHANS orphan-process generate",]
    );
}

#[test]
fn steps_are_held_to_the_model() {
    let failed = healthy(PLAN).outcome(2, |record| {
        record.outcome = "failed".to_owned();
        record.text = "no such model".to_owned();
    });
    assert_eq!(words(&failed), ["P501 FAIL contract-violation load"]);
    insta::assert_snapshot!(json(&failed.finding()));
    // generate without a model must be refused.
    let illegal = "create a = reference; generate a 4; exit";
    assert_eq!(words(&healthy(illegal)), ["P502 FAIL contract-violation generate"]);
    let refused = healthy(illegal).outcome(2, |record| record.outcome = "illegal".to_owned());
    assert_eq!(words(&refused), Vec::<String>::new());
    let torn = healthy(PLAN).outcome(3, |record| record.torn = true);
    assert_eq!(words(&torn), ["P503 FAIL torn-result generate"]);
    let panicked = healthy(PLAN).outcome(3, |record| record.outcome = "panic".to_owned());
    assert_eq!(words(&panicked), ["P504 PANIC rust-panic generate"]);
}

#[test]
fn one_step_that_fails_often_is_one_finding() {
    let mut case = healthy("create a = reference; 3x(load a tiny; unload a)");
    let lane = &mut case.recorded().lanes[0];
    lane.steps = vec![ended(1, "ok"), ended(2, "failed"), ended(2, "failed"), ended(2, "ok")];
    let finding = case.finding();
    assert!(finding.evidence.iter().any(|line| line.text == "so it ended 2 of 3 times"));
}

#[test]
fn an_engine_that_is_not_here_is_skipped_and_not_failed() {
    let missing = healthy(PLAN).outcome(1, |record| {
        record.outcome = "missing".to_owned();
        record.text = "no libllama.so; help: scripts/fetch-engines.sh".to_owned();
    });
    let missing = missing.outcome(2, |record| record.outcome = "illegal".to_owned());
    assert_eq!(words(&missing), Vec::<String>::new(), "the rest follows from it");
    let reason = hotfire_core::diagnose::skip_reason(&missing.observation, &missing.context());
    assert_eq!(reason.as_deref(), Some("no libllama.so; help: scripts/fetch-engines.sh"));
    let healthy = healthy(PLAN);
    assert_eq!(hotfire_core::diagnose::skip_reason(&healthy.observation, &healthy.context()), None);
}

#[test]
fn exits_are_held_to_the_plan() {
    assert_eq!(words(&healthy(PLAN).ending(Ending::Exited(3))), ["P510 FAIL nonzero-exit exit"]);
    let planned = "create a = reference; exit code=3";
    assert_eq!(words(&healthy(planned).ending(Ending::Exited(3))), Vec::<String>::new());
    assert_eq!(words(&healthy(planned)).len(), 1, "0 is not what the plan says");
    assert_eq!(words(&healthy(PLAN).in_step(3)), ["P511 FAIL clean-exit generate"]);
    let interrupted = healthy("create a = reference; interrupt; load a tiny").in_step(2);
    assert_eq!(words(&interrupted.clone().ending(Ending::Exited(130))), Vec::<String>::new());
    assert_eq!(words(&interrupted), Vec::<String>::new());
}

#[test]
fn a_lane_without_a_start_does_not_hide_the_others() {
    let mut case = healthy(PLAN).in_step(3);
    let in_flight = Some(StepInFlight { step: 9, iteration: 0, begun_ns: 1 });
    case.recorded().lanes.push(LaneRecord {
        lane: 3,
        tid: 0,
        in_flight,
        steps: vec![ended(77, "failed")],
        ended: 1,
    });
    let finding = case.crashed(crash(11, 1, Some(0x18))).finding();
    assert_eq!(finding.steps_in_flight, ["generate a 16", "step 9"]);
}

#[test]
fn the_ledger_is_held_to_its_order() {
    let (engine, tensor) = (("engine", 1, 0), ("tensor", 2, 1));
    let late = vec![
        ledger_event(1, true, engine, (0, 0)),
        ledger_event(2, true, tensor, (0, 0)),
        ledger_event(3, false, engine, (0, 0)),
        ledger_event(4, false, tensor, (0, 0)),
    ];
    let case = healthy(PLAN).with_ledger(late);
    assert_eq!(words(&case), ["P520 FAIL ledger-violation cleanup"]);
    let mut unused = case.clone();
    unused.ledger_used = false;
    assert_eq!(words(&unused), Vec::<String>::new());
    // With a crash, it is evidence.
    let crashed = case.crashed(crash(11, 1, Some(0x18)));
    let finding = crashed.finding();
    assert!(finding.evidence.iter().any(|line| line.source == "ledger"));
}

#[test]
fn runs_that_tell_nothing_say_so() {
    let lost = healthy(PLAN).ending(Ending::ObserverLost("SIGKILL".to_owned()));
    assert_eq!(words(&lost), ["E902 BLIND unknown run"]);
    let not = healthy(PLAN).ending(Ending::NotStarted("no such file".to_owned()));
    assert_eq!(words(&not), ["E901 BLIND unknown startup"]);
    let mut refused = healthy(PLAN).ending(Ending::Exited(96));
    refused.recorded().stage = HostStage::Refused;
    refused.recorded().refusal = Some("no engine is called x".to_owned());
    assert_eq!(words(&refused), ["E910 BLIND unknown startup"]);
    assert_eq!(refused.finding().evidence[0].text, "no engine is called x");
    let mut unborn = healthy(PLAN).ending(Ending::Exited(127));
    unborn.recorded().stage = HostStage::Unborn;
    assert_eq!(words(&unborn), ["E911 BLIND unknown startup"]);
    // A crash in the libraries' constructors is the engine's.
    let mut early = healthy(PLAN).crashed(crash(11, 1, Some(0x18)));
    early.recorded().stage = HostStage::Attached;
    early.recorded().lanes.clear();
    assert_eq!(words(&early), ["C101 SIGSEGV null-dereference startup"]);
}

#[test]
fn without_a_recorder_the_death_is_still_told() {
    let mut case = healthy(PLAN).crashed(crash(11, 1, Some(0x18)));
    case.observation.recorder = Fact::Unavailable("the child truncated it".to_owned());
    let finding = case.finding();
    assert_eq!((finding.phase.as_str(), finding.step.as_ref()), ("run", None));
    assert!(finding.evidence.iter().any(|line| line.text.contains("the child truncated it")));
}

#[test]
fn the_same_observation_gives_the_same_bytes() {
    let case = healthy(PLAN).in_step(3).crashed(crash(11, 1, Some(0x18)));
    let bytes = || serde_json::to_string(&case.findings()).unwrap();
    assert_eq!(bytes(), bytes());
    let stored = serde_json::to_string(&case.observation).unwrap();
    let mut again = case.clone();
    again.observation = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&again.findings()).unwrap(), bytes());
}
