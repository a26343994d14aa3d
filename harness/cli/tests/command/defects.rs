//! Each crash defect of the built-in engine, as `hotfire run` reports it: the class, whose code it
//! was, in which line, and in which step of the plan.
//!
//! The lines are marked in the engine's source, by `death: NAME`. Deliberately absent: defects that
//! kill nobody; the scenarios' own expectations, which say less.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hotfire_reference::DEFECTS;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::trial;
use crate::workshop::Workshop;

/// How a defect must be told.
struct Told {
    defect: &'static str,
    class: &'static str,
    place: Place,
    steps: &'static [u64],
}

/// Whose code it was.
#[derive(Clone, Copy)]
enum Place {
    /// The culprit function without its namespace and parameters, and the mark of its line.
    At(&'static str, &'static str),
    /// Which of these functions it is, and where in its file, is the race's to decide.
    Race(&'static [&'static str], &'static str),
}

use Place::{At, Race};

const TOLD: [Told; 14] = [
    told("cleanup-order", "use-after-free", At("Model::unlink_tensor", "unlink"), &[3]),
    told("device-teardown", "use-after-free", At("SessionStore::clear", "close"), &[4]),
    told("double-cleanup", "use-after-free", At("Model::unlink_tensor", "unlink"), &[5]),
    told("exit-static-order", "use-after-destruction", At("Pool::work", "retire"), &[4]),
    // How far the load has come decides which tensor is the first that is not linked.
    told(
        "generate-during-load",
        "null-dereference",
        Race(&["next_token", "(anonymous namespace)::multiply_shared"], "network.cc"),
        &[3, 4, 5],
    ),
    told("half-built-init", "null-dereference", At("Model::unlink_tensor", "unlink"), &[3]),
    told("heap-overflow", "heap-corruption", At("Engine::run", "free"), &[4]),
    told("joinable-thread", "thread-not-joined", At("Pool::stop", "forget"), &[4]),
    told("pure-virtual", "pure-virtual-call", At("Periodic::work", "turn"), &[4]),
    told("stack-overflow", "stack-overflow", At("(anonymous namespace)::fold_range", "fold"), &[4]),
    told("truncated-model", "file-truncated", At("Model::widen", "widen"), &[6]),
    told("uncaught-exception", "uncaught-exception", At("Engine::check_cancelled", "cancel"), &[3]),
    // The unload meets the generate anywhere in its sums, in its own thread or in a worker's.
    told(
        "unload-during-generate",
        "use-after-free",
        Race(&["next_token", "(anonymous namespace)::multiply_shared"], "network.cc"),
        &[4, 5],
    ),
    told("worker-outlives-engine", "use-after-free", At("Pool::work", "retire"), &[4]),
];

const fn told(
    defect: &'static str,
    class: &'static str,
    place: Place,
    steps: &'static [u64],
) -> Told {
    Told { defect, class, place, steps }
}

const NAMESPACE: &str = "hotfire::reference::";
/// Lines of source are looked for within a time limit, which a machine with other work may miss.
const TRIES: usize = 5;

const CASES: [Case; 1] = [("crash-defects-are-all-told", all_are_told)];

pub(crate) fn trials() -> Vec<Trial> {
    let row = |row: &'static Told| {
        Trial::test(format!("crash-defect-{}", row.defect), move || {
            check(row);
            Ok(())
        })
    };
    TOLD.iter().map(row).chain(CASES.map(trial)).collect()
}

/// A defect that kills, and only such a one, has its row.
fn all_are_told() {
    let kills = |status: &str| status.starts_with("SIG") || status == "EXIT-CRASH";
    let deadly = DEFECTS.iter().filter(|defect| kills(defect.shows_as)).map(|defect| defect.name);
    assert_eq!(deadly.collect::<BTreeSet<_>>(), TOLD.iter().map(|row| row.defect).collect());
}

fn engine_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../engines/reference/cpp")
        .canonicalize()
        .unwrap()
}

/// Whether this line of the engine's source has the mark.
fn is_marked(file: &Path, line: u64, mark: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap_or_default();
    line.ends_with(&format!("  // death: {mark}"))
}

fn report(name: &str) -> Value {
    let workshop = Workshop::new();
    let scenario = engine_source().join(format!("../../../scenarios/{name}.toml"));
    let done = workshop.run(&["run", scenario.to_str().unwrap(), "--json", "out.json"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_valid(&report);
    report
}

/// Whether the engine's lines were looked for to the end; those of system libraries matter to no row.
fn has_own_lines(report: &Value) -> bool {
    let mut unavailable = report["unavailable"].as_array().unwrap().iter();
    !unavailable.any(|one| {
        let reason = one["reason"].as_str().unwrap_or_default();
        one["what"] == "some lines of source" && reason.contains("/hotfire")
    })
}

fn check(told: &Told) {
    let defect = DEFECTS.iter().find(|defect| defect.name == told.defect).unwrap();
    let report = (0..TRIES).map(|_| report(defect.scenario)).find(has_own_lines);
    let report = report.unwrap_or_else(|| panic!("the machine is too busy to look for lines"));
    for result in report["results"].as_array().unwrap() {
        assert_eq!(result["status"], defect.shows_as, "{result:#}");
    }
    let findings = report["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        check_finding(told, finding);
    }
}

fn check_finding(told: &Told, finding: &Value) {
    let recurses = finding["evidence"].to_string().contains("calls itself");
    assert_eq!(recurses, told.class == "stack-overflow", "{finding:#}");
    let step = finding["step"]["index"].as_u64().unwrap();
    let culprit = &finding["culprit"];
    assert_eq!(finding["class"], told.class, "{finding:#}");
    assert!(told.steps.contains(&step), "{finding:#}");
    assert_eq!(culprit["module"], "hotfire");
    let function = culprit["function"].as_str().unwrap().strip_prefix(NAMESPACE).unwrap();
    let is = |name: &str| function.strip_prefix(name).is_some_and(|rest| rest.starts_with('('));
    let file = Path::new(culprit["file"].as_str().unwrap());
    assert_eq!(file.parent(), Some(engine_source().as_path()), "{culprit}");
    match told.place {
        At(name, mark) => {
            assert!(is(name), "{culprit}");
            assert!(is_marked(file, culprit["line"].as_u64().unwrap(), mark), "{culprit}");
        }
        Race(names, name) => {
            assert!(names.iter().copied().any(is), "{culprit}");
            assert!(file.ends_with(name) && culprit["line"].as_u64() > Some(0), "{culprit}");
        }
    }
}
