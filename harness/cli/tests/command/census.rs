//! The census from outside: at which borders it is taken, in both modes, and that it is not where
//! nobody asked.

use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("census-borders", borders),
    ("census-evenly-in-long-loops", evenly_in_long_loops),
    ("census-is-unavailable-with-a-reason", is_unavailable_with_a_reason),
    ("census-off-is-why-a-leak-is-not-seen", off_is_why_a_leak_is_not_seen),
    ("census-of-an-engine-that-blocks-the-borders-signal", of_an_engine_that_blocks_the_signal),
    ("census-leaves-an-engines-own-signal", leaves_an_engines_own_signal),
    ("census-knows-a-semaphore-by-its-inode", knows_a_semaphore_by_its_inode),
    ("census-sees-what-is-there", sees_what_is_there),
    ("census-looks-closer-where-something-stays", looks_closer_where_something_stays),
];

/// The last step fails, so that the run's facts are kept.
fn census(plan: &str, arguments: &[&str]) -> Value {
    kept_in(&Workshop::new(), "", plan, arguments)["observation"]["census"].clone()
}

/// What is kept of it in an environment, `env K=V;`.
fn kept_in(workshop: &Workshop, environment: &str, plan: &str, arguments: &[&str]) -> Value {
    let plan =
        format!("{environment}create a = reference; {plan}; create b = reference; load b nosuch");
    let done = workshop.run(&[&["run", "--plan", &plan], arguments].concat());
    assert_eq!(done.status, 100, "{}", done.stderr);
    let kept = std::fs::read_dir(workshop.path(".hotfire/findings")).unwrap().next();
    let name = kept.unwrap().unwrap().path();
    serde_json::from_slice(&std::fs::read(name).unwrap()).unwrap()
}

/// `border step.turn` of each point.
fn places(census: &Value) -> Vec<String> {
    let points = census["known"]["points"].as_array().unwrap_or_else(|| panic!("{census}"));
    let place = |point: &Value| {
        format!("{} {}.{}", point["border"].as_str().unwrap(), point["step"], point["turn"])
    };
    points.iter().map(place).collect()
}

fn borders() {
    let plan = "2x(load a tiny; unload a); [cancel a | cancel a]";
    for mode in ["spawn", "fork"] {
        let ends = census(plan, &["--mode", mode]);
        assert_eq!(places(&ends), ["start 0.0", "turn 3.0", "turn 3.1", "end 7.0"], "{mode}");
        let steps = census(plan, &["--mode", mode, "--census", "steps"]);
        let wanted = [
            "start 0.0",
            "step 1.0",
            "step 2.0",
            "step 3.0",
            "turn 3.0",
            "step 2.1",
            "step 3.1",
            "turn 3.1",
            "step 5.0",
            "step 6.0",
            "step 7.0",
            "end 7.0",
        ];
        assert_eq!(places(&steps), wanted, "{mode}");
    }
}

fn evenly_in_long_loops() {
    let seen = places(&census("300x(load a tiny; unload a)", &[]));
    let turns: Vec<u32> =
        seen.iter().filter_map(|place| place.strip_prefix("turn 3.")?.parse().ok()).collect();
    assert_eq!((turns.len(), turns[0], turns[1]), (101, 0, 3), "{turns:?}");
    assert_eq!(turns.last(), Some(&299));
}

fn is_unavailable_with_a_reason() {
    let off = census("cancel a", &["--census", "off"]);
    assert_eq!(off["unavailable"], "not asked for");
    let untraced = census("cancel a", &["--trace", "off"]);
    assert_eq!(untraced["unavailable"], "the run is not traced");
}

fn off_is_why_a_leak_is_not_seen() {
    let workshop = Workshop::new();
    for (flags, why) in [
        (["--census", "off"], "the census is off"),
        (["--trace", "off"], "untraced runs have no census"),
    ] {
        let arguments = [&["run", "load-leak-fd", "--runs", "2", "--json", "out.json"], &flags[..]];
        let done = workshop.run(&arguments.concat());
        assert_eq!(done.status, 100, "{}", done.stderr);
        let results = &workshop.json("out.json")["results"];
        let wanted = format!("expected LEAK, saw none in 2 runs; {why}");
        let leaks = results.as_array().unwrap().iter().filter(|it| it["expected"] == "LEAK");
        let reasons: Vec<&Value> = leaks.map(|it| &it["reason"]).collect();
        assert_eq!(reasons, [&wanted]);
    }
}

/// glibc maps a named semaphore under another name than the one that it then has.
fn knows_a_semaphore_by_its_inode() {
    let life = "load c tiny; unload c";
    let leak = format!("create c = reference:defect=leak-semaphore; {life}");
    let left = &census(&leak, &["--census", "steps"])["known"]["shared_left"];
    let [semaphore] = left.as_array().unwrap().as_slice() else { panic!("{left}") };
    assert!(semaphore["name"].as_str().unwrap().starts_with("sem.ref-"), "{left}");
    assert_eq!((&semaphore["step"], &semaphore["was_removed"]), (&3.into(), &true.into()));
    let healthy =
        census(&format!("create c = reference:semaphore=1; {life}"), &["--census", "steps"]);
    // Seen to its end, so that none was left.
    assert!(places(&healthy).iter().any(|place| place.starts_with("end ")), "{healthy}");
    assert_eq!(healthy["known"]["shared_left"], serde_json::json!([]));
}

/// A library that the engine calls with each load, in lane 0. It blocks SIGURG, early for all
/// threads or in lane 0 only, and fails the next load when that did not last. With `OWN` it has
/// sent the process one of its own, which must wait for as long.
const BLOCKS: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
static int calls;
static int has(int (*fill)(sigset_t *)) {
    sigset_t set;
    fill(&set);
    return sigismember(&set, SIGURG);
}
static int mask(sigset_t *set) { return pthread_sigmask(SIG_BLOCK, 0, set); }
static void block(void) {
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, 0);
}
__attribute__((constructor)) static void begin(void) {
    if (EARLY) block();
    if (OWN) kill(getpid(), SIGURG);
}
int memfd_create(const char *name, unsigned flags) {
    if (calls++ || EARLY) {
        if (!has(mask) || (OWN && !has(sigpending))) return -1;
    }
    block();
    return (int)syscall(SYS_memfd_create, name, flags);
}
"#;

/// The census of two turns with that library.
fn census_of_blocked(early: bool, own: bool) -> Value {
    let workshop = Workshop::new();
    workshop.write("blocks.c", BLOCKS);
    let library = workshop.path("blocks.so");
    let compiled = Command::new("cc")
        .current_dir(workshop.path(""))
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([&format!("-DEARLY={}", u8::from(early)), &format!("-DOWN={}", u8::from(own))])
        .arg("blocks.c")
        .status();
    assert!(compiled.unwrap().success());
    let environment = format!("env LD_PRELOAD=\"{}\"; ", library.display());
    let kept = kept_in(
        &workshop,
        &environment,
        "2x(load a tiny; generate a 4; unload a)",
        &["--runs", "1"],
    );
    // The one step that must fail: what the library wants to last did.
    assert_eq!(kept["finding"]["step"]["index"], 6, "{kept:#}");
    kept["observation"]["census"].clone()
}

fn of_an_engine_that_blocks_the_signal() {
    for early in [false, true] {
        let seen = census_of_blocked(early, false);
        assert_eq!(places(&seen), ["start 0.0", "turn 4.0", "turn 4.1", "end 6.0"], "{early}");
    }
}

/// A signal that the engine means to wait for is not taken from it: the census goes without.
fn leaves_an_engines_own_signal() {
    let seen = census_of_blocked(true, true);
    assert_eq!(seen["unavailable"], "no step border was reached", "{seen}");
}

fn sees_what_is_there() {
    let seen = census("load a tiny; generate a 4", &["--census", "steps"]);
    let points = seen["known"]["points"].as_array().unwrap();
    let threads = |point: &Value| -> u64 {
        point["threads"].as_object().unwrap().values().filter_map(Value::as_u64).sum()
    };
    // The pool starts at the first generate.
    assert_eq!(threads(&points[0]), 1, "{seen}");
    let last = points.last().unwrap();
    // They name themselves a moment later.
    assert_eq!(threads(last), 3, "{last}");
    let grown = |key: &str| points[2][key].as_u64() > points[1][key].as_u64();
    assert!(grown("mappings") && grown("private_dirty_bytes"), "a load maps and writes: {seen}");
}

/// A leak has one identity, however it was looked for: the plan that shows it at its ends is made
/// again with a look after each step.
fn looks_closer_where_something_stays() {
    for (defect, code) in [("leak-fd", "L411"), ("leak-semaphore", "L413")] {
        let plan =
            format!("create a = reference:defect={defect}; 20x(load a tiny; unload a); exit");
        let ids = ["ends", "steps"].map(|census| {
            let workshop = Workshop::new();
            let arguments = ["run", "--plan", &plan, "--census", census, "--json", "out.json"];
            let done = workshop.run(&arguments);
            assert_eq!(done.status, 100, "{defect}, {census}: {}", done.stderr);
            let report = workshop.json("out.json");
            let [finding] = report["findings"].as_array().unwrap().as_slice() else {
                panic!("{report:#}");
            };
            assert_eq!((&finding["code"], &finding["phase"]), (&code.into(), &"load".into()));
            let left = &finding["left_behind"][0];
            assert_eq!((&left["step"], &left["growth"]["per_turn"]), (&2.into(), &1.0.into()));
            finding["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(ids[0], ids[1], "{defect}");
    }
    let workshop = Workshop::new();
    let plan = "create a = reference:defect=leak-fd; 20x(load a tiny; unload a); exit";
    let done = workshop.run(&["run", "--plan", plan, "--census", "off"]);
    assert_eq!(done.status, 0, "nobody looked: {}", done.stderr);
}
