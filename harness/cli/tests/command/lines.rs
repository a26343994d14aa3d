//! The lines of a run: which plan is which, what was to fail, what a passing plan did, and where
//! the time went.

use crate::Case;
use crate::workshop::{LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("lines-number-plans-that-look-alike", number_plans_that_look_alike),
    ("lines-tell-what-was-to-fail", tell_what_was_to_fail),
    ("lines-of-a-passing-plan", of_a_passing_plan),
    ("lines-of-a-pause", of_a_pause),
    ("skips-can-be-denied", skips_can_be_denied),
];

fn number_plans_that_look_alike() {
    let workshop = Workshop::new();
    let same = "create a = ENGINE; load a tiny; generate a 16; unload a; load a tiny";
    let text = format!(
        "name = \"a-scenario-with-quite-a-long-name\"\nlifecycle = \"load\"\nplans = [\n\
         '{same}; exit',\n'{same}; drop a; exit',\n]\n"
    );
    workshop.write("long.toml", &text);
    let done = workshop.run(&["run", "long.toml", "canary"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let lines: Vec<&str> = done.stderr.lines().filter(|line| line.contains("s] ")).collect();
    for number in [1, 2] {
        let name = format!("a-scenario-with-quite-a-long-name/{number} ");
        assert_eq!(lines.iter().filter(|line| line.contains(&name)).count(), 1, "{lines:#?}");
    }
    assert!(lines.iter().any(|line| line.contains(" canary ")), "{lines:#?}");
    // All plans stand below one another.
    let columns: Vec<Option<usize>> =
        lines.iter().take(3).map(|line| line.find("create a")).collect();
    assert!(columns[0].is_some() && columns.iter().all(|it| *it == columns[0]), "{lines:#?}");
}

fn tell_what_was_to_fail() {
    let workshop = Workshop::new();
    let done = workshop.run(&["run", "canary", "--json", "-"]);
    assert!(done.stderr.contains(" of them failed as expected, 1 finding)"), "{}", done.stderr);
    assert!(
        done.stderr.contains(", 1 run, up to 5 more of a plan that fails\n"),
        "{}",
        done.stderr
    );
    // The plan's time is no longer than that of all.
    let report = done.json();
    let line = done.stderr.lines().find(|line| line.contains("CAUGHT")).unwrap();
    let seconds = line.split_once('[').unwrap().1.split_once("s]").unwrap().0;
    let seconds: f64 = seconds.trim().parse().unwrap();
    assert!(seconds <= report["summary"]["seconds"].as_f64().unwrap() + 0.001, "{}", done.stderr);
    let plan = "create a = reference; exit";
    let done = workshop.run(&["replay", plan, "--runs", "8", "-j4"]);
    assert!(done.stderr.contains("(8 runs, none failed, 0 findings)"), "{}", done.stderr);
}

fn of_a_passing_plan() {
    let workshop = Workshop::new();
    let plan = "create a = reference; unload a; load a tiny; exit";
    let quiet = workshop.run(&["replay", plan, "--runs", "2"]);
    assert!(!quiet.stderr.contains(" 2 | unload a"), "{}", quiet.stderr);
    let done = workshop.run(&["replay", "-v", plan, "--runs", "2"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let line = |start: &str| done.stderr.lines().find(|line| line.starts_with(start));
    let refused = line(" 2 | unload a").unwrap_or_else(|| panic!("{}", done.stderr));
    assert!(refused.ends_with(", as predicted"), "{refused}");
    let loaded = line(" 3 | load a tiny").unwrap_or_else(|| panic!("{}", done.stderr));
    assert!(loaded.contains(" ok "), "{loaded}");
}

fn of_a_pause() {
    let workshop = Workshop::new();
    let plan = "create a = reference; pause 9s; load a tiny; pause 1s; exit";
    let done = workshop.run(&["replay", plan, "--runs", "1", "--timeout", "300ms"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let row = done.stderr.lines().find(|line| line.contains("| pause 9s"));
    let row = row.unwrap_or_else(|| panic!("{}", done.stderr));
    assert!(row.ends_with("stopped here"), "{row}");
    assert!(!done.stderr.contains("| pause 1s"), "{}", done.stderr);
}

fn skips_can_be_denied() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("empty")).unwrap();
    let run = |flags: &[&str]| {
        let mut command = workshop.command(&[&["run", "llama-load", "canary"], flags].concat());
        Started::new(command.env("HOTFIRE_LLAMA_DIR", workshop.path("empty"))).finish(LIMIT)
    };
    let done = run(&["--json", "-"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    // What was skipped is no run.
    let report = done.json();
    let runs: u64 = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["status"] != "SKIP")
        .map(|one| one["runs"].as_u64().unwrap())
        .sum();
    assert_eq!(report["summary"]["runs"], runs);
    assert!(report["summary"]["skipped"].as_u64().unwrap() > 0);
    let done = run(&["--deny-skips", "--json", "-"]);
    assert_eq!((done.status, &done.json()["exit_code"]), (97, &97.into()), "{}", done.stderr);
    assert!(done.stderr.contains("error: plans were skipped, and --deny-skips"), "{}", done.stderr);
    // Without a skip it changes nothing; it hides nothing worse.
    assert_eq!(workshop.run(&["run", "canary", "--deny-skips"]).status, 0);
}
