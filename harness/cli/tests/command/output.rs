//! Where output goes and how it looks: streams, colours, order, and what an engine put into it.

use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{Done, LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("output-streams", streams),
    ("output-defects-and-their-scenarios", defects_and_their_scenarios),
    ("output-quiet-and-verbose", quiet_and_verbose),
    ("output-colours-only-when-wanted", colours_only_when_wanted),
    ("output-no-progress-in-a-pipe", no_progress_in_a_pipe),
    ("output-help-has-working-verbs-only", help_has_working_verbs_only),
    ("output-same-seed-same-plans", same_seed_same_plans),
    ("output-escapes-of-an-engine", escapes_of_an_engine),
    ("output-of-a-closed-pipe", of_a_closed_pipe),
];

const HEALTHY: &str = "create a = reference; load a tiny; exit";
const CRASH: &str = "create a = reference:defect=cleanup-order; load a tiny; drop a; exit";

fn assert_no_escape(text: &str) {
    let bad = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    assert!(!text.contains(bad), "{text:?}");
}

fn streams() {
    let workshop = Workshop::new();
    let done = workshop.run(&["run", "fail-init"]);
    assert_eq!((done.status, done.stdout.as_str()), (0, ""), "{}", done.stderr);
    assert!(done.stderr.starts_with("hotfire: seed 0x"), "{}", done.stderr);
    for verb in [
        ["list"].as_slice(),
        &["list", "--defects"],
        &["explain"],
        &["explain", "C101"],
        &["--help"],
    ] {
        let Done { status, stdout, stderr } = workshop.run(verb);
        assert_eq!((status, stderr.as_str()), (0, ""), "{verb:?}");
        assert!(stdout.lines().count() > 5, "{verb:?}: {stdout}");
        assert_no_escape(&stdout);
    }
    let listed = workshop.run(&["list", "swap"]).stdout;
    assert!(listed.lines().any(|line| line.starts_with("swap-deadlock ")), "{listed}");
    assert!(!listed.contains("fail-init"), "{listed}");
}

/// What the list of defects says is what the scenarios say.
fn defects_and_their_scenarios() {
    let workshop = Workshop::new();
    let Done { status, stdout, stderr } = workshop.run(&["list", "--defects"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let mut lines = stdout.lines();
    let rows: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines.next().unwrap().split(' ').next(), Some(rows.len().to_string().as_str()));
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [defect, shown, _, scenario, ..] = words[..] else { panic!("{row}") };
        let listed = workshop.run(&["list", scenario]).stdout;
        let line = listed.lines().find(|line| line.split(' ').next() == Some(scenario)).unwrap();
        let expected = line.split_whitespace().nth(1).unwrap();
        assert!(expected.split('|').any(|status| status == shown), "{defect}: {shown}, {line}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
        let text = std::fs::read_to_string(format!("{folder}/{scenario}.toml")).unwrap();
        assert!(text.contains(&format!("defect={defect}")), "{scenario} has no {defect}");
    }
}

fn quiet_and_verbose() {
    let workshop = Workshop::new();
    let quiet = workshop.run(&["-q", "run", "fail-init", "--engine", "reference"]);
    assert_eq!(quiet.status, 0);
    assert_eq!(quiet.stderr.lines().count(), 1, "{}", quiet.stderr);
    assert!(quiet.stderr.contains("Summary ["), "{}", quiet.stderr);
    // What was not expected is told all the same.
    let quiet = workshop.run(&["replay", "-q", CRASH, "--runs", "1"]);
    assert_eq!(quiet.status, 100);
    assert!(quiet.stderr.contains("C101 SIGSEGV"), "{}", quiet.stderr);
    let plain = workshop.run(&["run", "fail-init", "--engine", "reference"]);
    let verbose = workshop.run(&["run", "-v", "fail-init", "--engine", "reference"]);
    assert!(verbose.stderr.lines().count() >= plain.stderr.lines().count());
}

fn colours_only_when_wanted() {
    let workshop = Workshop::new();
    let colour_of = |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["replay", CRASH, "--runs", "1"], arguments].concat();
        let mut command = workshop.command(&arguments);
        command.envs(variables.iter().copied());
        let done = Started::new(&mut command).finish(LIMIT);
        assert_eq!(done.status, 100, "{}", done.stderr);
        let has = done.stderr.contains('\u{1b}');
        if !has {
            assert_no_escape(&done.stderr);
        }
        has
    };
    assert!(!colour_of(&[], &[]), "a pipe");
    assert!(colour_of(&["--color", "always"], &[]));
    assert!(colour_of(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(colour_of(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colour_of(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!colour_of(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colour_of(&[], &[("CLICOLOR_FORCE", "")]));
    assert!(!colour_of(&[], &[("CLICOLOR_FORCE", "0")]), "0 means: not forced");
}

fn no_progress_in_a_pipe() {
    let workshop = Workshop::new();
    let done = workshop.run(&["run", "fail-init", "load-freeze", "--engine", "reference"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_no_escape(&done.stderr);
    assert!(!done.stderr.contains(" of 6 plans"), "{}", done.stderr);
}

fn help_has_working_verbs_only() {
    let workshop = Workshop::new();
    let help = workshop.run(&["--help"]).stdout;
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let verbs = verbs.lines().take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(
        verbs,
        [
            "run",
            "replay",
            "exec",
            "core",
            "attach",
            "list",
            "show",
            "accept",
            "explain",
            "demo",
            "doctor",
            "completions",
            "help"
        ]
    );
    assert!(!help.contains("__"), "{help}");
    for verb in verbs {
        assert_eq!(workshop.run(&["help", verb]).status, 0, "{verb}");
    }
}

/// Plans with their scenarios and statuses, in the report's order.
fn plans(report: &Value) -> Vec<String> {
    let results = report["results"].as_array().unwrap().iter();
    results.map(|one| format!("{} {} {}", one["scenario"], one["plan"], one["status"])).collect()
}

fn same_seed_same_plans() {
    let workshop = Workshop::new();
    let report = |jobs| {
        let done =
            workshop.run(&["run", "--engine", "reference", "--seed", "7", jobs, "--json", "-"]);
        assert_eq!(done.status, 0, "{}", done.stderr);
        assert!(done.stderr.contains("hotfire: seed 0x7, "), "{}", done.stderr);
        let report = done.json();
        assert_valid(&report);
        assert_eq!(report["seed"], "0x7");
        report
    };
    let (one, two) = (report("-j1"), report("-j4"));
    assert_eq!(plans(&one), plans(&two));
    let names = |report: &Value| -> Vec<String> {
        let results = report["results"].as_array().unwrap().iter();
        results.map(|one| one["scenario"].as_str().unwrap().to_owned()).collect()
    };
    let mut sorted = names(&one);
    sorted.sort();
    assert_eq!(names(&one), sorted);
    assert!(sorted.len() > 25, "{sorted:?}");
}

/// An engine's words come from outside: nothing of them reaches a terminal as it is.
fn escapes_of_an_engine() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a \"evil\u{1b}[31m\u{7}name\"; exit";
    for arguments in [["replay", plan, "--runs", "1"].as_slice(), &["run", "--plan", plan]] {
        let done = workshop.run(arguments);
        assert_no_escape(&done.stderr);
        assert!([2, 100].contains(&done.status), "{}", done.stderr);
        assert!(done.stderr.contains("evil"), "{}", done.stderr);
    }
    // The same by the escapes that plan text has, if it has them.
    let plan = r#"create a = reference; load a "evil\u001b[31mname"; exit"#;
    let done = workshop.run(&["replay", plan, "--runs", "1"]);
    assert_no_escape(&done.stderr);
    // A scenario's own words are not more trusted than that.
    workshop.write(
        "evil.toml",
        "name = \"evil\"\nsummary = \"a\\u001b[31mb\"\nlifecycle = \"load\"\nengine = \"reference\"\n\
         plans = ['create a = ENGINE; load a \"evil\u{9b}31m\"; exit']\n",
    );
    let done = workshop.run(&["run", "evil.toml"]);
    assert_no_escape(&done.stderr);
    let done = workshop.run(&["list", "evil.toml"]);
    assert_no_escape(&done.stdout);
    let done = workshop.run(&["run", "no\u{1b}[31msuch"]);
    assert_no_escape(&done.stderr);
    assert_eq!(done.status, 4);
    let done = workshop.run(&["show", "no\u{1b}[31msuch"]);
    assert_no_escape(&done.stderr);
    assert_eq!(done.status, 2);
}

/// `hotfire … | head -1`: a reader that has gone changes no status.
fn of_a_closed_pipe() {
    let workshop = Workshop::new();
    let program = workshop.program().display();
    for (verb, status) in [("list", 0), ("explain", 0)] {
        let script = format!("{{ \"{program}\" {verb}; echo $? >&2; }} | :");
        let mut command = std::process::Command::new("sh");
        workshop.furnish(command.args(["-c", &script]));
        let done = Started::new(&mut command).finish(LIMIT);
        assert_eq!(done.stderr.trim(), status.to_string(), "{verb}");
    }
    let script = format!("\"{program}\" replay '{HEALTHY}' --runs 1 2>&1 >/dev/null | :");
    let mut command = std::process::Command::new("sh");
    workshop.furnish(command.args(["-c", &script]));
    assert_eq!(Started::new(&mut command).finish(LIMIT).status, 0);
}
