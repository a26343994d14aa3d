//! Where a report is written: through links, with the file's mode, and straight into what is no
//! file.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::workshop::{LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("files-through-a-link-with-its-mode", through_a_link_with_its_mode),
    ("files-through-a-link-to-nothing-yet", through_a_link_to_nothing_yet),
    ("files-into-a-pipe", into_a_pipe),
    ("files-into-standard-output", into_standard_output),
];

const HEALTHY: &str = "create a = reference; load a tiny; exit";

fn run_with_json(workshop: &Workshop, file: &str) {
    let done = workshop.run(&["run", "--plan", HEALTHY, "--json", file]);
    assert_eq!(done.status, 0, "{}", done.stderr);
}

fn assert_no_other_file(workshop: &Workshop, folder: &str, wanted: &[&str]) {
    let entries = std::fs::read_dir(workshop.path(folder)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, wanted);
}

fn through_a_link_with_its_mode() {
    let workshop = Workshop::new();
    for folder in ["real", "links"] {
        std::fs::create_dir(workshop.path(folder)).unwrap();
    }
    workshop.write("real/report.json", "old");
    let file = workshop.path("real/report.json");
    // No umask makes this of a new file.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o706)).unwrap();
    symlink("../real/report.json", workshop.path("links/report.json")).unwrap();
    run_with_json(&workshop, "links/report.json");
    assert!(workshop.path("links/report.json").is_symlink());
    assert_eq!(workshop.json("real/report.json")["verb"], "run");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o706);
    assert_no_other_file(&workshop, "real", &["report.json"]);
    assert_no_other_file(&workshop, "links", &["report.json"]);
}

fn through_a_link_to_nothing_yet() {
    let workshop = Workshop::new();
    symlink("target.json", workshop.path("link.json")).unwrap();
    // Twice: now it is there, and the second report replaces the first.
    run_with_json(&workshop, "link.json");
    run_with_json(&workshop, "link.json");
    assert!(workshop.path("link.json").is_symlink());
    assert_eq!(workshop.json("target.json")["verb"], "run");
}

fn into_a_pipe() {
    let workshop = Workshop::new();
    let pipe = workshop.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut reader = Command::new("cat");
    workshop.furnish(reader.arg(&pipe));
    let reader = Started::new(&mut reader);
    run_with_json(&workshop, "pipe");
    let read = reader.finish(LIMIT);
    assert_eq!(read.json()["verb"], "run");
    assert!(pipe.metadata().unwrap().file_type().is_fifo());
}

/// A shell that sends output to a file has it open: another file in its place would be lost to
/// it, and what stands there already is not ours.
fn into_standard_output() {
    let workshop = Workshop::new();
    let program = workshop.program().display().to_string();
    let script =
        format!("echo before; '{program}' run --plan '{HEALTHY}' --json /dev/stdout; echo after");
    let mut shell = Command::new("sh");
    workshop.furnish(shell.args(["-c", &format!("exec >> log; {script}")]));
    let done = Started::new(&mut shell).finish(LIMIT);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let log = std::fs::read_to_string(workshop.path("log")).unwrap();
    let report = log.strip_prefix("before\n").and_then(|log| log.strip_suffix("after\n"));
    let report: Value = serde_json::from_str(report.unwrap_or_else(|| panic!("{log}"))).unwrap();
    assert_eq!(report["verb"], "run");
    // The same through a pipe.
    let mut shell = Command::new("sh");
    workshop.furnish(shell.args(["-c", &script]));
    let done = Started::new(&mut shell).finish(LIMIT);
    assert!(done.stdout.starts_with("before\n{") && done.stdout.ends_with("}\nafter\n"));
}
