//! The stacks of threads that stand still, with names.
//!
//! Deliberately absent: stopping them (`halt`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::Tracee;
use hotfire_sys::procfs::MapLine;

use super::supervisor::Supervisor;
use crate::observe::{Fact, FoundBy, FrameCycle, FrameRecord, OmittedFrames, StackRecord, Thread};
use crate::symbolize::Symbolizer;
use crate::unwind::{EndReason, Frame, LiveMemory, Mappings, Registers, Stack};

impl Supervisor {
    /// Fills in the stacks of a process's threads; those that stand have one. `first` is the
    /// thread that matters most: time is short.
    pub(super) fn add_stacks(
        &mut self,
        threads: &mut [Thread],
        maps: &[MapLine],
        standing: &BTreeSet<i32>,
        first: Option<i32>,
    ) {
        // Any living thread of a process has its memory; a leader that has ended has not.
        let Some(reader) = first.or_else(|| standing.first().copied()) else { return };
        let mut process = self.unwinder.process(Mappings::from(maps), LiveMemory::new(reader));
        let mut walk = |tid: i32| {
            let registers = Tracee::new(tid).registers().map_err(|error| error.to_string())?;
            Ok(process.unwind(Registers::from(&registers)))
        };
        let mut stacks: BTreeMap<i32, Result<Stack, String>> = BTreeMap::new();
        for tid in first.into_iter().chain(threads.iter().map(|thread| thread.tid)) {
            let stands = || standing.contains(&tid) || Some(tid) == first;
            let stack = || if stands() { walk(tid) } else { Err(RUNS_ON.to_owned()) };
            stacks.entry(tid).or_insert_with(stack);
        }
        for thread in threads {
            thread.stack = match stacks.remove(&thread.tid) {
                Some(Ok(stack)) => Fact::Known(named(&stack, maps, &mut self.symbolizer)),
                Some(Err(reason)) => Fact::Unavailable(reason),
                None => continue,
            };
        }
    }
}

const RUNS_ON: &str = "the thread did not stop in time";

fn named(stack: &Stack, maps: &[MapLine], symbolizer: &mut Symbolizer) -> StackRecord {
    StackRecord {
        frames: stack.frames.iter().map(|frame| record(frame, maps, symbolizer)).collect(),
        omitted: stack
            .omitted
            .map(|hole| OmittedFrames { before: hole.before, frames: hole.frames }),
        cycle: stack.cycle.map(|cycle| FrameCycle {
            first: cycle.first,
            length: cycle.length,
            times: cycle.times,
        }),
        end: end_words(stack.end).to_owned(),
    }
}

fn record(frame: &Frame, maps: &[MapLine], symbolizer: &mut Symbolizer) -> FrameRecord {
    FrameRecord {
        pc: frame.pc,
        found_by: frame.found_by,
        doubtful: frame.doubtful || frame.found_by == FoundBy::Scan,
        signal_trampoline: frame.signal_trampoline,
        location: match symbolizer.locate_frame(maps, frame) {
            Ok(location) => Fact::Known(location),
            Err(reason) => Fact::Unavailable(reason),
        },
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
