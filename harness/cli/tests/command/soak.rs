//! `run --soak`: state that a library keeps from one cycle to the next is told from a failure that
//! needs no earlier cycle.

use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{Done, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("soak-tells-state-that-is-left-over", tells_state_that_is_left_over),
    ("soak-in-the-same-late-cycle-each-time", in_the_same_late_cycle_each_time),
    ("soak-claims-nothing-of-a-cycle-that-nobody-knows", claims_nothing_of_an_unknown_cycle),
    ("soak-leaves-leaks-out", leaves_leaks_out),
    ("soak-adds-nothing-to-what-fails-alone", adds_nothing_to_what_fails_alone),
    ("soak-of-a-healthy-engine-passes", of_a_healthy_engine_passes),
    ("soak-says-what-has-no-cycles", says_what_has_no_cycles),
    ("soak-keeps-what-a-scenario-expects", keeps_what_a_scenario_expects),
];

/// A library that the engine calls once for each load of a known model. It never forgets a call,
/// and with the `CALLS`th it reads through a pointer that is none.
const FORGETS_NOTHING: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
static volatile int calls;
int memfd_create(const char *name, unsigned flags) {
    if (++calls == CALLS && !AT_EXIT) return *(volatile int *)8;
    return (int)syscall(SYS_memfd_create, name, flags);
}
__attribute__((destructor)) static void at_exit(void) {
    if (calls >= CALLS && AT_EXIT) *(volatile int *)8 = 0;
}
"#;

/// Where the library crashes after so many calls.
#[derive(Clone, Copy)]
enum Crash {
    InCall(u32),
    AtExit(u32),
}

/// Runs a lifecycle with that library, which is called once per cycle, by its load.
fn soak(workshop: &Workshop, crash: Crash, more: &[&str]) -> Done {
    let (calls, at_exit) = match crash {
        Crash::InCall(calls) => (calls, 0),
        Crash::AtExit(calls) => (calls, 1),
    };
    workshop.write("library.c", FORGETS_NOTHING);
    let library = workshop.path(&format!("library-{calls}.so"));
    let compiled = Command::new("cc")
        .current_dir(workshop.path(""))
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([&format!("-DCALLS={calls}"), &format!("-DAT_EXIT={at_exit}"), "library.c"])
        .status();
    assert!(compiled.unwrap().success());
    let plan = format!(
        "env LD_PRELOAD=\"{}\"; create a = reference; load a tiny; generate a 4; exit",
        library.display()
    );
    let arguments = [&["run", "--json", "-", "--plan", &plan], more].concat();
    workshop.run(&arguments)
}

/// The entries of the plan alone and of its soak.
fn results(report: &Value) -> [&Value; 2] {
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{results:#?}");
    [&results[0], &results[1]]
}

fn tells_state_that_is_left_over() {
    let workshop = Workshop::new();
    let done = soak(&workshop, Crash::InCall(3), &["--soak", "30"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    assert_valid(&report);
    let [alone, soak] = results(&report);
    assert_eq!((&alone["status"], &alone["runs"]), (&"PASS".into(), &20.into()));
    assert_eq!(soak["status"], "SIGSEGV", "{soak:#}");
    let plan = soak["plan"].as_str().unwrap();
    let cycle = "; 30x(create a = reference; load a tiny; generate a 4; drop a); exit";
    assert!(plan.ends_with(cycle), "{plan}");
    let claim = "only in one process, in cycle 3 of 30: state is left over from earlier cycles";
    let counts = "5 of 5 soaks failed; in processes of their own 20 of 20 passed";
    assert_eq!(soak["reason"], format!("{claim} ({counts})"));
    let finding = &report["findings"][0];
    assert_eq!((&finding["step"]["index"], &finding["step"]["iteration"]), (&2.into(), &2.into()));
    let told = [&finding["evidence"][0]["text"], &finding["evidence"][1]["text"]];
    assert_eq!(told, [claim, counts]);
    for text in [claim, counts] {
        assert!(done.stderr.contains(text), "{}", done.stderr);
    }
    // The reproducer is the soaked plan, and shows it again.
    let again = workshop.run(&["replay", plan, "--runs", "2"]);
    assert_eq!(again.status, 100, "{}", again.stderr);
}

fn in_the_same_late_cycle_each_time() {
    let workshop = Workshop::new();
    let done = soak(&workshop, Crash::InCall(25), &["--soak", "30", "--runs", "3"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    // Too few runs alone to tell by their number; but a chance does not count to 25 each time.
    let reason = results(&report)[1]["reason"].as_str().unwrap();
    let claim = "only in one process, in cycle 25 of 30: state is left over from earlier cycles (";
    assert!(reason.starts_with(claim), "{reason}");
}

/// It dies on its way out, after the last cycle: which one it died of cannot be told, so that the
/// same end each time is no regularity.
fn claims_nothing_of_an_unknown_cycle() {
    let workshop = Workshop::new();
    let done = soak(&workshop, Crash::AtExit(2), &["--soak", "30"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    let [alone, soak] = results(&report);
    assert_eq!((&alone["status"], &soak["status"]), (&"PASS".into(), &"EXIT-CRASH".into()));
    let claim =
        "only in one process, within or after 30 cycles: it may be chance, --runs 124 would tell";
    let counts = "5 of 5 soaks failed; in processes of their own 20 of 20 passed";
    assert_eq!(soak["reason"], format!("{claim} ({counts})"));
}

/// What grows with the cycles is a finding of its own; no cycle ended of it.
fn leaves_leaks_out() {
    let workshop = Workshop::new();
    let plan = "create a = reference:defect=leak-fd; load a tiny; unload a; exit";
    let done = workshop.run(&["run", "--plan", plan, "--soak", "24", "--json", "-"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    let [alone, soak] = results(&report);
    assert_eq!((&alone["status"], &soak["status"]), (&"PASS".into(), &"LEAK".into()));
    assert_eq!(soak.get("reason"), None, "{soak:#}");
    assert_eq!(report["findings"][0]["likely_cause"]["rule"], "fd-leak");
}

fn adds_nothing_to_what_fails_alone() {
    let workshop = Workshop::new();
    let done = soak(&workshop, Crash::InCall(1), &["--soak", "5"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = done.json();
    let [alone, soak] = results(&report);
    assert_eq!((&alone["status"], &soak["status"]), (&"SIGSEGV".into(), &"SIGSEGV".into()));
    assert_eq!(soak["reason"], "it fails in processes of its own, too");
    assert!(!done.stderr.contains("left over"), "{}", done.stderr);
}

fn of_a_healthy_engine_passes() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a tiny; [2x generate a 4 | generate a 8]; exit";
    let done = workshop.run(&["run", "--plan", plan, "--soak", "50", "--json", "-"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let report = done.json();
    let [alone, soak] = results(&report);
    assert_eq!((&alone["runs"], &soak["runs"]), (&20.into(), &1.into()));
    assert_eq!((&alone["status"], &soak["status"]), (&"PASS".into(), &"PASS".into()));
    assert_eq!(soak.get("reason"), None);
}

fn says_what_has_no_cycles() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a tiny; kill";
    let done = workshop.run(&["run", "--plan", plan, "--soak", "3", "--json", "-"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let report = done.json();
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
    let said = &report["unavailable"][0];
    assert_eq!(
        (&said["what"], &said["reason"]),
        (&"soak of plan".into(), &"it asks for the death of its process".into(),)
    );
    assert!(done.stderr.contains("soak of plan not seen: it asks for"), "{}", done.stderr);
    assert_eq!(workshop.run(&["run", "--plan", plan, "--soak", "1"]).status, 2);
}

fn keeps_what_a_scenario_expects() {
    let workshop = Workshop::new();
    let head = "summary = \"s\"\nlifecycle = \"load\"\nengine = \"reference\"\nruns = 1\n";
    let expect = "[expect]\nstatus = [\"FAIL\"]\nstep = [2]\n";
    let scenario = |name: &str, plan: &str| {
        workshop.write(
            &format!("{name}.toml"),
            &format!("name = \"{name}\"\n{head}plans = ['{plan}']\n{expect}"),
        );
    };
    // A step that must succeed, by its author's word, and cannot.
    scenario("dropped", "create a = ENGINE; load a absent expect=ok; drop a; exit");
    scenario("alive", "create a = ENGINE; load a absent expect=ok; exit");
    let arguments = ["run", "dropped.toml", "alive.toml", "--soak", "4", "--json", "-"];
    let done = workshop.run(&arguments);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let report = done.json();
    let results = report["results"].as_array().unwrap();
    let seen: Vec<_> = results.iter().map(|it| (&it["scenario"], &it["status"])).collect();
    let fail = Value::from("FAIL");
    let [dropped, alive] = ["dropped", "alive"].map(Value::from);
    assert_eq!(seen, [(&dropped, &fail), (&dropped, &fail), (&alive, &fail)]);
    assert_eq!(report["unavailable"][0]["what"], "soak of alive");
}
