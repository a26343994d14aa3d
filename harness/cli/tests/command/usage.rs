//! What a user writes a little wrong, or means otherwise: it is told before anything runs, and a
//! typo is never green.

use crate::Case;
use crate::workshop::{Done, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("usage-typo-beside-a-good-filter", typo_beside_a_good_filter),
    ("usage-settings-of-engines", settings_of_engines),
    ("usage-settings-in-a-scenario", settings_in_a_scenario),
    ("usage-expect-with-a-typo", expect_with_a_typo),
    ("usage-plan-without-a-step", plan_without_a_step),
    ("usage-engine-that-changes-nothing", engine_that_changes_nothing),
    ("usage-files-that-are-no-scenarios", files_that_are_no_scenarios),
    ("usage-plan-files", plan_files),
    ("usage-folder-of-scenarios", folder_of_scenarios),
    ("usage-scenarios-of-a-project", scenarios_of_a_project),
    ("usage-two-scenarios-of-one-name", two_scenarios_of_one_name),
    ("usage-exit-status-is-documented", exit_status_is_documented),
];

/// `docs/exit-status.md`, the help and README.md tell of the same statuses.
fn exit_status_is_documented() {
    let page = include_str!("../../../../docs/exit-status.md");
    let readme = include_str!("../../../../README.md");
    let help = Workshop::new().run(&["--help"]).stdout;
    let (_, help) = help.split_once("Exit status: ").unwrap();
    // What `exec` makes of a command's own status stands apart.
    let (page, _) = page.split_once("## `hotfire exec`").unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    let listed: String = cells.map(|(cell, _)| format!("{cell},")).collect();
    let number = |text: &str| text.trim_matches(|letter: char| !letter.is_ascii_digit()).parse();
    let listed: Vec<i32> = listed.split(',').filter_map(|cell| number(cell).ok()).collect();
    assert_eq!(listed, [0, 2, 4, 70, 96, 97, 100, 101, 110, 129, 130, 143]);
    for status in listed {
        let is_told = |text: &str| {
            text.split(|letter: char| !letter.is_ascii_digit()).any(|it| it == status.to_string())
        };
        assert!(is_told(help) && is_told(readme), "{status}: {help}");
    }
}

/// Refused with this status and these texts, before anything ran.
fn assert_refused(done: &Done, status: i32, texts: &[&str]) {
    assert_eq!((done.status, done.stdout.as_str()), (status, ""), "{}", done.stderr);
    for text in texts {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
    assert!(!done.stderr.contains("seed"), "{}", done.stderr);
}

fn scenario(name: &str) -> String {
    format!("name = \"{name}\"\nlifecycle = \"load\"\nplans = ['create a = ENGINE; exit']\n")
}

fn typo_beside_a_good_filter() {
    let workshop = Workshop::new();
    let texts = ["no scenario matches `swap-deadlok`\nhelp: did you mean `swap-deadlock`? "];
    for verb in ["run", "list"] {
        assert_refused(&workshop.run(&[verb, "canary", "swap-deadlok"]), 4, &texts);
    }
    let done = workshop.run(&["run", "canary", "nosuchscenario"]);
    assert_refused(&done, 4, &["no scenario matches `nosuchscenario`\nhelp: `hotfire list`"]);
    workshop.write("mine.toml", &scenario("mine"));
    assert_refused(&workshop.run(&["run", "mine.toml", "mien"]), 4, &["did you mean `mine`?"]);
}

fn settings_of_engines() {
    let workshop = Workshop::new();
    for (engine, texts) in [
        ("reference:defect=clenup-order", ["did you mean `cleanup-order`?", "half-built-init"]),
        ("reference:defcet=cleanup-order", ["did you mean `defect`?", "known: defect, window,"]),
        ("reference:window=5", ["no setting window=5", "5us"]),
        ("refernce", ["did you mean `reference`?", "known: reference, llama"]),
        ("llama:lock=of", ["no setting lock=of", "on or off"]),
    ] {
        let plan = format!("create a = {engine}; exit");
        let done = workshop.run(&["replay", &plan]);
        assert_refused(&done, 2, &["error: plan:1:12: ", "^^^", texts[0], texts[1]]);
        // The list of what is known is not cut.
        assert!(!done.stderr.contains('…'), "{}", done.stderr);
        let done = workshop.run(&["run", "--engine", engine]);
        assert_refused(&done, 2, &["error: --engine:1:1: ", "^^^", texts[0], texts[1]]);
    }
}

fn settings_in_a_scenario() {
    let workshop = Workshop::new();
    let text = |engine: &str, plan: &str| {
        format!(
            "name = \"mine\"\nlifecycle = \"load\"\nengine = \"{engine}\"\nplans = ['{plan}']\n"
        )
    };
    let plan = "create a = ENGINE; swap a engine=refrence; exit";
    workshop.write("plan.toml", &text("reference", plan));
    let done = workshop.run(&["run", "plan.toml"]);
    assert_refused(&done, 2, &["plan.toml:4:44: no engine", "did you mean `reference`?"]);
    workshop.write("engine.toml", &text("reference:defect=nope", "create a = ENGINE; exit"));
    let done = workshop.run(&["run", "engine.toml"]);
    assert_refused(&done, 2, &["engine.toml:3:11: ", "no defect `nope`", "^^^^^^^^^^^^^^^^^^^^^"]);
    // A plan without a step is one, too.
    workshop.write("empty.toml", &text("reference", ""));
    let done = workshop.run(&["run", "empty.toml"]);
    assert_refused(&done, 2, &["empty.toml:4:1: the plan has no step"]);
}

fn expect_with_a_typo() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a broken exepct=error; exit";
    let texts = ["error: plan:1:37: step 2 ", "help: did you mean `expect=`?"];
    assert_refused(&workshop.run(&["replay", plan]), 2, &texts);
}

fn plan_without_a_step() {
    let workshop = Workshop::new();
    workshop.write("empty.plan", "hotfire-plan 1\n# nothing yet\n");
    for arguments in [
        ["run", "--plan", ""].as_slice(),
        &["run", "--plan", "@empty.plan"],
        &["replay", " ; "],
        &["replay", "pause 5ms"],
    ] {
        assert_refused(&workshop.run(arguments), 2, &["the plan has no step", "\nhelp: "]);
    }
}

fn engine_that_changes_nothing() {
    let workshop = Workshop::new();
    let plan = "create a = reference; exit";
    let texts = ["the plan has no ENGINE: --engine llama would change nothing", "\nhelp: "];
    assert_refused(&workshop.run(&["run", "--plan", plan, "--engine", "llama"]), 2, &texts);
    assert_refused(&workshop.run(&["replay", plan, "--engine", "llama"]), 2, &texts);
    // With ENGINE it does.
    let plan = "create a = ENGINE; exit";
    let done = workshop.run(&["run", "--plan", plan, "--engine", "reference:window=5us"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let done = workshop.run(&["run", "swap-deadlock", "--engine", "llama"]);
    assert_refused(&done, 4, &["no scenario matches `swap-deadlock` with --engine llama"]);
}

fn files_that_are_no_scenarios() {
    let workshop = Workshop::new();
    workshop.write("p.plan", "create a = reference; exit\n");
    let done = workshop.run(&["run", "p.plan"]);
    assert_refused(&done, 2, &["is a plan, no scenario\nhelp: hotfire run --plan @p.plan"]);
    let done = workshop.run(&["replay", "p.plan"]);
    assert_refused(&done, 2, &["help: `p.plan` is a file: write @p.plan"]);
    let done = workshop.run(&["run", "--plan", "@"]);
    assert_refused(&done, 2, &["error: `@` names no file\nhelp: "]);
    let done = workshop.run(&["run", "--timeout", "30"]);
    assert_refused(&done, 2, &["us, ms or s"]);
    let done = workshop.run(&["run", "./tmp"]);
    assert_refused(&done, 2, &["the folder `./tmp` has no scenario\nhelp: "]);
}

fn plan_files() {
    let workshop = Workshop::new();
    workshop.write("t.plan", "hotfire-plan 1\ncreate a = reference\nlaod a tiny\n");
    let done = workshop.run(&["replay", "@t.plan"]);
    assert_refused(&done, 2, &["error: t.plan:3:1: unknown operation `laod`"]);
    // A schedule is the beginning of a plan, and no file's name.
    let plan = "@order(1,2); create a = reference; [load a tiny | pause 1ms]; exit";
    for arguments in [["run", "--plan", plan].as_slice(), &["replay", plan]] {
        assert_refused(&workshop.run(arguments), 96, &["a recorded schedule is not available yet"]);
    }
}

fn folder_of_scenarios() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("mine")).unwrap();
    workshop.write("mine/one.toml", &scenario("one"));
    workshop.write("mine/two.toml", &scenario("two"));
    workshop.write("mine/notes.txt", "no scenario\n");
    // The file is named twice and runs once.
    let done = workshop.run(&["run", "./mine", "mine/one.toml"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains(", 2 plans of 2 named scenarios, 2 runs"), "{}", done.stderr);
}

fn scenarios_of_a_project() {
    let workshop = Workshop::new();
    let listed = workshop.run(&["list"]).stdout;
    assert!(listed.contains(" built-in scenarios · engines: "), "{listed}");
    std::fs::create_dir(workshop.path("scenarios")).unwrap();
    workshop.write("scenarios/mine.toml", &scenario("mine"));
    // The project's own instead of the built-in ones.
    let told = "1 scenario from ./scenarios";
    let done = workshop.run(&["run"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains(&format!(", 1 plan of {told}, ")), "{}", done.stderr);
    let listed = workshop.run(&["list"]).stdout;
    assert!(listed.contains(&format!("\n{told} · ")), "{listed}");
    let hidden =
        " built-in scenarios are hidden by ./scenarios; another current folder shows them\n";
    assert_eq!(listed.matches(hidden).count(), 1, "{listed}");
    assert!(!workshop.run(&["list", "./scenarios"]).stdout.contains("hidden"));
    for verb in ["run", "list"] {
        let done = workshop.run(&[verb, "swap-deadlock", "nosuch"]);
        let why = "help: `swap-deadlock` is built in, and hidden by ./scenarios: another current";
        assert_refused(&done, 4, &["no scenario matches `swap-deadlock` or `nosuch`\n", why]);
    }
    // `scenarios` is the folder.
    let done = workshop.run(&["run", "scenarios"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains("1 plan of 1 scenario from ./scenarios"), "{}", done.stderr);
    // A broken file is an error, but not where it cannot be meant.
    workshop.write("scenarios/bad.toml", "name = \n");
    assert_refused(&workshop.run(&["run"]), 2, &["error: scenarios/bad.toml:1:"]);
    assert_refused(&workshop.run(&["run", "bad"]), 2, &["error: scenarios/bad.toml:1:"]);
    let done = workshop.run(&["run", "canary"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let text = "warning: scenarios/bad.toml is left out: it does not parse";
    assert!(done.stderr.contains(text), "{}", done.stderr);
}

fn two_scenarios_of_one_name() {
    let workshop = Workshop::new();
    workshop.write("a.toml", &scenario("same"));
    workshop.write("b.toml", &scenario("same"));
    let texts = ["two scenarios are named `same`: a.toml and b.toml", "\nhelp: "];
    assert_refused(&workshop.run(&["run", "a.toml", "b.toml"]), 2, &texts);
}
