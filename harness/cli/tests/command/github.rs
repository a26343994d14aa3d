//! What a step of GitHub Actions gets: annotations at the scenario's line, and the step's summary.

use crate::Case;
use crate::junit::{CRASH, write_scenarios};
use crate::workshop::{Done, LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("github-annotations-and-summary", annotations_and_summary),
    ("github-only-when-wanted", only_when_wanted),
    ("github-places-are-seen-from-the-repository", places_are_seen_from_the_repository),
    ("github-summary-has-a-limit", summary_has_a_limit),
    ("github-summary-that-cannot-be-written", summary_that_cannot_be_written),
    ("github-leaves-answers-alone", leaves_answers_alone),
];

fn run(workshop: &Workshop, arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = workshop.command(arguments);
    for (name, value) in variables {
        command.env(name, value.replace("{folder}", &workshop.path("").display().to_string()));
    }
    Started::new(&mut command).finish(LIMIT)
}

fn commands(done: &Done) -> Vec<&str> {
    done.stderr.lines().filter(|line| line.starts_with("::")).collect()
}

const STEP: [(&str, &str); 3] = [
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_WORKSPACE", "{folder}"),
    ("GITHUB_STEP_SUMMARY", "{folder}/summary.md"),
];

fn annotations_and_summary() {
    let workshop = Workshop::new();
    write_scenarios(&workshop);
    workshop.write("summary.md", "what was there\n");
    let done = run(&workshop, &["run", "--engine", "reference"], &STEP);
    assert_eq!((done.status, done.stdout.as_str()), (100, ""), "{}", done.stderr);
    let [line] = commands(&done)[..] else { panic!("{}", done.stderr) };
    let begin =
        "::error file=scenarios/crashes.toml,line=5,title=SIGSEGV%3A crashes::illegal memory";
    assert!(line.starts_with(begin), "{line}");
    assert!(line.contains("%0Asee it again: hotfire replay 'create a = "), "{line}");
    let summary = std::fs::read_to_string(workshop.path("summary.md")).unwrap();
    assert!(
        summary.starts_with("what was there\n## Hotfire failed (exit status 100)\n"),
        "{summary}"
    );
    assert!(summary.contains("\n| SIGSEGV | crashes | illegal memory access"), "{summary}");
    assert!(summary.contains("<summary>SIGSEGV: crashes</summary>"), "{summary}");
    // Another command of the same step.
    let done = run(&workshop, &["run", "passes"], &STEP);
    assert_eq!((done.status, commands(&done).len()), (0, 0), "{}", done.stderr);
    let both = std::fs::read_to_string(workshop.path("summary.md")).unwrap();
    assert!(both.starts_with(&summary) && both.contains("## Hotfire passed"), "{both}");
}

fn only_when_wanted() {
    let workshop = Workshop::new();
    let count = |flag: &[&str], actions: &str| {
        let arguments = [&["replay", CRASH, "--runs", "1"], flag].concat();
        let done = run(&workshop, &arguments, &[("GITHUB_ACTIONS", actions)]);
        assert_eq!(done.status, 100, "{}", done.stderr);
        commands(&done).len()
    };
    assert_eq!(count(&[], "true"), 1);
    assert_eq!(count(&["--github", "auto"], "true"), 1);
    assert_eq!(count(&["--github", "on"], ""), 1);
    assert_eq!(count(&[], ""), 0);
    assert_eq!(count(&[], "false"), 0);
    assert_eq!(count(&["--github", "off"], "true"), 0);
}

fn places_are_seen_from_the_repository() {
    let workshop = Workshop::new();
    write_scenarios(&workshop);
    let parent = workshop.path("").parent().unwrap().canonicalize().unwrap();
    let name = workshop.path("").file_name().unwrap().to_string_lossy().into_owned();
    let variables = [("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", parent.to_str().unwrap())];
    let done = run(&workshop, &["run", "crashes"], &variables);
    let [line] = commands(&done)[..] else { panic!("{}", done.stderr) };
    let begin = format!("::error file={name}/scenarios/crashes.toml,line=5,");
    assert!(line.starts_with(&begin), "{line}");
    // No file of the repository is behind a plan from the command line.
    let done = run(&workshop, &["replay", CRASH, "--runs", "1"], &variables);
    assert!(commands(&done)[0].starts_with("::error title=SIGSEGV%3A plan::"), "{}", done.stderr);
}

fn summary_has_a_limit() {
    let workshop = Workshop::new();
    let full = "x".repeat(900 * 1024 - 10);
    workshop.write("summary.md", &full);
    let done = run(&workshop, &["replay", CRASH, "--runs", "1"], &STEP);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert!(
        done.stderr.contains("warning: the step's summary has no room left"),
        "{}",
        done.stderr
    );
    assert_eq!(std::fs::read_to_string(workshop.path("summary.md")).unwrap(), full);
}

fn summary_that_cannot_be_written() {
    let workshop = Workshop::new();
    let variables = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "/dev/full")];
    let arguments = ["replay", CRASH, "--runs", "1", "--junit", "junit.xml"];
    let done = run(&workshop, &arguments, &variables);
    assert_eq!(done.status, 110, "{}", done.stderr);
    assert!(done.stderr.contains("error: cannot write /dev/full"), "{}", done.stderr);
    assert_eq!(commands(&done).len(), 1);
    assert!(workshop.path("junit.xml").is_file());
}

fn leaves_answers_alone() {
    let workshop = Workshop::new();
    let done = run(&workshop, &["replay", CRASH, "--runs", "1", "--json", "-"], &STEP);
    assert_eq!(done.json()["exit_code"], 100);
    assert_eq!(commands(&done).len(), 1, "{}", done.stderr);
}
