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
use crate::told::{Told, check, told};
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

/// No rule fires.
const fn unknown(way: &'static str) -> Told {
    Told { way, class: "unknown", rule: "", function: "" }
}

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

/// The finding of a run that is ended after a while.
fn finding(workshop: &Workshop, command: &[&str]) -> Value {
    let arguments = [&["exec", "--timeout", "2s", "--json", "out.json", "--"], command].concat();
    let done = workshop.run(&arguments);
    assert_eq!(done.status, 100, "{command:?}: {}", done.stderr);
    workshop.json("out.json")["findings"][0].clone()
}

fn check_all(cases: &[Told]) -> Vec<Value> {
    let (workshop, program) = (Workshop::new(), hangs());
    let program = program.to_str().unwrap();
    let findings = cases.iter().map(|case| {
        let finding = finding(&workshop, &[program, case.way]);
        check(&finding, case);
        finding
    });
    findings.collect()
}

fn evidence(finding: &Value) -> String {
    let lines = finding["evidence"].as_array().unwrap().iter();
    lines.filter_map(|line| line["text"].as_str()).collect::<Vec<&str>>().join("\n")
}

fn circles() {
    let findings = check_all(&[
        told("crossed-mutexes", "deadlock", "deadlock", "merge_rows"),
        told("crossed-recursive", "deadlock", "deadlock", "merge_rows"),
        told("crossed-read-write-locks", "deadlock", "deadlock", "read_index"),
        told("crossed-std-mutexes", "deadlock", "deadlock", "Engine::generate"),
        told("joins-in-a-circle", "deadlock", "deadlock", "joins_first"),
        told("full-pipe", "deadlock", "deadlock", "full_pipe"),
        told("lock-again", "deadlock", "deadlock", "lock_again"),
        unknown("contention"),
    ]);
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

fn events() {
    check_all(&[
        told("lost-signal", "lost-wakeup", "lost-wakeup", "wait_until_ready"),
        told("await-nobody", "lost-wakeup", "lost-wakeup", "await_nobody"),
        unknown("signals-come"),
    ]);
}

fn forks() {
    let findings = check_all(&[
        told("pool-across-fork", "fork-orphaned-lock", "fork-orphaned-lock", "run_on_pool"),
        told("lock-across-fork", "fork-orphaned-lock", "held-across-fork", "look_up"),
        told("own-lock-across-fork", "fork-orphaned-lock", "held-across-fork", "look_up"),
        told("semaphore-behind-fork", "lost-wakeup", "lost-wakeup", "await_nobody_here"),
        told("exec-behind-fork", "lost-wakeup", "lost-wakeup", "await_nobody"),
    ]);
    for finding in &findings {
        assert_eq!(finding["victim"]["relation"], "descendant", "{finding:#}");
        assert!(evidence(finding).contains("waits for the end of process"), "{finding:#}");
    }
    let text = evidence(&findings[0]);
    assert!(text.contains("from one with 2 threads and has 1"), "{text}");
    let workshop = Workshop::new();
    let program = hangs();
    let twin = ["exec", "--timeout", "20s", "--", program.to_str().unwrap(), "pool-behind-fork"];
    assert_eq!(workshop.run(&twin).status, 0, "a pool behind the fork works");
}

fn loops() {
    check_all(&[
        told("busy", "busy-loop", "busy-loop", "spin_for_ever"),
        told("busy-thread", "busy-loop", "busy-loop", "spin_for_ever"),
        unknown("busy-and-tells"),
    ]);
}

fn outside() {
    let findings = check_all(&[
        told("read-own-pipe", "blocked-io", "blocked-io", "read_own_pipe"),
        told("read-childs-pipe", "blocked-io", "blocked-io", "read_childs_pipe"),
        told("accept-nobody", "blocked-io", "blocked-io", "accept_nobody"),
        unknown("poll-again"),
    ]);
    let said = |at: usize, text: &str| {
        let evidence = evidence(&findings[at]);
        assert!(evidence.contains(text), "{evidence}");
    };
    said(0, "the writing end is held by the process itself alone");
    said(1, "`sleep 60`");
    said(2, "tcp listener 127.0.0.1:");
}

fn rust() {
    let workshop = Workshop::new();
    let program = built("locks", &[RUST], &["rustc", "--edition=2021", "-Copt-level=1"]);
    let program = program.to_str().unwrap();
    for case in [
        told("crossed", "deadlock", "locks-of-each-other", "locks::"),
        told("lost", "lost-wakeup", "lost-wakeup", "locks::"),
        told("parked", "lost-wakeup", "lost-wakeup", "locks::"),
    ] {
        check(&finding(&workshop, &[program, case.way]), &case);
    }
}

/// What keeps an interpreter's lock, or gives it back.
pub(crate) fn native_library() -> PathBuf {
    built("native.so", &[NATIVE], &["cc", "-shared", "-fPIC", "-O1"])
}

fn python() {
    let workshop = Workshop::new();
    workshop.write("ways.py", PYTHON);
    let library = native_library();
    let run = |way| finding(&workshop, &["python3", "ways.py", way, library.to_str().unwrap()]);
    let held = run("held-interpreter");
    check(&held, &told("", "interpreter-lock-held", "interpreter-lock-held", "work_for"));
    assert!(held["culprit"]["module"].as_str().unwrap().starts_with("native.so"), "{held:#}");
    check(&run("returned-interpreter"), &unknown("returned-interpreter"));
    for way in ["lock-across-fork", "queue-across-fork"] {
        let finding = run(way);
        check(&finding, &told(way, "fork-orphaned-lock", "fork-orphaned-lock", ""));
        assert_eq!(finding["victim"]["relation"], "descendant");
    }
    // A plain lock of Python's keeps no owner, and is waited for as a message is: who holds it is not to be seen.
    check(&run("crossed-locks"), &unknown("crossed-locks"));
    check(&run("spins"), &told("spins", "busy-loop", "busy-loop", ""));
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
