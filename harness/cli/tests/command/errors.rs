//! What a user can get wrong: each has its exit status and a next step.

use crate::Case;
use crate::workshop::{Done, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("error-plan-with-a-typo", plan_with_a_typo),
    ("error-scenario-with-an-unknown-key", scenario_with_an_unknown_key),
    ("error-scenario-with-a-typo-in-its-plan", scenario_with_a_typo_in_its_plan),
    ("error-unknown-engine", unknown_engine),
    ("error-filter-that-matches-nothing", filter_that_matches_nothing),
    ("error-missing-model", missing_model),
    ("error-what-is-not-available-yet", what_is_not_available_yet),
    ("error-full-disk", full_disk),
    ("error-report-into-a-missing-folder", report_into_a_missing_folder),
    ("error-unknown-finding-and-code", unknown_finding_and_code),
    ("error-missing-files", missing_files),
    ("error-wrong-flags", wrong_flags),
];

const HEALTHY: &str = "create a = reference; load a tiny; exit";

/// The status, all of these texts, and nothing on standard output or left in the folder.
fn assert_told(done: &Done, status: i32, texts: &[&str]) {
    assert_eq!(done.status, status, "{}", done.stderr);
    assert_eq!(done.stdout, "");
    for text in texts {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
}

fn plan_with_a_typo() {
    let workshop = Workshop::new();
    let plan = "create a = reference; laod a tiny";
    let expected = "error: plan:1:23: unknown operation `laod`\n  |\n\
                    1 | create a = reference; laod a tiny\n  |                       ^^^^\n\
                    help: did you mean `load`?\n";
    for arguments in [["run", "--plan", plan].as_slice(), &["replay", plan]] {
        let done = workshop.run(arguments);
        assert_told(&done, 2, &[]);
        assert_eq!(done.stderr, expected);
    }
    assert!(!workshop.path(".hotfire").exists());
}

fn scenario_with_an_unknown_key() {
    let workshop = Workshop::new();
    let text = "name = \"mine\"\nsummary = \"s\"\nlifecycle = \"load\"\nengine = \"reference\"\n\
                plnas = ['create a = ENGINE; exit']\n";
    workshop.write("mine.toml", text);
    let done = workshop.run(&["run", "mine.toml"]);
    assert_told(&done, 2, &["error: mine.toml:5:1: unknown key `plnas`", "^^^^^", "help: "]);
}

fn scenario_with_a_typo_in_its_plan() {
    let workshop = Workshop::new();
    let text = "name = \"mine\"\nsummary = \"s\"\nlifecycle = \"load\"\nengine = \"reference\"\n\
                plans = [\n  'create a = ENGINE; exit',\n  'create a = ENGINE; drpo a',\n]\n";
    workshop.write("mine.toml", text);
    let done = workshop.run(&["run", "mine.toml"]);
    assert_told(&done, 2, &["error: mine.toml:7:", "`drpo`", "^^^^", "help: did you mean `drop`?"]);
}

fn unknown_engine() {
    let workshop = Workshop::new();
    for arguments in
        [["run", "--engine", "tensorrt"].as_slice(), &["replay", "create a = tensorrt; exit"]]
    {
        let done = workshop.run(arguments);
        let texts = [": no engine is named `tensorrt`; known: reference, llama", "\nhelp: "];
        assert_told(&done, 2, &texts);
    }
}

fn filter_that_matches_nothing() {
    let workshop = Workshop::new();
    let done = workshop.run(&["run", "nosuch", "neither"]);
    let texts = ["error: no scenario matches `nosuch` or `neither`", "help: `hotfire list`"];
    assert_told(&done, 4, &texts);
    // The filter matches, but none of these scenarios is this engine's.
    let done = workshop.run(&["run", "swap-deadlock", "--engine", "llama"]);
    assert_told(&done, 4, &["error: no scenario matches", "help: "]);
}

fn missing_model() {
    let workshop = Workshop::new();
    let done =
        workshop.run(&["replay", "create a = reference; load a nosuch; exit", "--runs", "2"]);
    let texts = [
        "P501 FAIL: step 2 `load a nosuch` must succeed",
        "no model named `nosuch`; known: tiny",
        "hotfire explain P501",
    ];
    assert_told(&done, 100, &texts);
}

fn what_is_not_available_yet() {
    let workshop = Workshop::new();
    for (plan, what) in [
        ("create a = reference; fail(malloc@3) load a tiny; exit", "fault injection"),
        ("create a = reference; load a tiny; @order(1,2,1)", "a recorded schedule"),
    ] {
        let done = workshop.run(&["replay", plan]);
        assert_told(&done, 96, &[&format!("error: {what} is not available yet"), "\nhelp: "]);
    }
}

fn full_disk() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", HEALTHY, "--runs", "1", "--json", "/dev/full"]);
    let texts = ["PASS", "error: cannot write /dev/full: No space left on device", "\nhelp: "];
    assert_told(&done, 110, &texts);
    let texts = ["error: cannot write to standard output: No space left on device", "\nhelp: "];
    let mut command = workshop.command(&["replay", HEALTHY, "--runs", "1", "--json", "-"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(child.stderr).unwrap();
    assert_told(
        &Done { status: child.status.code().unwrap(), stdout: String::new(), stderr },
        110,
        &texts,
    );
}

fn report_into_a_missing_folder() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", HEALTHY, "--json", "missing/report.json"]);
    let texts =
        ["error: cannot write missing/report.json: there is no folder `missing`", "\nhelp: mkdir"];
    assert_told(&done, 110, &texts);
    // It is told before anything runs.
    assert!(!done.stderr.contains("seed"), "{}", done.stderr);
}

fn unknown_finding_and_code() {
    let workshop = Workshop::new();
    for verb in ["show", "replay"] {
        let done = workshop.run(&[verb, "abcdef12"]);
        assert_told(&done, 2, &["error: no finding `abcdef12` is kept in ", "\nhelp: "]);
    }
    let done = workshop.run(&["explain", "C999"]);
    assert_told(&done, 2, &["error: no code or class `C999`", "\nhelp: `hotfire explain`"]);
}

fn missing_files() {
    let workshop = Workshop::new();
    for arguments in [["replay", "@missing.plan"], ["run", "missing.toml"]] {
        let done = workshop.run(&arguments);
        assert_told(&done, 2, &["error: cannot read missing.", "No such file", "\nhelp: "]);
    }
}

fn wrong_flags() {
    let workshop = Workshop::new();
    for arguments in [
        ["run", "--seed", "x"].as_slice(),
        &["run", "--runs", "0"],
        &["run", "--timeout", "5"],
        &["run", "load", "--plan", HEALTHY],
        &["run", "-q", "-v"],
        &["hunt"],
        &[],
    ] {
        let done = workshop.run(arguments);
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{arguments:?}: {}", done.stderr);
        assert!(
            done.stderr.contains("--help") || done.stderr.contains("Usage:"),
            "{}",
            done.stderr
        );
    }
}
