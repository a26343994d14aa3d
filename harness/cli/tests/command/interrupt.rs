//! Ctrl-C and SIGTERM: the report of what ran is written, and nothing remains.

use std::time::Duration;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{Workshop, send_signal};

pub(crate) const CASES: &[Case] = &[
    ("interrupt-of-the-front", of_the_front),
    ("interrupt-of-the-whole-group", of_the_whole_group),
    ("terminate-the-front", terminate_the_front),
    ("hang-up-on-the-front", hang_up_on_the_front),
    ("interrupt-ends-a-run-that-hangs", ends_a_run_that_hangs),
];

const LIMIT: Duration = Duration::from_secs(5);
const NOBODY: Duration = Duration::from_millis(200);

fn of_the_front() {
    stop("INT", 130, false);
}

/// As a terminal does it: every process of the group gets the signal.
fn of_the_whole_group() {
    stop("INT", 130, true);
}

fn terminate_the_front() {
    stop("TERM", 143, false);
}

/// The terminal is closed.
fn hang_up_on_the_front() {
    stop("HUP", 129, false);
}

fn stop(signal: &str, status: i32, whole_group: bool) {
    let workshop = Workshop::new();
    let arguments = ["run", "-j2", "--runs", "500", "fail-init", "swap"];
    let arguments = [arguments.as_slice(), &["--engine", "reference", "--json", "out.json"]];
    let mut started = workshop.start(&arguments.concat());
    // The first plans are judged, the last are far away.
    started.wait_for("PASS");
    let pid = started.pid();
    send_signal(signal, if whole_group { -pid } else { pid });
    let done = started.finish(LIMIT);
    assert_eq!(done.status, status, "{}", done.stderr);
    assert!(done.stderr.contains(&format!("stopped by SIG{signal}: ")), "{}", done.stderr);
    assert!(workshop.survivors(NOBODY).is_empty(), "{:?}", workshop.processes());
    assert!(workshop.scratch_folders().is_empty());
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!(report["exit_code"], status);
    let runs = report["summary"]["runs"].as_u64().unwrap();
    assert!((500..500 * 15).contains(&runs), "{runs}");
    assert_eq!(report["results"][0]["runs"], 500);
}

/// A child in a step that takes for ever is ended with the rest.
fn ends_a_run_that_hangs() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a tiny; export a ms=50000; exit";
    let arguments = ["replay", plan, "--runs", "2", "-j2", "--json", "out.json"];
    let mut started = workshop.start(&arguments);
    started.wait_for("seed");
    while workshop.processes().iter().filter(|(_, line)| line.contains("__host")).count() < 2 {
        started.run_for(Duration::from_millis(5));
    }
    send_signal("TERM", started.pid());
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 143, "{}", done.stderr);
    assert!(workshop.survivors(NOBODY).is_empty(), "{:?}", workshop.processes());
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!(report["exit_code"], 143);
}
