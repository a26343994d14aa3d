//! The verbs that a new user meets first: `demo`, `doctor`, `completions`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::Case;
use crate::workshop::{Done, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("demo-shows-the-shell-the-finding-and-the-twin", demo_shows_all_three),
    ("demo-without-a-shell-says-so", demo_without_a_shell_says_so),
    ("doctor-sees-this-machine", doctor_sees_this_machine),
    ("doctor-json-tells-the-same", doctor_json_tells_the_same),
    ("doctor-misses-what-runs-need", doctor_misses_what_runs_need),
    ("completions-are-scripts", completions_are_scripts),
];

/// What the design promises.
const DEMO_MAX: Duration = Duration::from_secs(10);

fn assert_has(done: &Done, texts: &[&str]) {
    for text in texts {
        assert!(done.stdout.contains(text), "{text:?} is not in:\n{}{}", done.stdout, done.stderr);
    }
}

fn demo_shows_all_three() {
    let workshop = Workshop::new();
    let own = workshop.run(&["run", "--plan", "create a = reference; load a nosuch; exit"]);
    assert_eq!(own.status, 100, "{}", own.stderr);
    let report = || std::fs::read(workshop.path(".hotfire/report.json")).unwrap();
    let of_own_run = report();
    let begun = Instant::now();
    let done = workshop.run(&["demo"]);
    let took = begun.elapsed();
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    assert!(took < DEMO_MAX, "{took:?}");
    let program = workshop.program().display().to_string();
    assert_has(
        &done,
        &[
            &format!("$ {program} __host --plan 'create a = reference:defect="),
            "Segmentation fault",
            "\nexit status 139\n",
            "C101 SIGSEGV: illegal memory access in step 3",
            "20/20",
            "20 of 20 runs in fresh processes, 84 to 100 % (Wilson, 95 %)",
            "PASS",
            "no finding in 20 of 20 fresh processes: fails in 16 % at most",
            "hotfire doctor",
        ],
    );
    // The shell comes first, then the finding, then the twin.
    let place = |text: &str| done.stdout.find(text).unwrap();
    let places = ["exit status 139", "C101", "no finding in"].map(place);
    assert!(places.is_sorted(), "{places:?}");
    // What it names can be shown.
    let (_, id) = done.stdout.split_once("see it whole: hotfire show ").unwrap();
    let shown = workshop.run(&["show", id.lines().next().unwrap()]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    assert!(report() == of_own_run, "the report of the user's own run stays");
    assert_eq!(workshop.survivors(Duration::from_secs(2)), []);
    assert!(workshop.scratch_folders().is_empty());
}

fn demo_without_a_shell_says_so() {
    let workshop = Workshop::new();
    let mut command = workshop.command(&["demo"]);
    command.env("PATH", workshop.path("tmp"));
    let done = crate::workshop::Started::new(&mut command).finish(DEMO_MAX);
    assert_eq!(done.status, 0, "{}{}", done.stdout, done.stderr);
    assert_has(&done, &["no `sh` in PATH: nothing to show", "C101 SIGSEGV", "no finding in 20"]);
    assert!(!done.stdout.contains("Segmentation fault"));
}

fn doctor_sees_this_machine() {
    let workshop = Workshop::new();
    let done = workshop.run(&["doctor"]);
    // Tests run where runs do: nothing that they need may be missing.
    assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_has(
        &done,
        &[
            &format!("Linux {}", release.trim()),
            "a child was traced and its memory was read",
            "engine reference",
            // Not fetched into the test's folder.
            "fix: scripts/fetch-engines.sh llama",
            "all that hotfire needs is here",
        ],
    );
    assert_eq!(workshop.survivors(Duration::from_secs(2)), []);
    assert!(workshop.scratch_folders().is_empty());
}

fn doctor_json_tells_the_same() {
    let workshop = Workshop::new();
    let lines = workshop.run(&["doctor"]).stdout;
    let answer = workshop.run(&["doctor", "--json"]).json();
    assert_eq!(answer["schema"], "hotfire-doctor/1");
    assert_eq!((&answer["verb"], &answer["exit_code"]), (&"doctor".into(), &0.into()));
    let checks = answer["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 20);
    for check in checks {
        let name = check["name"].as_str().unwrap();
        let state = check["state"].as_str().unwrap();
        let word = if state == "ok" { "OK" } else { state };
        let line = lines.lines().find(|line| line.get(9..).is_some_and(|it| it.starts_with(name)));
        assert!(line.is_some_and(|line| line.starts_with(word)), "{check} and {line:?}");
    }
}

fn doctor_misses_what_runs_need() {
    let workshop = Workshop::new();
    let mut command = workshop.command(&["doctor"]);
    command.env("TMPDIR", workshop.path("not-there"));
    let done = crate::workshop::Started::new(&mut command).finish(DEMO_MAX);
    assert_eq!(done.status, 96, "{}{}", done.stdout, done.stderr);
    assert_has(
        &done,
        &["missing  temporary folder", "fix: export TMPDIR=", "cannot do without: temporary"],
    );
}

fn completions_are_scripts() {
    let workshop = Workshop::new();
    for (shell, signs) in [
        ("bash", ["complete -F _hotfire", "--soak", "doctor"]),
        ("zsh", ["#compdef hotfire", "--soak", "doctor"]),
        ("fish", ["complete -c hotfire", "-l soak", "doctor"]),
    ] {
        let done = workshop.run(&["completions", shell]);
        assert_eq!((done.status, done.stderr.as_str()), (0, ""));
        assert_has(&done, &signs);
        // Hidden verbs are nobody's to type.
        assert!(!done.stdout.contains("__host"), "{shell}");
        if shell == "bash" {
            workshop.write("hotfire.bash", &done.stdout);
            let checked =
                Command::new("bash").arg("-n").arg(workshop.path("hotfire.bash")).status();
            assert!(checked.unwrap().success());
        }
    }
    assert_eq!(workshop.run(&["completions", "tcsh"]).status, 2);
}
