//! The stacks of threads that stand still, with names.
//!
//! Deliberately absent: stopping them (`halt`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::Tracee;
use hotfire_sys::procfs::MapLine;

use super::first_chance::{Chance, MemoryThen};
use super::supervisor::Supervisor;
use crate::observe::{
    Fact, FoundBy, FrameCycle, FrameRecord, Location, OmittedFrames, StackRecord, Thread,
};
use crate::python::{Interpreters, merge};
use crate::unwind::{EndReason, Frame, LiveMemory, Mappings, Registers, Stack};

impl Supervisor {
    /// Fills in the stacks of a process's threads; those that stand have one. `first` is the
    /// thread that matters most, for time is short, and the fault before at which it is looked at.
    pub(super) fn add_stacks(
        &mut self,
        threads: &mut [Thread],
        maps: &[MapLine],
        standing: &BTreeSet<i32>,
        first: Option<(i32, Option<&Chance>)>,
    ) {
        // Any living thread of a process has its memory; a leader that has ended has not.
        let (first, chance) = first.unzip();
        let chance = chance.flatten();
        let Some(reader) = first.or_else(|| standing.first().copied()) else { return };
        let memory = MemoryThen { memory: LiveMemory::new(reader), chance };
        let mut process = self.unwinder.process(Mappings::from(maps), memory);
        let mut walk = |tid: i32| {
            let registers = match chance.filter(|_| Some(tid) == first) {
                Some(chance) => chance.registers.clone(),
                None => Tracee::new(tid).registers().map_err(|error| error.to_string())?,
            };
            Ok(process.unwind(Registers::from(&registers)))
        };
        let mut stacks: BTreeMap<i32, Result<Stack, String>> = BTreeMap::new();
        for tid in first.into_iter().chain(threads.iter().map(|thread| thread.tid)) {
            let stands = || standing.contains(&tid) || Some(tid) == first;
            let stack = || if stands() { walk(tid) } else { Err(RUNS_ON.to_owned()) };
            stacks.entry(tid).or_insert_with(stack);
        }
        let frames = stacks.values().flatten().flat_map(|stack| &stack.frames);
        let frames: Vec<Frame> = frames.copied().collect();
        // All at once: a file's symbols are looked through once for all threads.
        let memory = &mut LiveMemory::new(reader);
        let mut places = self.symbolizer.locate_frames(maps, memory, &frames).into_iter();
        let mut named = |stack: Result<Stack, String>| match stack {
            Ok(stack) => Fact::Known(record(&stack, &mut places)),
            Err(reason) => Fact::Unavailable(reason),
        };
        // In the order of their frames.
        let records: Vec<Fact<StackRecord>> = stacks.values().cloned().map(&mut named).collect();
        let mut records: BTreeMap<i32, Fact<StackRecord>> =
            stacks.keys().copied().zip(records).collect();
        if let Some(mut python) = Interpreters::find(&mut self.symbolizer, maps, memory) {
            for (tid, record) in &mut records {
                let (Some(Ok(stack)), Fact::Known(record)) = (stacks.get(tid), record) else {
                    continue;
                };
                add_python(&mut python, *tid, stack, record);
            }
        }
        for thread in threads {
            if let Some(stack) = records.remove(&thread.tid) {
                thread.stack = stack;
            }
        }
        for note in self.symbolizer.take_notes() {
            self.soft_error(format!("names: {note}"));
        }
    }
}

/// The Python functions that a thread runs, at its native frames.
fn add_python(python: &mut Interpreters<'_>, tid: i32, stack: &Stack, record: &mut StackRecord) {
    // One that is gone has no stack either.
    let Ok(pointer) = Tracee::new(tid).thread_pointer() else { return };
    if let Some(running) = python.running(pointer) {
        merge(record, stack, running);
    }
}

const RUNS_ON: &str = "the thread did not stop in time";

type Located = Result<Location, String>;

/// A stack with the places of its frames, which are taken off the front.
pub(crate) fn record(stack: &Stack, places: &mut impl Iterator<Item = Located>) -> StackRecord {
    StackRecord {
        frames: stack
            .frames
            .iter()
            .zip(places)
            .map(|(frame, at)| frame_record(frame, at))
            .collect(),
        omitted: stack
            .omitted
            .map(|hole| OmittedFrames { before: hole.before, frames: hole.frames }),
        cycle: stack.cycle.map(|cycle| FrameCycle {
            first: cycle.first,
            length: cycle.length,
            times: cycle.times,
        }),
        end: end_words(stack.end).to_owned(),
        python: None,
    }
}

fn frame_record(frame: &Frame, location: Located) -> FrameRecord {
    FrameRecord {
        pc: frame.pc,
        found_by: frame.found_by,
        doubtful: frame.doubtful || frame.found_by == FoundBy::Scan,
        signal_trampoline: frame.signal_trampoline,
        location: match location {
            Ok(location) => Fact::Known(location),
            Err(reason) => Fact::Unavailable(reason),
        },
        source: Vec::new(),
        python: Vec::new(),
    }
}

fn end_words(end: EndReason) -> &'static str {
    match end {
        EndReason::Outermost => "the outermost frame",
        EndReason::NoCaller => "no method finds a caller",
        EndReason::NoProgress => "the next frame would lie inside of this one",
        EndReason::FramesMax => "as many frames as are walked",
        EndReason::TimeMax => "out of time",
    }
}
