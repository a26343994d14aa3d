//! Python frames in what `exec` and `core` tell of a crash: the functions that `faulthandler` of the
//! same process names, at the frames of the interpreter's loop.
//!
//! Deliberately absent: how they are read (hotfire-core's own tests), interpreters that are not here.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::core::kernel_writes_cores;
use crate::interpreters::find;
use crate::replay::assert_valid;
use crate::workshop::{LIMIT, Started, Workshop};

/// What a test does with an interpreter.
type Test = fn(&Path);

const LOOP: &str = "_PyEval_EvalFrameDefault";

pub(crate) fn trials() -> Vec<Trial> {
    let has_cores = kernel_writes_cores();
    let tests: [(&str, Test, bool); 2] =
        [("exec", exec_tells_python, true), ("core", core_tells_python, has_cores)];
    let of_version = |minor: u8| {
        let program = find(minor);
        tests.map(|(command, test, can_run)| {
            let program = program.clone();
            let is_ignored = program.is_none() || !can_run;
            let run = move || {
                test(&program.unwrap());
                Ok(())
            };
            let name = format!("{command}-tells-functions-of-python-3.{minor}");
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
