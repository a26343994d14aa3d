//! The healthy engine: thousands of random lives without a signal, a leftover or a wrong token,
//! and a clean exit with everything alive.

use std::process::Command;

use crate::children::{example, silent};

fn stress(seed: u32, rounds: u32) {
    let seed = seed.to_string();
    let output =
        Command::new(example("stress")).args([&seed, &rounds.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {}: {text}", output.status);
}

#[test]
fn random_lives_are_silent() {
    for seed in 1..=4 {
        stress(seed, 500);
    }
}

/// The engine is linked into the command, which must run none of it unless asked.
#[test]
fn the_engine_has_no_code_that_runs_at_start() {
    let symbols = Command::new("nm").arg(example("lifecycle")).output().unwrap();
    let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
    assert!(symbols.contains("hotfire9reference"), "nm sees the engine");
    // libstdc++ and cxx's runtime have such code of their own. The compiler names it after the
    // source file, or after the first object in it.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cpp");
    let sources: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(sources.contains(&"arena.cc".to_owned()));
    let at_start = symbols.lines().find(|line| {
        line.split_once("_GLOBAL__sub_I").is_some_and(|(_, name)| {
            name.contains("hotfire")
                || sources.iter().any(|file| name.ends_with(&format!("_{file}")))
        })
    });
    assert_eq!(at_start, None);
}

#[test]
fn exit_with_a_live_engine_is_silent() {
    for end in ["exit", "quick", "generate 1"] {
        silent(&["create", "load tiny", "generate 16", end]);
        silent(&["create device=aux", "load tiny", "generate 16", "swap model=other", end]);
        silent(&["create process=1", "load tiny", "generate 16", end]);
        silent(&["create", "load broken", end]);
    }
}

#[test]
fn exit_beside_a_generate_in_flight_is_silent() {
    for device in ["host", "aux"] {
        let create = format!("create device={device}");
        for end in ["exit", "generate 1"] {
            silent(&[&create, "load tiny", "generate 2", "&generate 1000000", end]);
            silent(&[&create, "load tiny", "generate 2", "&9999x swap model=other", end]);
        }
    }
}

/// Two pass the semaphore at once; the third waits for it when the process exits.
#[test]
fn exit_beside_a_generate_that_waits_is_silent() {
    let endless = "&generate 1000000";
    for end in ["exit", "drop", "cancel"] {
        silent(&["create semaphore=1", "load tiny", "generate 2", endless, endless, endless, end]);
    }
}
