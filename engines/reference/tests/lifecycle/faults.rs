//! Defects of lifetime and bound that end in a bad access; `defects.rs` holds the first four.

use crate::children::{crashes, deaths, run, silent};
use crate::place::{faults_in_engine_code, faults_of_race};

#[test]
fn double_cleanup_kills_the_second_cleanup() {
    let create = "create defect=double-cleanup";
    let twice = [create, "load tiny", "generate 16", "cleanup", "cleanup"];
    assert_eq!(crashes(10, &twice), 10);
    faults_in_engine_code(&twice, "Model");
    let text = run(&twice).text;
    assert_eq!(text.matches("\ncleanup: ok").count(), 1, "the first one must come back: {text}");
}

#[test]
fn double_cleanup_is_silent_after_one() {
    let create = "create defect=double-cleanup";
    silent(&[create, "load tiny", "generate 16", "drop"]);
    silent(&[create, "load tiny", "cleanup", "quick"]);
    silent(&[create, "cleanup", "cleanup", "drop"]);
    silent(&["create", "load tiny", "generate 16", "cleanup", "cleanup", "drop"]);
}

#[test]
fn device_teardown_kills_the_closing_of_sessions() {
    let create = "create defect=device-teardown device=aux";
    for last in ["drop", "cleanup"] {
        assert_eq!(crashes(10, &[create, "load tiny", "generate 16", last]), 10);
    }
    faults_in_engine_code(&[create, "load tiny", "generate 16", "drop"], "SessionStore");
}

#[test]
fn device_teardown_is_silent_without_sessions() {
    silent(&["create defect=device-teardown device=aux", "load tiny", "drop"]);
    silent(&["create device=aux", "load tiny", "generate 16", "drop"]);
}

#[test]
fn unload_during_generate_kills_a_generate() {
    // Far more generates than the unload waits for, so that it meets two however late a lane is.
    let contest = "[9999x generate 64 | 9999x generate 64 | export ms=50; unload]";
    // The first generate starts the workers, which may take longer than the unload waits.
    let steps = ["create defect=unload-during-generate", "load tiny", "generate 4", contest];
    let crashed = faults_of_race(20, &steps, "");
    assert!(crashed >= 10, "{crashed} of 20");
}

#[test]
fn unload_during_generate_is_silent_without_a_generate_in_flight() {
    let create = "create defect=unload-during-generate";
    silent(&[create, "load tiny", "generate 16", "unload", "load other", "generate 16", "drop"]);
    let contest = "[200x generate 64 | 200x generate 64 | export ms=9; unload]";
    silent(&["create", "load tiny", contest, "drop"]);
}

#[test]
fn worker_outlives_engine_kills_the_worker() {
    // The window ends with the fault: a long one costs nothing, and lets a late worker come.
    let create = "create defect=worker-outlives-engine window=5s";
    for last in ["drop", "cleanup"] {
        let steps = [create, "load tiny", "generate 16", last];
        let crashed = faults_of_race(20, &steps, "Pool::work");
        assert!(crashed >= 10, "{crashed} of 20 in {last}");
    }
}

#[test]
fn worker_outlives_engine_is_silent_without_a_worker() {
    silent(&["create defect=worker-outlives-engine", "load tiny", "drop"]);
    silent(&["create", "load tiny", "generate 16", "drop"]);
}

/// Rust's own handler turns the fault into an abort; the trap stands in its place.
#[test]
fn stack_overflow_needs_an_empty_prompt() {
    let create = "create defect=stack-overflow";
    let empty = [create, "load tiny", "generate 16 prompt="];
    assert_eq!(deaths(10, libc::SIGABRT, &empty), 10);
    assert_eq!(crashes(3, &["trap", create, "load tiny", "generate 16 prompt="]), 3);
    faults_in_engine_code(&empty, "fold_range");
    silent(&[create, "load tiny", "generate 16", "generate 16 prompt=a", "generate 16 prompt=ab"]);
    silent(&["create", "load tiny", "generate 16 prompt="]);
}

#[test]
fn truncated_model_faults_behind_the_end_of_its_file() {
    let create = "create defect=truncated-model";
    let over_itself =
        ["load tiny", "export tmp:m", "unload", "load tmp:m", "export tmp:m", "generate 4", "drop"];
    let steps = [[create].as_slice(), &over_itself].concat();
    assert_eq!(deaths(10, libc::SIGBUS, &steps), 10);
    faults_in_engine_code(&steps, "Model");
    let text = silent(&[["create"].as_slice(), &over_itself].concat());
    assert_eq!(text.matches("ok").count(), 8, "{text}");
}

#[test]
fn truncated_model_is_silent_once_the_weights_are_read() {
    let create = "create defect=truncated-model";
    silent(&[
        create,
        "load tiny",
        "export tmp:m",
        "unload",
        "load tmp:m",
        "generate 4",
        "export tmp:m",
        "drop",
    ]);
}
