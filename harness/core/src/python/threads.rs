//! The Python frames of a process's threads, by thread.
//!
//! Deliberately absent: where they stand among native frames (`merge`).

use std::collections::BTreeMap;

use hotfire_sys::procfs::MapLine;

use super::locks::{RecursiveLock, lock_holder, recursive_lock};
use super::runtime::{Runtime, find};
use super::source::{Read, Source};
use super::walk::{Codes, Groups, frames, thread_states};
use crate::observe::PythonFrame;
use crate::symbolize::{Exports, Symbolizer};
use crate::unwind::Memory;

/// The interpreters of a process, in different files; nearly always one.
pub struct Interpreters<'a> {
    source: Source<'a>,
    found: Vec<Interpreter>,
}

#[derive(Debug)]
struct Interpreter {
    read: Read<(Runtime, BTreeMap<u64, Vec<u64>>)>,
    codes: Codes,
}

/// What a thread runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub(super) version: String,
    pub(super) groups: Groups,
}

impl Running {
    /// The functions, innermost first.
    #[must_use]
    pub fn functions(&self) -> Vec<&PythonFrame> {
        self.groups.groups.iter().flat_map(|group| &group.frames).collect()
    }
}

impl<'a> Interpreters<'a> {
    /// Those of a process with these mappings; `None` where it has none.
    pub fn find(
        symbolizer: &mut Symbolizer,
        maps: &[MapLine],
        memory: &'a mut dyn Memory,
    ) -> Option<Self> {
        let files = find(symbolizer, maps, memory);
        (!files.is_empty()).then(|| Self::of(&files, memory))
    }

    /// One that exports names at these addresses, for those who know them without files.
    pub fn at(exports: &[(&'static str, u64)], memory: &'a mut dyn Memory) -> Self {
        Self::of(&[Exports::new(exports)], memory)
    }

    fn of(files: &[Exports], memory: &'a mut dyn Memory) -> Self {
        let mut source = Source::new(memory);
        let mut read = |exports| {
            let runtime = Runtime::read(&mut source, exports)?;
            let states = thread_states(&mut source, &runtime)?;
            Ok((runtime, states))
        };
        let one = |exports| Interpreter { read: read(exports), codes: Codes::new() };
        let found = files.iter().map(one).collect();
        Self { source, found }
    }

    /// How the first of them is read.
    #[cfg(test)]
    pub(super) fn first_runtime(&self) -> Option<Runtime> {
        let (runtime, _) = self.found.first()?.read.as_ref().ok()?;
        Some(runtime.clone())
    }

    /// The pointers of the threads that an interpreter knows.
    pub fn thread_pointers(&self) -> Vec<u64> {
        let known = self.found.iter().flat_map(|one| &one.read);
        known.flat_map(|(_, states)| states.keys().copied()).collect()
    }

    /// The pointer of the thread that has the interpreter's lock; `None`: nobody has it just now.
    ///
    /// # Errors
    /// A lowercase fragment: what could not be read.
    pub fn lock_holder(&mut self) -> Result<Option<u64>, String> {
        let Self { source, found } = self;
        let [only] = found.as_slice() else {
            return Err("the process has more than one interpreter".to_owned());
        };
        let (runtime, states) = only.read.as_ref().map_err(Clone::clone)?;
        lock_holder(source, runtime, states)
    }

    /// The recursive lock that a thread waits for whose stack begins at `stack`: its inner lock is
    /// at `word`. `None`: it is none, or nobody holds it.
    pub fn recursive_lock(&mut self, stack: u64, word: u64) -> Option<RecursiveLock> {
        let Self { source, found } = self;
        let mut known = found.iter().filter_map(|one| one.read.as_ref().ok());
        known.find_map(|(runtime, _)| recursive_lock(source, runtime, (stack, word)))
    }

    /// What the thread with this pointer to its own block of memory runs; `None` where no
    /// interpreter knows it, or it runs no function of Python.
    ///
    /// # Errors
    /// A lowercase fragment: what could not be read.
    pub fn running(&mut self, thread_pointer: u64) -> Option<Result<Running, String>> {
        let Self { source, found } = self;
        found.iter_mut().find_map(|one| one.running(source, thread_pointer).transpose())
    }
}

impl Interpreter {
    fn running(&mut self, source: &mut Source<'_>, pointer: u64) -> Read<Option<Running>> {
        let (runtime, states) = self.read.as_ref().map_err(Clone::clone)?;
        let states = states.get(&pointer).map(Vec::as_slice).unwrap_or_default();
        let mut running = None;
        for state in states {
            let groups = frames(source, runtime, &mut self.codes, *state)?;
            if groups.groups.is_empty() {
                continue;
            }
            // A thread in two interpreters runs functions of both, in an order that nobody tells.
            if running.is_some() {
                return Err("the thread runs functions of more than one interpreter".to_owned());
            }
            running = Some(Running { version: runtime.version.clone(), groups });
        }
        Ok(running)
    }
}
