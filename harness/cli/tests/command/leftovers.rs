//! `hotfire exec --leftovers`: what becomes of processes that outlive the command.
//!
//! Deliberately absent: those that go on (`exec.rs`).

use crate::Case;
use crate::exec::{DAEMON, daemon_pid, lives, script};
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("exec-ends-or-fails-leftovers-when-asked", leftovers),
    ("exec-lets-leftovers-clean-up", clean_up),
];

fn leftovers() {
    let workshop = Workshop::new();
    for (what, status, word) in [("kill", 0, "was ended"), ("fail", 100, "L401 ORPHANS")] {
        let done = workshop.run(&script(&["--grace", "50ms", "--leftovers", what], DAEMON));
        assert_eq!(done.status, status, "{}", done.stderr);
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert!(!lives(daemon_pid(&workshop)), "{what}");
        // What is printed to see it again says so, too.
        let again = "hotfire exec --leftovers fail --grace 50ms -- sh";
        assert_eq!(done.stderr.contains(again), what == "fail", "{}", done.stderr);
        std::fs::remove_file(workshop.path("daemon.pid")).unwrap();
    }
}

/// A helper that outlives its program to clean up behind it: by itself, or when it is asked to.
fn clean_up() {
    let helper = |text: &str| {
        let ready = "until test -e ready; do sleep 0.01; done";
        format!("touch rest; setsid sh -c '{text}' < /dev/null > /dev/null 2>&1 & {ready}")
    };
    let by_itself = helper("touch ready; sleep 1; rm rest");
    let when_asked =
        helper("trap \"rm rest; exit\" TERM; touch ready; while :; do sleep 0.05; done");
    let deaf = helper("trap \"\" TERM; touch ready; while :; do sleep 0.05; done");
    for (text, flags, status, cleans) in [
        (&by_itself, &["--leftovers", "fail"][..], 0, true),
        (&by_itself, &["--leftovers", "fail", "--grace", "50ms"], 100, false),
        (&when_asked, &["--leftovers", "fail", "--grace", "50ms"], 100, true),
        (&when_asked, &["--leftovers", "kill", "--grace", "50ms"], 0, true),
        (&deaf, &["--leftovers", "fail", "--grace", "50ms"], 100, false),
    ] {
        let workshop = Workshop::new();
        let done = workshop.run(&script(flags, text));
        assert_eq!(done.status, status, "{text} {flags:?}: {}", done.stderr);
        assert_eq!(workshop.path("rest").exists(), !cleans, "{text} {flags:?}");
        assert_eq!(done.stderr.contains("L401 ORPHANS"), status == 100, "{}", done.stderr);
        assert!(!done.stderr.contains("SIGTERM"), "{}", done.stderr);
    }
}
