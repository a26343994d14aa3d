//! `hotfire exec --timeout` on small programs that do not go on in a way of their own each: the
//! class, the rule and whose code it was. Every class stands beside a twin that differs in one
//! mechanism.
//!
//! Deliberately absent: hangs of plans, which have scenarios.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Case;
use crate::classes::built;
use crate::told::{HEALTHY, Told, check, healthy, told, unknown};
use crate::workshop::{LIMIT, Workshop, send_signal};

pub(crate) const CASES: &[Case] = &[
    ("hangs-of-threads-that-wait-for-each-other", circles),
    ("hangs-by-a-wake-up-that-never-comes", events),
    ("hangs-of-forked-processes", forks),
    ("hangs-of-loops", loops),
    ("hangs-of-waits-for-the-outside", outside),
    ("hangs-of-rust-programs", rust),
    ("hangs-of-python-programs", python),
    ("hangs-are-declared-early-only-with-a-limit", early),
    ("a-deadlock-shows-both-stacks", both_stacks),
];

const HEADER: (&str, &str) = ("hangs.h", include_str!("../fixtures/hangs/hangs.h"));
const SOURCES: [(&str, &str); 4] = [
    ("main.cc", include_str!("../fixtures/hangs/main.cc")),
    ("locks.cc", include_str!("../fixtures/hangs/locks.cc")),
    ("forks.cc", include_str!("../fixtures/hangs/forks.cc")),
    ("loops.cc", include_str!("../fixtures/hangs/loops.cc")),
];
const RUST: (&str, &str) = ("locks.rs", include_str!("../fixtures/hangs/locks.rs"));
pub(crate) const PYTHON: &str = include_str!("../fixtures/hangs/pythons.py");
const NATIVE: (&str, &str) = ("native.c", include_str!("../fixtures/hangs/native.c"));

pub(crate) fn hangs() -> PathBuf {
    let compiler = ["c++", "-std=c++17", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"];
    built("hangs", &[&[HEADER][..], &SOURCES[..]].concat(), &compiler)
}

/// The finding of a run that is ended after a while; one that must go on has time to end by itself.
fn finding(workshop: &Workshop, command: &[&str], told: &Told) -> Value {
    let limit = if told.class == HEALTHY { "20s" } else { "2s" };
    crate::told::finding(workshop, &["--timeout", limit], command)
}

fn check_all(cases: &[Told]) -> Vec<Value> {
    let (workshop, program) = (Workshop::new(), hangs());
    let program = program.to_str().unwrap();
    let findings = cases.iter().map(|case| {
        let finding = finding(&workshop, &[program, case.way], case);
        check(&finding, case);
        finding
    });
    findings.filter(|finding| !finding.is_null()).collect()
}

fn evidence(finding: &Value) -> String {
    let lines = finding["evidence"].as_array().unwrap().iter();
    lines.filter_map(|line| line["text"].as_str()).collect::<Vec<&str>>().join("\n")
}

pub(crate) const CIRCLES: &[Told] = &[
    told("crossed-mutexes", "deadlock", "deadlock", "merge_rows"),
    told("crossed-recursive", "deadlock", "deadlock", "merge_rows"),
    told("crossed-read-write-locks", "deadlock", "deadlock", "read_index"),
    told("crossed-std-mutexes", "deadlock", "deadlock", "Engine::generate"),
    told("joins-in-a-circle", "deadlock", "deadlock", "joins_first"),
    told("full-pipe", "deadlock", "deadlock", "full_pipe"),
    told("lock-again", "deadlock", "deadlock", "lock_again"),
    healthy("lock-again-recursive"),
    healthy("ordered-mutexes"),
    healthy("drained-pipe"),
    unknown("contention", ""),
];

fn circles() {
    let findings = check_all(CIRCLES);
    for two in &findings[..6] {
        let edges = two["deadlock"].as_array().unwrap();
        assert_eq!(edges.len(), 2, "{two:#}");
        assert_eq!((&edges[0]["owner"], &edges[1]["owner"]), (&edges[1]["tid"], &edges[0]["tid"]));
    }
    assert_eq!(findings[6]["deadlock"][0]["tid"], findings[6]["deadlock"][0]["owner"]);
    assert_eq!(findings[7]["deadlock"], Value::Null);
    let both = evidence(&findings[3]);
    assert!(both.contains("Engine::swap()") && both.contains("Engine::generate()"), "{both}");
    assert!(both.contains("waits for mutex 0x"), "{both}");
}

pub(crate) const EVENTS: &[Told] = &[
    told("lost-signal", "lost-wakeup", "lost-wakeup", "wait_until_ready"),
    told("await-nobody", "lost-wakeup", "lost-wakeup", "await_nobody"),
    unknown("signals-come", ""),
    healthy("checked-signal"),
];

fn events() {
    check_all(EVENTS);
}

pub(crate) const FORKS: &[Told] = &[
    told("pool-across-fork", "fork-orphaned-lock", "fork-orphaned-lock", "run_on_pool"),
    told("lock-across-fork", "fork-orphaned-lock", "held-across-fork", "look_up"),
    told("own-lock-across-fork", "fork-orphaned-lock", "held-across-fork", "look_up"),
    told("semaphore-behind-fork", "lost-wakeup", "lost-wakeup", "await_nobody_here"),
    told("exec-behind-fork", "lost-wakeup", "lost-wakeup", "await_nobody"),
    healthy("pool-behind-fork"),
    healthy("unlocked-before-fork"),
];

fn forks() {
    let findings = check_all(FORKS);
    for finding in &findings {
        assert_eq!(finding["victim"]["relation"], "descendant", "{finding:#}");
        assert!(evidence(finding).contains("waits for the end of process"), "{finding:#}");
    }
    let text = evidence(&findings[0]);
    assert!(text.contains("from one with 2 threads and has 1"), "{text}");
}

pub(crate) const LOOPS: &[Told] = &[
    told("busy", "busy-loop", "busy-loop", "spin_for_ever"),
    told("busy-thread", "busy-loop", "busy-loop", "spin_for_ever"),
    unknown("busy-and-tells", ""),
    healthy("busy-with-end"),
];

fn loops() {
    check_all(LOOPS);
}

pub(crate) const OUTSIDE: &[Told] = &[
    told("read-own-pipe", "blocked-io", "blocked-io", "read_own_pipe"),
    told("read-childs-pipe", "blocked-io", "blocked-io", "read_childs_pipe"),
    told("accept-nobody", "blocked-io", "blocked-io", "accept_nobody"),
    unknown("poll-again", ""),
    healthy("read-closed-pipe"),
];

fn outside() {
    let findings = check_all(OUTSIDE);
    let said = |at: usize, text: &str| {
        let evidence = evidence(&findings[at]);
        assert!(evidence.contains(text), "{evidence}");
    };
    said(0, "the writing end is held by the process itself alone");
    said(1, "`sleep 60`");
    said(2, "tcp listener 127.0.0.1:");
}

pub(crate) const RUSTS: &[Told] = &[
    told("crossed", "deadlock", "locks-of-each-other", "locks::"),
    healthy("ordered"),
    told("lost", "lost-wakeup", "lost-wakeup", "locks::"),
    told("parked", "lost-wakeup", "lost-wakeup", "locks::"),
    healthy("unparked"),
    told("within-itself", "deadlock", "locks-of-each-other", "locks::"),
    healthy("within-another"),
    told("own-again", "deadlock", "locks-of-each-other", "locks::"),
    healthy("own-once"),
];

fn rust() {
    let workshop = Workshop::new();
    let program = built("locks", &[RUST], &["rustc", "--edition=2021", "-Copt-level=1"]);
    let program = program.to_str().unwrap();
    for case in RUSTS {
        check(&finding(&workshop, &[program, case.way], case), case);
    }
}

/// What keeps an interpreter's lock, or gives it back.
pub(crate) fn native_library() -> PathBuf {
    built("native.so", &[NATIVE], &["cc", "-shared", "-fPIC", "-O1"])
}

pub(crate) const PYTHONS: &[Told] = &[
    told("held-interpreter", "interpreter-lock-held", "interpreter-lock-held", "work_for"),
    unknown("returned-interpreter", ""),
    unknown("sleeps", ""),
    told("lock-across-fork", "fork-orphaned-lock", "fork-orphaned-lock", ""),
    told("queue-across-fork", "fork-orphaned-lock", "fork-orphaned-lock", ""),
    healthy("queue-behind-fork"),
    unknown("crossed-locks", "").though(
        "deadlock",
        "a plain lock of Python's keeps no owner, and is waited for as a message is",
    ),
    told("spins", "busy-loop", "busy-loop", ""),
];

fn python() {
    let workshop = Workshop::new();
    workshop.write("ways.py", PYTHON);
    let library = native_library();
    for case in PYTHONS {
        let command = ["python3", "ways.py", case.way, library.to_str().unwrap()];
        let finding = finding(&workshop, &command, case);
        check(&finding, case);
        let module = finding["culprit"]["module"].as_str().unwrap_or_default();
        assert!(!case.way.starts_with("held") || module.starts_with("native.so"), "{finding:#}");
        let is_forked = case.class == "fork-orphaned-lock";
        assert!(!is_forked || finding["victim"]["relation"] == "descendant", "{finding:#}");
    }
}

fn early() {
    let (workshop, program) = (Workshop::new(), hangs());
    let program = program.to_str().unwrap();
    let begun = Instant::now();
    let arguments = ["exec", "--timeout", "50s", "--", program, "pool-across-fork"];
    let done = workshop.run(&arguments);
    assert!(done.stderr.starts_with("H301 HANG: every thread of the command waits for ever"));
    assert!(begun.elapsed().as_secs() < 40, "{:?}", begun.elapsed());
    // A timer that the program catches may end the wait.
    let text = "import signal, sys, threading\n\
                signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))\n\
                signal.alarm(3)\n\
                threading.Lock().acquire()\n\
                lock = threading.Lock(); lock.acquire(); lock.acquire()\n";
    let done = workshop.run(&["exec", "--timeout", "30s", "--", "python3", "-c", text]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    // Without a limit it waits as long as its user likes.
    let mut started = workshop.start(&["exec", "--", program, "await-nobody"]);
    started.run_for(Duration::from_millis(2500));
    send_signal("TERM", started.pid());
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 143, "{}", done.stderr);
}

fn both_stacks() {
    let (workshop, program) = (Workshop::new(), hangs());
    let program = program.to_str().unwrap();
    let arguments = ["exec", "--timeout", "2s", "--", program, "crossed-std-mutexes"];
    let text = workshop.run(&arguments).stderr;
    for part in ["Engine::swap()", "Engine::generate()", "held by thread", "(rule deadlock, 2 of 2"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.lines().count() <= 24, "{text}");
}
