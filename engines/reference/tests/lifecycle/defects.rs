//! Each defect shows as it should, at its rate; its fix and its near-miss twins are silent; and
//! the fault lies in ordinary engine code.

use crate::children::{crashes, run, silent};
use crate::place::{faults_in_engine_code, faults_of_race};

const RACE: &str = "[load tiny | generate 16 | generate 16 | generate 16]";

#[test]
fn cleanup_order_kills_the_destructor() {
    let create = "create defect=cleanup-order";
    assert_eq!(crashes(10, &[create, "load tiny", "drop"]), 10);
    assert_eq!(crashes(5, &[create, "load tiny", "generate 16", "shutdown", "drop"]), 5);
    faults_in_engine_code(&[create, "load tiny", "drop"], "Model");
}

#[test]
fn cleanup_order_is_silent_after_an_explicit_cleanup() {
    let create = "create defect=cleanup-order";
    silent(&[create, "load tiny", "generate 16", "cleanup", "drop"]);
    silent(&[create, "load tiny", "unload", "drop"]);
    silent(&[create, "drop"]);
    silent(&[create, "load tiny", "generate 16"]);
}

#[test]
fn half_built_init_kills_the_destructor_after_a_failed_load() {
    let create = "create defect=half-built-init";
    assert_eq!(crashes(10, &[create, "load broken", "drop"]), 10);
    faults_in_engine_code(&[create, "load broken", "drop"], "Model");
    let text = run(&[create, "load broken", "drop"]).text;
    assert!(text.contains("load broken: tensor 5 "), "the load itself must come back: {text}");
    assert!(!text.contains("drop: ok"));
}

#[test]
fn half_built_init_is_silent_for_a_model_that_loads() {
    let create = "create defect=half-built-init";
    silent(&[create, "load tiny", "generate 16", "drop"]);
    silent(&[create, "load tiny", "unload", "load other", "generate 16", "cleanup", "drop"]);
    silent(&["create", "load broken", "drop"]);
}

#[test]
fn generate_during_load_is_a_race() {
    let create = "create defect=generate-during-load";
    let with_default = faults_of_race(20, &[create, RACE, "drop"], "");
    assert!(with_default >= 10, "{with_default} of 20");
    let with_small = crashes(20, &["create defect=generate-during-load window=1us", RACE, "drop"]);
    assert!(with_small < with_default, "{with_small} of 20 with 1 µs, {with_default} by default");
}

#[test]
fn generate_during_load_is_silent_once_the_load_has_ended() {
    let create = "create defect=generate-during-load";
    for _ in 0..5 {
        let text =
            silent(&[create, "load tiny", "[generate 16 | generate 16 | generate 16]", "drop"]);
        assert_eq!(text.matches("generate 16: ok").count(), 3, "{text}");
        silent(&["create", RACE, "drop"]);
    }
}

#[test]
fn exit_static_order_kills_a_worker_at_exit() {
    let create = "create defect=exit-static-order";
    assert_eq!(crashes(10, &[create, "load tiny", "generate 16"]), 10);
    assert_eq!(crashes(10, &[create, "load tiny", "generate 16", "exit"]), 10);
    faults_in_engine_code(&[create, "load tiny", "generate 16"], "Pool::work");
}

#[test]
fn exit_static_order_is_silent_without_a_live_worker() {
    let create = "create defect=exit-static-order";
    silent(&[create, "load tiny", "generate 16", "shutdown"]);
    silent(&[create, "load tiny", "generate 16", "drop", "exit"]);
    silent(&[create, "load tiny", "generate 16", "cleanup", "exit"]);
    silent(&[create, "load tiny", "generate 16", "quick"]);
    silent(&[create, "load tiny"]);
}

#[test]
fn two_defects_live_side_by_side() {
    let create = "create defect=half-built-init+exit-static-order";
    assert_eq!(run(&[create, "load broken", "drop"]).signal, Some(libc::SIGSEGV));
    assert_eq!(run(&[create, "load tiny", "generate 16"]).signal, Some(libc::SIGSEGV));
    silent(&[create, "load tiny", "generate 16", "drop"]);
}
