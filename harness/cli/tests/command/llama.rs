//! Real llama.cpp. Where its libraries are not fetched, what needs them is reported as ignored,
//! and fails with `HOTFIRE_REQUIRE_ENGINES=1`; that they are missing is a case of its own.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::replay::assert_valid;
use crate::trial;
use crate::workshop::{Done, LIMIT, Started, Workshop};

/// A misuse and how it is told.
struct Misuse {
    scenario: &'static str,
    statuses: &'static [&'static str],
    /// None: two threads race in one context, and the class is that of what they run into first.
    classes: Option<&'static [&'static str]>,
    steps: &'static [u64],
}

const MISUSE: [Misuse; 3] = [
    Misuse {
        scenario: "llama-free-context-twice",
        statuses: &["SIGSEGV", "SIGABRT"],
        classes: Some(&["double-free"]),
        steps: &[4],
    },
    Misuse {
        scenario: "llama-free-model-first",
        statuses: &["SIGSEGV"],
        classes: Some(&["use-after-free"]),
        steps: &[4],
    },
    Misuse {
        scenario: "llama-unlocked-generates",
        statuses: &["SIGSEGV", "SIGABRT", "HANG"],
        classes: None,
        steps: &[3, 4, 5, 6],
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    let required = std::env::var_os("HOTFIRE_REQUIRE_ENGINES").is_some_and(|value| value == "1");
    let missing = !folder().join("tiny.gguf").is_file();
    if missing && !required {
        eprintln!(
            "SKIP llama: {} holds no llama.cpp; help: scripts/fetch-engines.sh llama",
            folder().display()
        );
    }
    vec![
        trial(("llama-not-fetched-is-skipped", not_fetched_is_skipped)),
        trial(("llama-lifecycles-and-misuse", lifecycles_and_misuse))
            .with_ignored_flag(missing && !required),
    ]
}

fn folder() -> PathBuf {
    match std::env::var_os("HOTFIRE_LLAMA_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/engines/llama"),
    }
}

fn run_with(workshop: &Workshop, folder: &Path, arguments: &[&str]) -> Done {
    let mut command = workshop.command(arguments);
    Started::new(command.env("HOTFIRE_LLAMA_DIR", folder)).finish(LIMIT)
}

fn not_fetched_is_skipped() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("empty")).unwrap();
    let arguments = ["run", "--engine", "llama", "--json", "out.json"];
    let done = run_with(&workshop, &workshop.path("empty"), &arguments);
    assert_eq!(done.status, 4, "{}", done.stderr);
    assert!(done.stderr.contains("\nSKIP llama-"), "{}", done.stderr);
    assert!(done.stderr.contains("help: scripts/fetch-engines.sh llama"), "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_valid(&report);
    let results = report["results"].as_array().unwrap();
    assert!(results.len() > 15);
    for result in results {
        assert_eq!((&result["status"], &result["verdict"]), (&"SKIP".into(), &"skipped".into()));
    }
    let summary = &report["summary"];
    assert_eq!((&summary["passed"], &summary["failed"]), (&0.into(), &0.into()), "{summary}");
    // A shorter search path has the same answer, and the same full command.
    let done = workshop.run(&["run", "llama-load"]);
    assert_eq!(done.status, 4, "{}", done.stderr);
    assert!(done.stderr.contains("help: scripts/fetch-engines.sh llama"), "{}", done.stderr);
}

fn lifecycles_and_misuse() {
    let workshop = Workshop::new();
    let folder = folder().canonicalize().unwrap();
    let arguments = ["run", "--engine", "llama", "--json", "-"];
    let done = run_with(&workshop, &folder, &arguments);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let report = done.json();
    assert_valid(&report);
    assert_eq!(
        (&report["summary"]["skipped"], &report["summary"]["blind"]),
        (&0.into(), &0.into())
    );
    let results = report["results"].as_array().unwrap();
    for lifecycle in ["load", "swap", "fail-init", "concurrent-generate", "shutdown"] {
        let name = format!("llama-{lifecycle}");
        let of: Vec<&Value> = results.iter().filter(|one| one["scenario"] == *name).collect();
        assert!(!of.is_empty(), "{name}");
        assert!(of.iter().all(|one| one["status"] == "PASS"), "{of:#?}");
    }
    for misuse in MISUSE {
        check(&misuse, results, &report["findings"]);
    }
}

fn check(misuse: &Misuse, results: &[Value], findings: &Value) {
    let result = results.iter().find(|one| one["scenario"] == misuse.scenario).unwrap();
    let status = result["status"].as_str().unwrap();
    assert!(misuse.statuses.contains(&status), "{result:#}");
    assert_eq!(result["verdict"], "as-expected", "{result:#}");
    let mut findings = findings.as_array().unwrap().iter();
    let finding = findings.find(|one| one["id"] == result["finding"]).unwrap();
    let step = finding["step"]["index"].as_u64().unwrap();
    assert!(misuse.steps.contains(&step), "{finding:#}");
    if status == "HANG" {
        return;
    }
    assert_eq!(finding["signal"], status);
    let class = finding["class"].as_str().unwrap();
    assert!(misuse.classes.is_none_or(|classes| classes.contains(&class)), "{finding:#}");
    let module = finding["culprit"]["module"].as_str().unwrap_or_default();
    let is_llamas = module.starts_with("libllama") || module.starts_with("libggml");
    assert!(is_llamas, "{finding:#}");
}
