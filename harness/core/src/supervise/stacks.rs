//! The stacks of threads that stand still, with names.
//!
//! Deliberately absent: stopping them (`halt`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::procfs::{self, MapLine};
use hotfire_sys::{Deadline, Tracee};

use super::first_chance::{Chance, MemoryThen};
use super::locks::add_lock;
use super::supervisor::Supervisor;
use crate::observe::{
    Fact, FoundBy, FrameCycle, FrameRecord, Location, OmittedFrames, StackExtent, StackRecord,
    Thread, Wait,
};
use crate::python::{Interpreters, merge};
use crate::unwind::{EndReason, Frame, LiveMemory, Mappings, Paged, Registers, Stack};

/// How long a process may be held for all that is read of it, names included: a crash in the
/// largest libraries takes a fraction of that, even when they are met first.
const HELD_NS: u64 = 5_000_000_000;

impl Supervisor {
    /// From now on what is read of a process, or of all processes of a hang, has one deadline.
    pub(super) fn begin_look(&mut self) {
        self.deadline = Deadline::after(HELD_NS);
        self.unwinder.end_by(self.deadline);
        self.symbolizer.end_by(self.deadline);
    }

    /// Fills in the stacks of a process's threads, and who can end their waits; those that stand
    /// have one. `first` is the thread that matters most, for time is short, and the fault before at
    /// which it is looked at. Returns the frames as they were walked.
    pub(super) fn add_stacks(
        &mut self,
        threads: &mut [Thread],
        maps: &[MapLine],
        standing: &BTreeSet<i32>,
        first: Option<(i32, Option<&Chance>)>,
    ) -> BTreeMap<i32, Vec<Frame>> {
        let (first, chance) = first.unzip();
        let mut wanted: Vec<i32> = first.into_iter().collect();
        let others = threads.iter().map(|thread| thread.tid);
        wanted.extend(others.filter(|tid| standing.contains(tid) && Some(*tid) != first));
        // Any living thread of a process has its memory; a leader that has ended has not.
        let Some(reader) = wanted.first().copied() else { return BTreeMap::new() };
        let stacks = self.walk(wanted, maps, chance.flatten());
        let frames: Vec<Frame> = stacks
            .iter()
            .filter_map(|(_, stack)| stack.as_ref().ok())
            .flat_map(|stack| &stack.frames)
            .copied()
            .collect();
        // All at once: a file's symbols are looked through once for all threads.
        let memory = &mut Paged::new(LiveMemory::new(reader));
        let mut places = self.symbolizer.locate_frames(maps, memory, &frames).into_iter();
        let waits = |thread: &Thread| matches!(thread.wait, Wait::Futex { .. });
        let tids = if threads.iter().any(waits) { procfs::threads(reader) } else { Ok(Vec::new()) };
        let tids = tids.unwrap_or_default();
        // In the order of their frames.
        let mut records: Vec<Fact<StackRecord>> = Vec::new();
        for (_, stack) in &stacks {
            records.push(match stack {
                Ok(stack) => Fact::Known(record(stack, &mut places)),
                Err(reason) => Fact::Unavailable(reason.clone()),
            });
        }
        if let Some(mut python) = Interpreters::find(&mut self.symbolizer, maps, memory) {
            for ((tid, stack), record) in stacks.iter().zip(&mut records) {
                if let (Ok(stack), Fact::Known(record)) = (stack, record)
                    && !self.deadline.has_passed()
                {
                    add_python(&mut python, *tid, stack, record);
                }
            }
        }
        let mut walked = BTreeMap::new();
        for ((tid, stack), record) in stacks.into_iter().zip(records) {
            if let Some(thread) = threads.iter_mut().find(|thread| thread.tid == tid) {
                thread.stack = record;
                add_lock(thread, memory, &tids);
            }
            walked.extend(stack.ok().map(|stack| (tid, stack.frames)));
        }
        for thread in threads.iter_mut().filter(|thread| !walked.contains_key(&thread.tid)) {
            if thread.stack.known().is_none() && Some(thread.tid) != first {
                thread.stack = Fact::Unavailable(RUNS_ON.to_owned());
            }
        }
        for note in self.symbolizer.take_notes() {
            self.soft_error(format!("names: {note}"));
        }
        walked
    }

    /// The stacks of threads that stand, of one process, in this order: time is short. The first is
    /// looked at as it was at the fault before, where there is one.
    pub(super) fn walk(
        &mut self,
        tids: Vec<i32>,
        maps: &[MapLine],
        chance: Option<&Chance>,
    ) -> Vec<(i32, Result<Stack, String>)> {
        let Some(reader) = tids.first().copied() else { return Vec::new() };
        let memory = MemoryThen { memory: LiveMemory::new(reader), chance };
        let mut process = self.unwinder.process(Mappings::from(maps), memory);
        let mut walk = |tid: i32| {
            if self.deadline.has_passed() && tid != reader {
                return Err(end_words(EndReason::TimeMax).to_owned());
            }
            let registers = match chance.filter(|_| tid == reader) {
                Some(chance) => chance.registers.clone(),
                None => Tracee::new(tid).registers().map_err(|error| error.to_string())?,
            };
            Ok(process.unwind(Registers::from(&registers)))
        };
        tids.into_iter().map(|tid| (tid, walk(tid))).collect()
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
        saved: stack.saved.clone(),
        extent: stack.frames.first().zip(stack.frames.last()).map(|(innermost, outermost)| {
            StackExtent { innermost_sp: innermost.sp, outermost_sp: outermost.sp }
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
