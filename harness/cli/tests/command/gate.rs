//! The gate as CI sees it: profiles, the baseline, and what `accept` writes.

use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{Done, LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("gate-new-known-expired-and-fixed", new_known_expired_and_fixed),
    ("gate-other-scenario-stays-red", other_scenario_stays_red),
    ("gate-rate-above-the-highest-stays-red", rate_above_the_highest_stays_red),
    ("gate-plan-of-a-command-line", plan_of_a_command_line),
    ("gate-accept-keeps-what-people-wrote", accept_keeps_what_people_wrote),
    ("gate-accept-as-plan", accept_as_plan),
    ("gate-accept-refuses", accept_refuses),
    ("gate-accept-refuses-what-is-expected", accept_refuses_what_is_expected),
    ("gate-accept-enters-the-rest", accept_enters_the_rest),
    ("gate-accept-writes-titles-whole", accept_writes_titles_whole),
    ("gate-fixed-needs-a-close-look", fixed_needs_a_close_look),
    ("gate-fixed-needs-all-plans", fixed_needs_all_plans),
    ("gate-profile-names-no-baseline", profile_names_no_baseline),
    ("gate-profile-denies-skips", profile_denies_skips),
    ("gate-mistakes-in-files", mistakes_in_files),
    ("gate-profiles", profiles),
    ("gate-settings-of-a-folder-above", settings_of_a_folder_above),
];

const BASELINE: &str = ".config/hotfire-baseline.toml";
const ISSUE: &str = "https://example.org/7";
const DEFECT: &str = ":defect=cleanup-order";
const TODAY: &str = "2026-11-21";

/// A scenario that must pass; with the defect it crashes each time.
fn scenario(name: &str, defect: &str) -> String {
    format!(
        "name = \"{name}\"\nlifecycle = \"swap\"\nengine = \"reference{defect}\"\n\
         plans = ['create a = ENGINE; load a tiny; drop a; exit']\n"
    )
}

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    for folder in ["scenarios", ".config"] {
        std::fs::create_dir(workshop.path(folder)).unwrap();
    }
    workshop.write("scenarios/drop.toml", &scenario("drop", DEFECT));
    workshop
}

/// Runs everything on a day; the report is valid.
fn run_on(workshop: &Workshop, day: &str, more: &[&str]) -> (Done, Value) {
    let done = workshop.run(&[&["run", "--today", day, "--json", "report.json"], more].concat());
    let report = workshop.json("report.json");
    assert_valid(&report);
    assert_eq!(report["exit_code"], done.status);
    (done, report)
}

fn accept(workshop: &Workshop, more: &[&str]) -> Done {
    let flags = ["--issue", ISSUE, "--today", TODAY, "--expires", "2026-12-01"];
    workshop.run(&[["accept", "all-new"].as_slice(), &flags, more].concat())
}

/// The first result of a scenario whose name begins so.
fn result<'a>(report: &'a Value, scenario: &str) -> &'a Value {
    let mut results = report["results"].as_array().unwrap().iter();
    results.find(|one| one["scenario"].as_str().unwrap().starts_with(scenario)).unwrap()
}

fn verdict(report: &Value) -> &str {
    result(report, "drop")["verdict"].as_str().unwrap()
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn new_known_expired_and_fixed() {
    let workshop = workshop();
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (100, "new"), "{}", done.stderr);
    let done = accept(&workshop, &["--owner", "ada"]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert_has(&done.stdout, &[BASELINE, "SIGSEGV", "is known until 2026-12-01"]);

    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (0, "known"), "{}", done.stderr);
    let told = [
        "KNOWN SIGSEGV",
        "known, 10 days left: https://example.org/7 (ada)",
        ": 0 as expected, 1 known (",
    ];
    assert_has(&done.stderr, &told);
    assert!(!done.stderr.contains("every plan went as expected"), "{}", done.stderr);
    assert_eq!(result(&report, "drop")["known"]["issue"], ISSUE);
    assert_eq!(report["baseline"][0]["state"], "seen");
    let quiet = workshop.run(&["-q", "run", "--today", TODAY]);
    assert_has(&quiet.stderr, &["KNOWN SIGSEGV"]);

    assert_eq!(run_on(&workshop, "2026-12-01", &[]).0.status, 0, "the last day");
    let (done, report) = run_on(&workshop, "2026-12-02", &[]);
    assert_eq!((done.status, verdict(&report)), (100, "expired"), "{}", done.stderr);
    assert_has(
        &done.stderr,
        &["EXPIRED SIGSEGV", "1 day ago", "C101 SIGSEGV", "1 NOT as expected"],
    );

    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (0, "fixed"), "{}", done.stderr);
    assert_has(&done.stderr, &["FIXED drop ", "remove the entry", ISSUE, "1 fixed"]);
    assert_eq!(result(&report, "drop")["runs"], 5, "as many as its rate asks for");
    let (done, report) = run_on(&workshop, TODAY, &["--profile", "ci"]);
    assert_eq!((done.status, verdict(&report)), (100, "fixed"), "{}", done.stderr);
    assert_eq!(report["baseline"][0]["fails"], true);
    let (done, report) = run_on(&workshop, TODAY, &["--profile", "ci", "--runs", "4"]);
    assert_eq!((done.status, verdict(&report)), (0, "as-expected"), "{}", done.stderr);
    assert_has(&done.stderr, &["not seen in 4 fresh runs; undecided, --runs 5 would tell"]);
}

fn other_scenario_stays_red() {
    let workshop = workshop();
    run_on(&workshop, TODAY, &[]);
    assert_eq!(accept(&workshop, &[]).status, 0);
    workshop.write("scenarios/second.toml", &scenario("second", DEFECT));
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert_eq!((verdict(&report), &result(&report, "second")["verdict"]), ("known", &"new".into()));
    // Both show one finding; only the new one is entered.
    let done = accept(&workshop, &[]);
    assert_eq!((done.status, done.stdout.lines().count()), (0, 1), "{done:?}");
    assert_eq!(run_on(&workshop, TODAY, &[]).0.status, 0);
    // An entry for what is not there is told in a run of everything.
    std::fs::remove_file(workshop.path("scenarios/second.toml")).unwrap();
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_has(
        &done.stderr,
        &["warning: no scenario is named by the baseline's entry", "(second)"],
    );
    assert_eq!(report["baseline"][1]["state"], "not-run");
}

fn rate_above_the_highest_stays_red() {
    let workshop = workshop();
    run_on(&workshop, TODAY, &[]);
    assert_eq!(accept(&workshop, &["--max-rate", "0.2"]).status, 0);
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (100, "new"), "{}", done.stderr);
    assert_has(
        &done.stderr,
        &["shown by 5 of 5 fresh runs, at least 47.8 %", "20.0 % are allowed"],
    );
    let told = ["is listed already, at ", "change its date or rate there"];
    let text = std::fs::read_to_string(workshop.path(BASELINE)).unwrap();
    let done = accept(&workshop, &[]);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    assert_has(&done.stdout, &told);
    // Where it alone is named, nothing was done.
    let id = result(&report, "drop")["finding"].as_str().unwrap();
    let flags = ["--issue", ISSUE, "--today", TODAY, "--expires", "2026-12-01"];
    let done = workshop.run(&[["accept", id].as_slice(), &flags].concat());
    assert_eq!((done.status, done.stdout.as_str()), (2, ""));
    assert_has(&done.stderr, &told);
    assert_eq!(std::fs::read_to_string(workshop.path(BASELINE)).unwrap(), text);
}

fn plan_of_a_command_line() {
    let workshop = workshop();
    let plan = "create a = reference:defect=cleanup-order; load a tiny; drop a; exit";
    assert_eq!(workshop.run(&["run", "--plan", plan]).status, 100);
    assert_eq!(accept(&workshop, &[]).status, 0);
    let known = ["run", "--today", TODAY, "--plan", plan];
    assert_eq!(workshop.run(&known).status, 0);
    assert_eq!(workshop.run(&["replay", "--today", TODAY, "--runs", "2", plan]).status, 0);
    // Another plan with the same finding is not the one that was accepted.
    let other = plan.replace("; exit", "");
    assert_eq!(workshop.run(&["run", "--today", TODAY, "--plan", &other]).status, 100);
}

fn accept_keeps_what_people_wrote() {
    let workshop = workshop();
    let ours = "# Ours.\n[[known]] # old\nscenario = 'load-*'\nclass = 'deadlock'   # by words\n\
                issue = 'https://example.org/1'\nexpires = '2026-12-24'";
    workshop.write(BASELINE, ours);
    run_on(&workshop, TODAY, &[]);
    let id = result(&workshop.json("report.json"), "drop")["finding"].as_str().unwrap().to_owned();
    let flags = ["--issue", ISSUE, "--today", TODAY, "--expires", "2026-11-21"];
    let more = ["--reason", "a \"quoted\" reason\nof two lines", "--max-rate", "0.9"];
    let done = workshop.run(&[["accept", &id[..6]].as_slice(), &flags, &more].concat());
    assert_eq!(done.status, 0, "{}", done.stderr);
    let text = std::fs::read_to_string(workshop.path(BASELINE)).unwrap();
    let entry = text.strip_prefix(ours).unwrap();
    assert_has(
        entry,
        &["\n# C101 SIGSEGV: ", "# Seen in 5 of 5 ", "scenario = \"drop\"", "min-rate = 0.47", &id],
    );
    assert!(!entry.contains("plan = "), "{entry}");
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (0, "known"), "{}", done.stderr);
    assert_eq!(report["baseline"][1]["known"]["reason"], "a \"quoted\" reason\nof two lines");
    assert_eq!(result(&report, "drop")["known"]["days_left"], 0);
}

fn accept_as_plan() {
    let workshop = workshop();
    run_on(&workshop, TODAY, &["--timeout", "7s"]);
    let done = workshop.run(&["accept", "all-new", "--as", "plan", "--issue", ISSUE]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let (path, _) = done.stdout.split_once(": must pass from now on").unwrap();
    assert!(path.starts_with("scenarios/regressions/drop-sigsegv-"), "{path}");
    let text = std::fs::read_to_string(workshop.path(path)).unwrap();
    assert_has(&text, &[ISSUE, "runs = 5\n", "[limits]\nrun = \"7s\"\n"]);
    let again = workshop.run(&["accept", "all-new", "--as", "plan", "--issue", ISSUE]);
    assert_eq!((again.status, again.stderr.as_str()), (0, ""));
    assert_has(&again.stdout, &["is there already: `hotfire run drop-sigsegv-"]);
    // Red until the fix, green from then on; `run` finds it without being told.
    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, report["results"].as_array().unwrap().len()), (100, 2));
    workshop.write(path, &text.replace(DEFECT, ""));
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, &result(&report, "drop-")["runs"]), (0, &5.into()), "{}", done.stderr);
    // Beside the built-in scenarios, too.
    std::fs::remove_file(workshop.path("scenarios/drop.toml")).unwrap();
    let listed = workshop.run(&["list"]).stdout;
    assert_has(&listed, &["drop-sigsegv-", "swap-deadlock "]);
}

fn accept_refuses() {
    let workshop = workshop();
    let base = ["accept", "all-new", "--today", TODAY];
    let refused = |more: &[&str], told: &[&str]| {
        let done = workshop.run(&[&base, more].concat());
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{more:?}: {}", done.stderr);
        assert_has(&done.stderr, told);
    };
    let expires = ["--expires", "2026-12-01"];
    refused(
        &[&["--issue", ISSUE], expires.as_slice()].concat(),
        &["report.json", "help: `hotfire run`"],
    );
    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    std::fs::create_dir(workshop.path(".hotfire")).unwrap();
    run_on(&workshop, TODAY, &[]);
    refused(
        &[&["--issue", ISSUE], expires.as_slice()].concat(),
        &["has no new finding", "\nhelp: "],
    );
    refused(&[&["--issue", "#7"], expires.as_slice()].concat(), &["an issue is a URL"]);
    for what in ["", "abc", "abc-0123456789"] {
        let done = workshop.run(&["accept", what, "--issue", ISSUE, "--expires", "2099-01-01"]);
        assert_eq!((done.status, done.stdout.as_str()), (2, ""));
        assert_has(
            &done.stderr,
            &["is too short for the id", "help: give 4 of its digits or more"],
        );
    }
    refused(&["--expires", "2026-12-01"], &["--issue <URL>"]);
    refused(&["--issue", ISSUE], &["needs its last day", "help: add --expires"]);
    refused(&["--issue", ISSUE, "--expires", "2026-02-30"], &["a date is a day of the calendar"]);
    let past = ["--issue", ISSUE, "--expires", "2026-11-20"];
    refused(&past, &["--expires 2026-11-20 has passed, today is 2026-11-21", "\nhelp: "]);
    let rate = ["--issue", ISSUE, "--expires", "2026-12-01", "--max-rate", "20"];
    refused(&rate, &["a rate is a number above 0 and at most 1"]);
    let plan = ["--as", "plan", "--issue", ISSUE, "--expires", "2026-12-01"];
    refused(&plan, &["belong to the baseline", "\nhelp: "]);
    let unknown =
        workshop.run(&["accept", "abcdef12", "--issue", ISSUE, "--expires", "2099-01-01"]);
    assert_eq!(unknown.status, 2);
    assert_has(&unknown.stderr, &["no finding `abcdef12` is kept in "]);
    assert!(!workshop.path(BASELINE).exists(), "what is refused writes nothing");
}

fn accept_refuses_what_is_expected() {
    let workshop = workshop();
    let expect = "[expect]\nstatus = [\"SIGSEGV\"]\n";
    workshop.write("scenarios/drop.toml", &(scenario("drop", DEFECT) + expect));
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (0, "as-expected"), "{}", done.stderr);
    let id = result(&report, "drop")["finding"].as_str().unwrap();
    for more in [["--expires", "2099-01-01"], ["--as", "plan"]] {
        let done = workshop.run(&[&["accept", id, "--issue", ISSUE], more.as_slice()].concat());
        assert_eq!((done.status, done.stdout.as_str()), (2, ""));
        let told = ["is what scenario `drop` expects: it is green", "help: ", "take `expect` out"];
        assert_has(&done.stderr, &told);
    }
    assert!(!workshop.path(BASELINE).exists(), "what is refused writes nothing");
}

fn accept_enters_the_rest() {
    let workshop = workshop();
    run_on(&workshop, TODAY, &[]);
    assert_eq!(accept(&workshop, &["--max-rate", "0.2"]).status, 0);
    workshop.write("scenarios/second.toml", &scenario("second", DEFECT));
    // Of the two new ones the first is listed, and shows too often.
    let (done, report) = run_on(&workshop, TODAY, &[]);
    assert_eq!((done.status, verdict(&report)), (100, "new"), "{}", done.stderr);
    let done = accept(&workshop, &[]);
    assert_eq!((done.status, done.stdout.lines().count()), (0, 2), "{done:?}");
    assert_has(&done.stdout, &["is listed already, at ", " is known until 2026-12-01"]);
    let text = std::fs::read_to_string(workshop.path(BASELINE)).unwrap();
    assert_eq!((text.matches("[[known]]").count(), text.matches("\"second\"").count()), (2, 1));
    // The same as plans: each is written, then each is noted.
    let plans = ["accept", "all-new", "--as", "plan", "--issue", ISSUE];
    let done = workshop.run(&plans);
    assert_eq!((done.status, done.stdout.matches("must pass from now on").count()), (0, 2));
    let done = workshop.run(&plans);
    assert_eq!((done.status, done.stdout.matches("is there already").count()), (0, 2));
}

/// A load of a model with a long name fails: the name is in the finding's title.
fn accept_writes_titles_whole() {
    let workshop = workshop();
    let name = ["a-long-name"; 20].join("-");
    let text = scenario("drop", "").replace("tiny", &name);
    workshop.write("scenarios/drop.toml", &text);
    let (done, report) = run_on(&workshop, TODAY, &["--junit", "junit.xml"]);
    assert_eq!((done.status, verdict(&report)), (100, "new"), "{}", done.stderr);
    let title = report["findings"][0]["title"].as_str().unwrap();
    assert!(title.contains(&name), "{title}");
    assert_eq!(accept(&workshop, &[]).status, 0);
    let entry = std::fs::read_to_string(workshop.path(BASELINE)).unwrap();
    let comment: Vec<&str> = entry.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    assert!(comment.join(" ").contains(title), "{entry}");
    let done = workshop.run(&["accept", "all-new", "--as", "plan", "--issue", ISSUE]);
    let (path, _) = done.stdout.split_once(": must pass from now on").unwrap();
    let text = std::fs::read_to_string(workshop.path(path)).unwrap();
    let summary = text.lines().find(|line| line.starts_with("summary = ")).unwrap();
    assert!(summary.contains(&name), "{summary}");
    assert_eq!(workshop.run(&["list"]).status, 0);
    let xml = std::fs::read_to_string(workshop.path("junit.xml")).unwrap();
    assert_has(&xml, &[&format!("message=\"{}", title.split('`').next().unwrap()), &name]);
}

/// A repository in which the failure of `drop` is listed, and gone.
fn mended() -> Workshop {
    let workshop = workshop();
    run_on(&workshop, TODAY, &[]);
    assert_eq!(accept(&workshop, &[]).status, 0);
    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    workshop
}

fn fixed_needs_a_close_look() {
    let workshop = mended();
    let told = |more: &[&str]| {
        let (done, report) = run_on(&workshop, TODAY, &[&["--runs", "5"], more].concat());
        assert_eq!(done.status, 0, "{more:?}: {}", done.stderr);
        let entry = &report["baseline"][0];
        assert_eq!(verdict(&report) == "fixed", entry["state"] == "fixed");
        entry["reason"].as_str().unwrap().to_owned()
    };
    assert_has(&told(&[]), &["remove the entry"]);
    for (flags, why) in [
        (["--census", "off"].as_slice(), "undecided, without the census it may not show"),
        (&["--trace", "off"], "undecided, without ptrace it may not show"),
        (&["--no-ledger"], "undecided, without the ledger it may not show"),
        (&["--engine", "reference:window=5us"], "undecided, --engine takes other settings"),
    ] {
        assert_has(&told(flags), &["not seen in 5 fresh runs; ", why]);
    }
    // As closely as the scenario says, or closer.
    for flags in [["--census", "steps"].as_slice(), &["--beat", "5s"], &["--engine", "reference"]] {
        assert_has(&told(flags), &["remove the entry"]);
    }
    let beat = scenario("drop", "") + "[limits]\nbeat = \"2s\"\n";
    workshop.write("scenarios/drop.toml", &beat);
    assert_has(&told(&["--beat", "5s"]), &["undecided, with this --beat it may not show"]);
    assert_has(&told(&["--beat", "1s"]), &["remove the entry"]);
    // Where the scenario itself asks for less, that is what is accepted.
    let text = scenario("drop", "").replace("plans", "census = \"off\"\nplans");
    workshop.write("scenarios/drop.toml", &text);
    assert_has(&told(&[]), &["remove the entry"]);
}

fn fixed_needs_all_plans() {
    let workshop = mended();
    let text = std::fs::read_to_string(workshop.path(BASELINE)).unwrap();
    workshop.write(BASELINE, &text.replace("\"drop\"", "\"drop*\""));
    let state = |arguments: &[&str]| {
        let day = ["--today", TODAY, "--json", "report.json", "--runs", "5"];
        let done = workshop.run(&[arguments, &day].concat());
        assert_eq!(done.status, 0, "{arguments:?}: {}", done.stderr);
        let entry = workshop.json("report.json")["baseline"][0].clone();
        (entry["state"].as_str().unwrap().to_owned(), entry["reason"].as_str().unwrap().to_owned())
    };
    workshop.write("scenarios/drop-too.toml", &scenario("drop-too", ""));
    assert_eq!(state(&["run"]).0, "fixed");
    assert_eq!(state(&["run", "drop"]).0, "fixed", "a word that has both");
    for part in ["drop-too", "scenarios/drop.toml"] {
        let (state, reason) = state(&["run", part]);
        assert_eq!(state, "undecided", "{part}");
        assert_has(&reason, &["undecided, not all plans that it names were run"]);
    }
    // A file that nobody can read may hold one more.
    workshop.write("scenarios/drop-broken.toml", "name =\n");
    assert_eq!(state(&["run", "scenarios/drop.toml", "scenarios/drop-too.toml"]).0, "undecided");
    // An entry of one plan needs that one.
    std::fs::remove_file(workshop.path("scenarios/drop-broken.toml")).unwrap();
    workshop.write(BASELINE, &text);
    assert_eq!(state(&["run", "scenarios/drop.toml"]).0, "fixed");
}

fn profile_names_no_baseline() {
    let workshop = workshop();
    workshop.write(".config/hotfire.toml", "[profile.ci]\nbaseline = \"nosuch.toml\"\n");
    for verb in [["run"].as_slice(), &["replay", "create a = reference; exit"]] {
        let done = workshop.run(&[verb, &["--profile", "ci"]].concat());
        assert_eq!((done.status, done.stdout.as_str()), (2, ""));
        let told = [
            "cannot read nosuch.toml: no such file",
            "`baseline` of the profile",
            "help: mend the name; `hotfire accept ID … --baseline nosuch.toml` makes it",
        ];
        assert_has(&done.stderr, &told);
        assert!(!done.stderr.contains("seed"), "it is told before anything runs");
    }
    // The usual place may be empty, and `accept` makes the file that is named.
    assert_eq!(run_on(&workshop, TODAY, &[]).0.status, 100);
    assert_eq!(accept(&workshop, &["--profile", "ci"]).status, 0);
    assert!(workshop.path("nosuch.toml").exists());
    assert_eq!(run_on(&workshop, TODAY, &["--profile", "ci"]).0.status, 0);
}

fn profile_denies_skips() {
    let workshop = workshop();
    let text = scenario("drop", "").replace("reference", "llama");
    workshop.write("scenarios/away.toml", &text.replace("\"drop\"", "\"away\""));
    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    workshop.write(".config/hotfire.toml", "[profile.ci]\ndeny-skips = true\ncensus = \"off\"\n");
    let run = |more: &[&str]| {
        let mut command = workshop.command(&[&["run", "--today", TODAY], more].concat());
        Started::new(command.env("HOTFIRE_LLAMA_DIR", workshop.path("tmp"))).finish(LIMIT)
    };
    assert_eq!(run(&[]).status, 0);
    let done = run(&["--profile", "ci"]);
    assert_eq!(done.status, 97, "{}", done.stderr);
    assert_has(&done.stderr, &["plans were skipped"]);
}

fn mistakes_in_files() {
    let workshop = workshop();
    workshop.write(BASELINE, "[[known]]\nscenario = \"drop\"\nclass = \"deadlok\"\n");
    let done = workshop.run(&["run"]);
    assert_eq!(done.status, 2);
    assert_has(
        &done.stderr,
        &[".config/hotfire-baseline.toml:1:1: the key `issue` is missing", "help: add `issue = "],
    );
    let text = "[[known]]\nscenario = \"drop\"\nclass = \"deadlok\"\nissue = \"https://a/1\"\nexpires = 2026-12-01\n";
    workshop.write(BASELINE, text);
    for arguments in [["run"].as_slice(), &["replay", "create a = reference; exit"]] {
        let done = workshop.run(arguments);
        assert_eq!((done.status, done.stdout.as_str()), (2, ""));
        assert_has(
            &done.stderr,
            &[
                "hotfire-baseline.toml:3:9: unknown class `deadlok`",
                "^^^^",
                "help: did you mean `deadlock`?",
            ],
        );
        assert!(!done.stderr.contains("seed"), "it is told before anything runs");
    }
    std::fs::remove_file(workshop.path(BASELINE)).unwrap();
    let done = workshop.run(&["run", "--baseline", "nosuch.toml"]);
    assert_eq!(done.status, 2);
    assert_has(&done.stderr, &["cannot read nosuch.toml", "\nhelp: "]);
    workshop.write(".config/hotfire.toml", "[profile.ci]\nbaselin = \"x\"\n");
    for verb in ["run", "show", "accept"] {
        let flags: &[&str] = match verb {
            "run" => &[],
            "show" => &["abcd"],
            _ => &["abcd", "--issue", ISSUE, "--expires", "2099-01-01"],
        };
        let done = workshop.run(&[&[verb], flags].concat());
        assert_eq!(done.status, 2, "{verb}");
        let told =
            [".config/hotfire.toml:2:1: unknown key `baselin`", "help: did you mean `baseline`?"];
        assert_has(&done.stderr, &told);
    }
}

fn profiles() {
    let workshop = workshop();
    workshop.write("scenarios/drop.toml", &scenario("drop", ""));
    let text =
        "[profile.default]\nruns = 3\nout = \"kept\"\n[profile.ci]\nruns = 6\nledger = false\n";
    workshop.write(".config/hotfire.toml", text);
    std::fs::create_dir(workshop.path("kept")).unwrap();
    let runs = |more: &[&str]| result(&run_on(&workshop, TODAY, more).1, "drop")["runs"].clone();
    assert_eq!(runs(&[]), 3);
    assert!(workshop.path("kept/report.json").exists());
    assert_eq!(runs(&["--profile", "ci"]), 6);
    assert_eq!(runs(&["--profile", "ci", "--runs", "2"]), 2, "flags win");
    assert!(!workshop.path(".hotfire").exists());
    let done = workshop.run(&["run", "--profile", "nightly"]);
    assert_eq!(done.status, 2);
    assert_has(&done.stderr, &["no profile is named `nightly`; known: ci, default", "\nhelp: "]);
}

fn settings_of_a_folder_above() {
    let workshop = workshop();
    run_on(&workshop, TODAY, &[]);
    assert_eq!(accept(&workshop, &[]).status, 0);
    let inner = workshop.path("inner");
    std::fs::create_dir(&inner).unwrap();
    let status = || {
        let mut command =
            workshop.command(&["run", "--today", TODAY, "../scenarios/drop.toml", "--out", "kept"]);
        Started::new(command.current_dir(&inner)).finish(LIMIT).status
    };
    assert_eq!(status(), 100, "no repository: the folder above is not the project's");
    std::fs::create_dir(workshop.path(".git")).unwrap();
    assert_eq!(status(), 0);
}
