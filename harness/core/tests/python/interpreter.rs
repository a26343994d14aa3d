//! Interpreters of this machine, and a process of one that stands where its threads shall be read.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hotfire_core::python::{Interpreters, Running};
use hotfire_core::symbolize::Symbolizer;
use hotfire_core::unwind::Memory;
use hotfire_sys::procfs;
use tempfile::TempDir;

/// Functions nested in each other, a method of a class, a generator, a comprehension, calls through
/// C, and names of every kind. Where a thread tells of itself and then waits is one line.
const SCRIPT: &str = r#"
import _thread
import faulthandler
import os
import sys

ready = _thread.allocate_lock()
stay = _thread.allocate_lock()
ready.acquire()
stay.acquire()


class Worker:
    @classmethod
    def wait(cls):
        def größe():
            ready.release(); stay.acquire()

        größe()

    def run(self):
        yield self.wait(
        )


def 数(number):
    faulthandler.dump_traceback(sys.stderr); os.close(2); os.write(1, b"ready\n"); os.read(0, 1)


def nested():
    def sort(items):
        return sorted(
            items,
            key=数,
        )

    return [
        found
        for found in (sort([each, 1]) for each in range(3))
    ]


class Engine:
    def load(self):
        return max([1], key=lambda _: nested())


_thread.start_new_thread(lambda: list(Worker().run()), ())
ready.acquire()
Engine().load()
"#;

/// A process that waits, and what it said of its threads: by the pointer of each, its functions as
/// `name file:line`, innermost first.
pub(crate) struct Waiting {
    child: Child,
    _folder: TempDir,
    pub(crate) said: BTreeMap<u64, Vec<String>>,
}

impl Waiting {
    pub(crate) fn start(program: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("frames.py");
        std::fs::write(&script, SCRIPT).unwrap();
        let mut child = Command::new(program)
            .arg(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{said}");
        Self { child, _folder: folder, said: parse(&said) }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What the reader finds, in the words of [`Waiting::said`]; `memory` is the process's.
    pub(crate) fn read(
        &self,
        memory: &mut dyn Memory,
    ) -> BTreeMap<u64, Result<Vec<String>, String>> {
        let maps = procfs::maps(self.pid()).unwrap();
        let found = Interpreters::find(&mut Symbolizer::default(), &maps, memory);
        let mut found = found.unwrap();
        let mut threads = BTreeMap::new();
        for pointer in self.said.keys() {
            let Some(running) = found.running(*pointer) else { continue };
            threads.insert(*pointer, running.map(|running| words(&running)));
        }
        threads
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(running: &Running) -> Vec<String> {
    let functions = running.functions();
    let word = |it: &&hotfire_core::observe::PythonFrame| {
        // The oracle knows the last part of the name, and no letters beyond ASCII.
        let name = it.function.rsplit('.').next().unwrap_or_default();
        let line = it.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        format!("{} {}:{line}", escaped(name), it.file)
    };
    functions.iter().map(word).collect()
}

fn escaped(text: &str) -> String {
    let letter = |letter: char| match u32::from(letter) {
        0..=0x7f => letter.to_string(),
        code @ ..=0xff => format!("\\x{code:02x}"),
        code => format!("\\u{code:04x}"),
    };
    text.chars().map(letter).collect()
}

/// `Thread 0x… (most recent call first):`, then `  File "…", line N in NAME`.
fn parse(text: &str) -> BTreeMap<u64, Vec<String>> {
    let mut threads: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut now = 0;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("hread 0x") {
            let digits = rest.split(|letter: char| !letter.is_ascii_hexdigit()).next().unwrap();
            now = u64::from_str_radix(digits, 16).unwrap();
            threads.entry(now).or_default();
        } else if let Some(rest) = line.strip_prefix("  File \"") {
            let (file, rest) = rest.split_once("\", line ").unwrap();
            let (number, name) = rest.split_once(" in ").unwrap();
            threads.get_mut(&now).unwrap().push(format!("{name} {file}:{number}"));
        }
    }
    threads
}
