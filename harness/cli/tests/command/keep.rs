//! What is kept of a finding, and the commands that a run prints to see it again: they lead to
//! what was printed, whatever else was found before or since.

use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{Done, LIMIT, Started, Workshop, send_signal};

pub(crate) const CASES: &[Case] = &[
    ("keep-one-finding-of-two-plans", one_finding_of_two_plans),
    ("keep-how-runs-were-watched", how_runs_were_watched),
    ("keep-in-another-folder", in_another_folder),
    ("keep-in-a-folder-that-cannot-be", in_a_folder_that_cannot_be),
    ("keep-nothing-where-nothing-was-found", nothing_where_nothing_was_found),
    ("keep-more-than-are-printed", more_than_are_printed),
    ("keep-lists-what-is-kept", lists_what_is_kept),
    ("keep-second-finding-of-a-plan", second_finding_of_a_plan),
    ("show-cuts-nothing", show_cuts_nothing),
    ("report-of-an-interrupted-run", report_of_an_interrupted_run),
    ("forked-children-give-no-rate", forked_children_give_no_rate),
    ("answers-to-a-full-disk", answers_to_a_full_disk),
];

/// The same broken contract by two plans: one signature.
const FIRST: &str = "create a = reference; load nosuch; exit";
const SECOND: &str = "create a = reference; load neither; exit";
const CRASH: &str = "create a = reference:defect=cleanup-order; load a tiny; drop a; exit";

/// The words behind `label` on its line, each line once.
fn behind<'a>(done: &'a Done, label: &str) -> Vec<&'a str> {
    done.stderr.lines().filter_map(|line| Some(line.split_once(label)?.1.trim())).collect()
}

/// Runs a printed `hotfire …` command as a shell would.
fn paste(workshop: &Workshop, command: &str) -> Done {
    let rest = command.strip_prefix("hotfire ").unwrap();
    let script = format!("exec \"{}\" {rest}", workshop.program().display());
    let mut shell = std::process::Command::new("sh");
    workshop.furnish(shell.args(["-c", &script]));
    Started::new(&mut shell).finish(LIMIT)
}

fn replay(workshop: &Workshop, plan: &str, flags: &[&str]) -> Done {
    let done = workshop.run(&[&["replay", plan, "--runs", "1"], flags].concat());
    assert_eq!(done.status, 100, "{}", done.stderr);
    done
}

fn one_finding_of_two_plans() {
    let workshop = Workshop::new();
    let plans = [FIRST, SECOND].map(|plan| plan.replace("load ", "load a "));
    let mut ids = Vec::new();
    let mut commands = Vec::new();
    for plan in &plans {
        let done = replay(&workshop, plan, &["--json", "-"]);
        ids.push(done.json()["findings"][0]["id"].as_str().unwrap().to_owned());
        commands.push(behind(&done, "see it whole:")[0].to_owned());
    }
    assert_eq!(ids[0], ids[1], "this test needs one signature of two plans");
    for (plan, command) in plans.iter().zip(&commands) {
        let name = plan.split(' ').nth(6).unwrap().trim_end_matches(';');
        let shown = paste(&workshop, command);
        assert_eq!(shown.status, 0, "{}", shown.stderr);
        assert!(shown.stdout.contains(&format!("no model named `{name}`")), "{}", shown.stdout);
        let handle = command.strip_prefix("hotfire show ").unwrap();
        let again = replay(&workshop, handle, &["--json", "-"]);
        assert_eq!(again.json()["results"][0]["plan"], plan.as_str());
    }
    // The signature alone: `show` tells of both, `replay` cannot choose.
    let shown = workshop.run(&["show", &ids[0]]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    let (_, others) = shown.stdout.split_once("the same finding by other plans:\n").unwrap();
    assert_eq!(others.lines().count(), 1, "{others}");
    let done = workshop.run(&["replay", &ids[0]]);
    assert_eq!(done.status, 2, "{}", done.stderr);
    assert!(done.stderr.contains("names 2 kept findings\nhelp: name one"), "{}", done.stderr);
    assert!(plans.iter().all(|plan| done.stderr.contains(plan.as_str())), "{}", done.stderr);
}

fn how_runs_were_watched() {
    let workshop = Workshop::new();
    let done = replay(&workshop, CRASH, &["--no-ledger", "--trace", "off"]);
    let command = behind(&done, "see it again:")[0];
    assert_eq!(command, format!("hotfire replay '{CRASH}' --no-ledger --trace off"));
    let limited = replay(&workshop, CRASH, &["--timeout", "50000ms", "--beat", "1500ms"]);
    let command_limited = format!("hotfire replay '{CRASH}' --beat 1500ms --timeout 50s");
    assert_eq!(behind(&limited, "see it again:")[0], command_limited);
    // By its id, it is watched as it was; the ledger would name the release.
    let handle = behind(&done, "see it whole:")[0].strip_prefix("hotfire show ").unwrap();
    let again = replay(&workshop, handle, &[]);
    assert_eq!(behind(&again, "see it again:")[0], command);
    assert!(again.stderr.contains("not traced"), "{}", again.stderr);
    assert!(!again.stderr.contains("[ledger]"), "{}", again.stderr);
}

fn in_another_folder() {
    let workshop = Workshop::new();
    let done = replay(&workshop, CRASH, &["--out", "my runs"]);
    let command = behind(&done, "see it whole:")[0];
    assert!(command.ends_with(" --out 'my runs'"), "{command}");
    let shown = paste(&workshop, command);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("C101 SIGSEGV"), "{}", shown.stdout);
}

fn in_a_folder_that_cannot_be() {
    let workshop = Workshop::new();
    // As for a report: told before anything runs, and nothing is made.
    let done = workshop.run(&["replay", CRASH, "--runs", "1", "--out", "no/such"]);
    assert_eq!(done.status, 110, "{}", done.stderr);
    assert!(done.stderr.contains("there is no folder `no`\nhelp: mkdir -p no"), "{}", done.stderr);
    assert!(!done.stderr.contains("seed"), "{}", done.stderr);
    assert!(!workshop.path("no").exists());
    // What only turns out at the end is told with the flag that mends it.
    workshop.write("taken", "a file, no folder\n");
    let done = replay(&workshop, CRASH, &["--out", "taken"]);
    let help = "cannot keep findings in taken/findings: ";
    assert!(done.stderr.contains(help), "{}", done.stderr);
    assert!(done.stderr.contains("help: --out DIR"), "{}", done.stderr);
    assert_eq!(behind(&done, "see it whole:"), Vec::<&str>::new());
    assert_eq!(behind(&done, "see it again:").len(), 1);
}

fn nothing_where_nothing_was_found() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", "create a = reference; exit", "--runs", "1"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(!workshop.path(".hotfire").exists());
}

/// Ten plans fail, eight are printed.
fn more_than_are_printed() {
    let workshop = Workshop::new();
    let plans: String =
        (0..10).map(|number| format!("'create a = ENGINE; load a no{number}; exit',\n")).collect();
    let head = "name = \"many\"\nlifecycle = \"load\"\nplans = [\n";
    workshop.write("many.toml", &format!("{head}{plans}]\n"));
    let done = workshop.run(&["run", "many.toml"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert_eq!(behind(&done, "see it whole:").len(), 8, "{}", done.stderr);
    let text = "2 more plans NOT as expected: `hotfire show` lists all findings";
    assert!(done.stderr.contains(text), "{}", done.stderr);
    let listed = workshop.run(&["show"]).stdout;
    for number in 0..10 {
        assert!(listed.contains(&format!("load a no{number}; exit")), "{number}: {listed}");
    }
}

fn lists_what_is_kept() {
    let workshop = Workshop::new();
    let done = workshop.run(&["show"]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.starts_with("no finding is kept in .hotfire;"), "{}", done.stdout);
    replay(&workshop, CRASH, &[]);
    let done = workshop.run(&["show"]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.contains("  C101 SIGSEGV: "), "{}", done.stdout);
    assert!(done.stdout.contains(&format!("    plan: {CRASH}\n")), "{}", done.stdout);
    let handle = done.stdout.split(' ').next().unwrap();
    assert_eq!(workshop.run(&["show", handle]).status, 0);
    let list = workshop.run(&["show", "--json"]).json();
    assert_eq!(list[0]["code"], "C101");
}

fn second_finding_of_a_plan() {
    let workshop = Workshop::new();
    // Two findings of one run, and neither depends on luck.
    let plan = "create a = reference:defect=orphan-worker,process=1; load a nosuch; exit";
    let done = replay(&workshop, plan, &["--json", "-"]);
    let found = done.json()["findings"].as_array().unwrap().len();
    assert!(found >= 2, "this test needs a plan with two findings: {}", done.stderr);
    let also = behind(&done, "= also: ");
    assert_eq!(also.len(), found - 1, "{}", done.stderr);
    let command = also[0].split_once('(').unwrap().1.trim_end_matches(')');
    let shown = paste(&workshop, command);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    let label: Vec<&str> = also[0].split(' ').take(2).collect();
    assert!(shown.stdout.starts_with(&label.join(" ")), "{}", shown.stdout);
}

fn show_cuts_nothing() {
    let workshop = Workshop::new();
    let name = "long-".repeat(60);
    let plan =
        format!("create a = reference; {}load a {name}; exit", "load a tiny; unload a; ".repeat(5));
    let done = replay(&workshop, &plan, &[]);
    assert!(done.stderr.contains('…'), "the run cuts it: {}", done.stderr);
    let shown = paste(&workshop, behind(&done, "see it whole:")[0]);
    assert!(!shown.stdout.contains('…'), "{}", shown.stdout);
    assert!(!shown.stdout.contains("see it whole"), "{}", shown.stdout);
    for text in
        [" 1 | create a", " 5 | unload a", "12 | load a long-", "13 | exit", "see it again:"]
    {
        assert!(shown.stdout.contains(text), "{text:?} is not in:\n{}", shown.stdout);
    }
}

fn report_of_an_interrupted_run() {
    let workshop = Workshop::new();
    let text = "name = \"slow\"\nlifecycle = \"export\"\nplans = [\n\
                'create a = ENGINE; load a tiny; export a ms=50000; exit',\n\
                'create a = ENGINE; exit',\n]\n";
    workshop.write("slow.toml", text);
    // The quick one first: it is judged, and is as expected.
    workshop.write(
        "fast.toml",
        "name = \"fast\"\nlifecycle = \"load\"\nplans = ['create a = ENGINE; exit']\n",
    );
    let arguments = ["run", "fast.toml", "slow.toml", "-j1", "--json", "out.json"];
    let mut started = workshop.start(&arguments);
    started.wait_for("PASS");
    while !workshop.processes().iter().any(|(_, line)| line.contains("__host")) {
        started.run_for(std::time::Duration::from_millis(5));
    }
    send_signal("INT", started.pid());
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 130, "{}", done.stderr);
    let text = "stopped by SIGINT: 2 plans were not run, all children ended\n  under way: slow: ";
    assert!(done.stderr.contains(text), "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!(report["interrupted"], "SIGINT");
    let unrun = report["unrun"].as_array().unwrap();
    let column = |key: &str| unrun.iter().map(|one| one[key].clone()).collect::<Vec<Value>>();
    assert_eq!(column("scenario"), ["slow", "slow"]);
    assert_eq!(column("in_flight"), [1, 0]);
    assert_eq!(column("missing"), [1, 1]);
    assert_eq!(column("made"), [0, 0]);
}

fn forked_children_give_no_rate() {
    let workshop = Workshop::new();
    let done = replay(&workshop, CRASH, &["--mode", "fork"]);
    let text = "= shown in forked children only: a rate comes from fresh processes";
    assert!(done.stderr.contains(text), "{}", done.stderr);
    let done = replay(&workshop, CRASH, &["--mode", "spawn"]);
    assert!(done.stderr.contains("shown by 1 of 1 run in a fresh process,"), "{}", done.stderr);
}

fn answers_to_a_full_disk() {
    let workshop = Workshop::new();
    for arguments in [["list"].as_slice(), &["explain"], &["explain", "C101"], &["show"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = workshop.command(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(110), "{arguments:?}: {stderr}");
        let text = "error: cannot write to standard output: No space left on device";
        assert!(stderr.contains(text), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("--json -"), "{stderr}");
    }
}
