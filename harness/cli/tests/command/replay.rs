//! `replay` of a plan that crashes each time: what it says, and what its JSON says.

use serde_json::Value;

use crate::Case;
use crate::workshop::{Done, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("replay-tells-signal-step-thread-and-rate", tells_signal_step_thread_and_rate),
    ("replay-json-file-is-valid", json_file_is_valid),
    ("replay-json-output-is-valid", json_output_is_valid),
    ("replay-takes-a-file-and-a-finding", takes_a_file_and_a_finding),
    ("show-tells-the-whole-finding", show_tells_the_whole_finding),
];

const PLAN: &str =
    "create a = reference:defect=cleanup-order; load a tiny; swap a engine=reference; exit";

/// Panics with every violation of the committed schema.
pub(crate) fn assert_valid(report: &Value) {
    let schema = serde_json::from_str(include_str!("../../../../docs/schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn tells_signal_step_thread_and_rate() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", PLAN, "--runs", "20"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert_eq!(done.stdout, "");
    let cause: String = done.stderr.lines().skip(2).take(3).collect();
    assert!(cause.contains("C101 SIGSEGV"), "{}", done.stderr);
    for text in [
        "in step 3 `swap a engine=reference`",
        "rule use-after-free",
        "= thread ",
        "`hotfire` of the child",
        "hotfire::reference::",
        "shown by 20 of 20 runs in fresh processes, 84 to 100 % (Wilson, 95 %)",
        "1 plan: 0 as expected, 1 NOT as expected (20 runs, 20 of them failed, 1 finding)",
    ] {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
    let repeat = done.stderr.lines().find_map(|line| line.split_once("see it again: "));
    assert_eq!(repeat.unwrap().1, format!("hotfire replay '{PLAN}'"));
    assert_eq!(workshop.survivors(std::time::Duration::ZERO), []);
    assert!(workshop.scratch_folders().is_empty());
}

fn json_file_is_valid() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", PLAN, "--runs", "3", "--json", "report.json"]);
    assert_eq!((done.status, done.stdout.as_str()), (100, ""), "{}", done.stderr);
    let report = workshop.json("report.json");
    assert_valid(&report);
    assert_eq!(report, workshop.json(".hotfire/report.json"));
}

fn json_output_is_valid() {
    let workshop = Workshop::new();
    let done =
        workshop.run(&["replay", PLAN, "--runs", "20", "--json", "-", "--seed", "0x2a", "-j1"]);
    let report = done.json();
    assert_valid(&report);
    assert_eq!(report["schema"], "hotfire/1");
    assert_eq!(report["verb"], "replay");
    assert_eq!(report["seed"], "0x2a");
    assert_eq!(report["exit_code"], 100);
    let result = &report["results"][0];
    assert_eq!((&result["runs"], &result["failed"]), (&20.into(), &20.into()));
    assert_eq!(result["status"], "SIGSEGV");
    assert_eq!(result["plan"], PLAN);
    let finding = &report["findings"][0];
    assert_eq!(finding["id"], result["finding"]);
    assert_eq!(finding["class"], "use-after-free");
    assert_eq!(finding["phase"], "swap");
    assert_eq!(finding["step"]["index"], 3);
    assert_eq!(finding["step"]["text"], "swap a engine=reference");
    assert_eq!(finding["reproduced"], serde_json::json!({"failed": 20, "of": 20}));
    let crashed: Vec<&Value> = finding["threads"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["crashed"] == true)
        .collect();
    assert_eq!(crashed.len(), 1);
    assert_eq!(crashed[0]["tid"], finding["victim"]["tid"]);
    let function = crashed[0]["frames"][0]["function"].as_str().unwrap();
    assert!(function.starts_with("hotfire::reference::"), "{function}");
}

fn takes_a_file_and_a_finding() {
    let workshop = Workshop::new();
    workshop.write("crash.plan", &format!("hotfire-plan 1\n{}\n", PLAN.replace("; ", "\n")));
    let done = workshop.run(&["replay", "@crash.plan", "--runs", "1", "--json", "-"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    assert_eq!(report["results"][0]["plan"], PLAN);
    let id = report["findings"][0]["id"].as_str().unwrap();
    let again = workshop.run(&["replay", &id[..8], "--runs", "1", "--json", "-"]);
    assert_eq!(again.status, 100, "{}", again.stderr);
    assert_eq!(again.json()["findings"][0]["id"], id);
}

fn show_tells_the_whole_finding() {
    let workshop = Workshop::new();
    let report = workshop.run(&["replay", PLAN, "--runs", "1", "--json", "-"]).json();
    let id = report["findings"][0]["id"].as_str().unwrap();
    let Done { status, stdout, stderr } = workshop.run(&["show", id]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    for text in ["C101 SIGSEGV", "= 5. ", "= thread ", ", crashed\n", "see it again: "] {
        assert!(stdout.contains(text), "{text:?} is not in:\n{stdout}");
    }
    let shown = workshop.run(&["show", id, "--json"]).json();
    assert_eq!(shown["id"], id);
    assert_eq!(shown["signature"], report["findings"][0]["signature"]);
}
