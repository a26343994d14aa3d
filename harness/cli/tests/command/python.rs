//! Python frames in what `exec` and `core` tell of a crash: the functions that `faulthandler` of the
//! same process names, at the frames of the interpreter's loop.
//!
//! Deliberately absent: how they are read (hotfire-core's own tests), interpreters that are not here.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::core::kernel_writes_cores;
use crate::hangs;
use crate::interpreters::find;
use crate::replay::assert_valid;
use crate::workshop::{LIMIT, Started, Workshop};

/// What a test does with an interpreter.
type Test = fn(&Path);

const LOOP: &str = "_PyEval_EvalFrameDefault";

pub(crate) fn trials() -> Vec<Trial> {
    let has_cores = kernel_writes_cores();
    let tests: [(&str, Test, bool); 3] = [
        ("exec-tells-functions", exec_tells_python, true),
        ("core-tells-functions", core_tells_python, has_cores),
        ("exec-tells-holders-of-locks", exec_tells_holders, true),
    ];
    let of_version = |minor: u8| {
        let program = find(minor);
        tests.map(|(command, test, can_run)| {
            let program = program.clone();
            let is_ignored = program.is_none() || !can_run;
            let run = move || {
                test(&program.unwrap());
                Ok(())
            };
            let name = format!("{command}-of-python-3.{minor}");
            Trial::test(name, run).with_ignored_flag(is_ignored)
        })
    };
    (8..=14).flat_map(of_version).collect()
}

/// A crash in C that Python called through C, and a thread that waits in a lock.
const SCRIPT: &str = "
import _thread
import ctypes
import faulthandler

faulthandler.enable()
ready = _thread.allocate_lock()
stay = _thread.allocate_lock()
ready.acquire()
stay.acquire()


class Worker:
    @classmethod
    def wait(cls):
        ready.release(); stay.acquire()


def key(number):
    return ctypes.string_at(
        number * 0
    )


def nested():
    return [sorted([each, 1], key=key) for each in (number for number in range(3))]


class Engine:
    def load(self):
        return max([1], key=lambda _: nested())


_thread.start_new_thread(lambda: list(map(lambda _: Worker.wait(), [1])), ())
ready.acquire()
Engine().load()
";

fn exec_tells_python(program: &Path) {
    let workshop = Workshop::new();
    workshop.write("crash.py", SCRIPT);
    let name = program.to_str().unwrap();
    let done = workshop.run(&["exec", "--json", "out.json", "--", name, "crash.py"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_valid(&report);
    let finding = &report["findings"][0];
    let said = said(&done.stderr);
    assert_eq!(said.len(), 2, "{}", done.stderr);
    assert_eq!(told(finding), said);
    // The page has them, too, and folds what lies between them.
    let page: Vec<&str> = done.stderr.lines().filter(|line| line.contains("[found by")).collect();
    assert!(page.iter().any(|line| line.contains("key at crash.py:20")), "{page:?}");
    assert!(done.stderr.contains("frames of the interpreter"), "{}", done.stderr);
    // They are nobody's fault, and no part of the identity.
    assert!(finding["culprit"]["module"].as_str().unwrap().starts_with("_ctypes"));
    let basis = finding["signature"]["basis"].to_string();
    assert!(!basis.contains("crash.py") && !basis.contains("key"), "{basis}");
}

/// Who holds the interpreter's lock, and Python's own recursive ones.
fn exec_tells_holders(program: &Path) {
    let workshop = Workshop::new();
    workshop.write("ways.py", hangs::PYTHON);
    let library = hangs::native_library();
    let name = program.to_str().unwrap();
    let run = |way: &str| {
        let command = [name, "ways.py", way, library.to_str().unwrap()];
        let flags = ["exec", "--timeout", "2s", "--json", "out.json", "--"];
        let done = workshop.run(&[&flags[..], &command[..]].concat());
        assert_eq!(done.status, 100, "{way}: {}", done.stderr);
        workshop.json("out.json")["findings"][0].clone()
    };
    let held = run("held-interpreter");
    assert_eq!(held["class"], "interpreter-lock-held", "{held:#}");
    let has_line = |finding: &Value, text: &str| {
        let lines = finding["evidence"].as_array().unwrap();
        lines.iter().any(|line| line["text"].as_str().unwrap().contains(text))
    };
    assert!(has_line(&held, "holds it, in work_for (native.so"), "{held:#}");
    assert_eq!(run("returned-interpreter")["class"], "unknown");
    // The recursive locks of 3.14 are waited for in another way.
    if name.ends_with("3.14") {
        return;
    }
    let crossed = run("crossed-recursive-locks");
    assert_eq!([&crossed["class"], &crossed["code"]], ["deadlock", "H301"], "{crossed:#}");
    let edges = crossed["deadlock"].as_array().unwrap();
    assert_eq!(edges.len(), 2, "{crossed:#}");
    assert_eq!(edges[0]["owner"], edges[1]["tid"]);
    assert_eq!(edges[1]["owner"], edges[0]["tid"]);
    let threads = crossed["threads"].as_array().unwrap();
    for edge in edges {
        let thread = threads.iter().find(|thread| thread["tid"] == edge["tid"]).unwrap();
        let names = functions(thread);
        assert!(names.iter().any(|name| name.starts_with("take")), "{names:?}");
    }
    let ordered = run("recursive-locks-in-order");
    assert_eq!(ordered["class"], "unknown", "{ordered:#}");
    assert!(has_line(&ordered, "held by thread"), "who holds it is told: {ordered:#}");
}

fn core_tells_python(program: &Path) {
    let workshop = Workshop::new();
    workshop.write("crash.py", SCRIPT);
    let mut command = Command::new("sh");
    let script = "ulimit -c unlimited; \"$1\" crash.py; ls core*";
    command.args(["-c", script, "sh"]).arg(program);
    workshop.furnish(&mut command);
    let died = Started::new(&mut command).finish(LIMIT);
    let done = workshop.run(&["core", died.stdout.trim(), "--json", "core.json"]);
    let report = workshop.json("core.json");
    assert_eq!(told(&report["findings"][0]), said(&died.stderr), "{}", done.stderr);
}

/// By thread, the crashed one first: `function line`, innermost first.
fn told(finding: &Value) -> Vec<Vec<String>> {
    let threads = finding["threads"].as_array().unwrap();
    threads.iter().map(functions).collect()
}

/// The functions of a thread. Each stands before a frame of the loop, which runs it.
fn functions(thread: &Value) -> Vec<String> {
    assert_eq!(thread.get("python"), None);
    let frames = thread["frames"].as_array().unwrap();
    let is_python = |frame: &Value| frame["found_by"] == "python";
    for pair in frames.windows(2).filter(|pair| is_python(&pair[0]) && !is_python(&pair[1])) {
        assert_eq!(pair[1]["function"], LOOP);
    }
    let loops =
        frames.iter().filter(|frame| frame["function"] == LOOP && frame["inlined"].is_null());
    let groups =
        frames.windows(2).filter(|pair| is_python(&pair[0]) && !is_python(&pair[1])).count();
    assert_eq!(loops.count(), groups);
    let word = |frame: &Value| {
        let function = frame["function"].as_str().unwrap();
        format!("{} {}", function.rsplit('.').next().unwrap(), frame["line"])
    };
    frames.iter().filter(|frame| is_python(frame)).map(word).collect()
}

/// What `faulthandler` says, in the same words.
fn said(text: &str) -> Vec<Vec<String>> {
    let mut threads: Vec<Vec<String>> = Vec::new();
    let mut current = 0;
    for line in text.lines() {
        if line.contains("hread 0x") && line.contains("most recent call first") {
            if line.starts_with("Current") {
                current = threads.len();
            }
            threads.push(Vec::new());
        } else if let Some((_, place)) = line.split_once("\", line ")
            && line.starts_with("  File ")
        {
            let (number, name) = place.split_once(" in ").unwrap();
            threads.last_mut().unwrap().push(format!("{name} {number}"));
        }
    }
    threads.swap(0, current);
    threads
}
