//! Walks the lists of an interpreter: interpreters, their thread states, the frames of each.
//!
//! Sources: CPython's Python/pystate.c, Include/internal/pycore_frame.h and Python/ceval.c of each
//! version. Deliberately absent: which native frames run the frames (`merge`).

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::conventions::Frames;
use super::runtime::Runtime;
use super::source::{Read, Source};
use crate::observe::PythonFrame;

/// Interpreters of a process, and thread states of one, that are looked at.
const INTERPRETERS_MAX: usize = 256;
const THREADS_MAX: usize = 4_096;
/// Frames of one thread that are walked.
const FRAMES_MAX: usize = 4_096;
/// Functions that are kept.
const CODES_MAX: usize = 256;
/// The lowest `owner` of a frame on the C stack, which ends the frames of a call of the loop
/// (`FRAME_OWNED_BY_CSTACK` in 3.12 and 3.13, `FRAME_OWNED_BY_INTERPRETER` and higher in 3.14).
const OF_C_STACK_MIN: u8 = 3;
const OWNER_MAX: u8 = 4;

/// The frames that one call of the interpreter's loop runs, innermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) frames: Vec<PythonFrame>,
    /// An address on the C stack, in the frame of that call.
    pub(super) anchor: Option<u64>,
}

/// The frames of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    /// There are more frames than are walked.
    pub(super) is_cut: bool,
}

/// The thread states, by what `pthread_self` gives their threads.
pub(super) fn thread_states(
    source: &mut Source<'_>,
    runtime: &Runtime,
) -> Read<BTreeMap<u64, Vec<u64>>> {
    let layout = &runtime.layout;
    let mut states: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for interpreter in interpreters(source, runtime)? {
        let mut threads = Chain::new("thread states", THREADS_MAX);
        let mut thread = source.word(interpreter, layout.interpreter_threads)?;
        while thread != 0 {
            threads.add(thread)?;
            if source.word(thread, layout.thread_interpreter)? != interpreter {
                return Err(format!("the thread state at {thread:#x} is of another interpreter"));
            }
            states.entry(source.word(thread, layout.thread_id)?).or_default().push(thread);
            thread = source.word(thread, layout.thread_next)?;
        }
    }
    Ok(states)
}

/// The interpreters, in their order.
pub(super) fn interpreters(source: &mut Source<'_>, runtime: &Runtime) -> Read<Vec<u64>> {
    let layout = &runtime.layout;
    let (mut chain, mut found) = (Chain::new("interpreters", INTERPRETERS_MAX), Vec::new());
    let mut interpreter = source.word(runtime.address, layout.interpreters_head)?;
    while interpreter != 0 {
        chain.add(interpreter)?;
        found.push(interpreter);
        interpreter = source.word(interpreter, layout.interpreter_next)?;
    }
    Ok(found)
}

/// A list that is walked: it must not lead back to where it was, and ends in time.
struct Chain {
    what: &'static str,
    most: usize,
    seen: BTreeSet<u64>,
}

impl Chain {
    fn new(what: &'static str, most: usize) -> Self {
        Self { what, most, seen: BTreeSet::new() }
    }

    fn add(&mut self, address: u64) -> Read<()> {
        if !self.seen.insert(address) {
            return Err(format!("the list of {} leads back to {address:#x}", self.what));
        }
        if self.seen.len() > self.most {
            return Err(format!("more {} than are looked at", self.what));
        }
        Ok(())
    }
}

/// Functions that were read, by their address: recursion has the same ones again.
pub(super) type Codes = BTreeMap<u64, Code>;

/// The frames of a thread state.
pub(super) fn frames(
    source: &mut Source<'_>,
    runtime: &Runtime,
    codes: &mut Codes,
    state: u64,
) -> Read<Groups> {
    let layout = &runtime.layout;
    let slot = source.word(state, layout.thread_frame)?;
    let mut record = Record { address: slot };
    let mut place = match layout.cframe_frame {
        Some(offset) => source.word(slot, offset)?,
        None => slot,
    };
    let (mut found, mut group) = (Groups::default(), Group::default());
    let mut chain = Chain::new("frames", FRAMES_MAX + 1);
    while place != 0 {
        if chain.seen.len() >= FRAMES_MAX {
            found.is_cut = true;
            break;
        }
        chain.add(place)?;
        if group.frames.is_empty() {
            group.anchor = record.anchor(source, runtime, place);
        }
        let owner = match layout.frame_owner {
            Some(offset) => source.byte(place, offset)?,
            None => 0,
        };
        let is_of_c = runtime.conventions.frames == Frames::Bounded && owner >= OF_C_STACK_MIN;
        if is_of_c {
            check_boundary(source, runtime, place, owner)?;
            group.anchor = Some(place);
        } else {
            group.frames.push(frame(source, runtime, codes, place)?);
        }
        let ends = match runtime.conventions.frames {
            Frames::Objects => true,
            Frames::Flagged => owner != 0,
            Frames::Bounded => is_of_c,
        };
        if ends {
            found.groups.push(std::mem::take(&mut group));
        }
        place = source.word(place, layout.frame_previous)?;
    }
    if !group.frames.is_empty() {
        // Without an end of its own only where it was cut.
        found.groups.push(Group { anchor: None, ..group });
    }
    // A call that has not begun its function, or has just ended it, runs none.
    found.groups.retain(|group| !group.frames.is_empty());
    Ok(found)
}

/// A frame of C has no function of Python; in 3.12 it has one that the interpreter made.
fn check_boundary(source: &mut Source<'_>, runtime: &Runtime, place: u64, owner: u8) -> Read<()> {
    let layout = &runtime.layout;
    let held = source.word(place, layout.frame_code)? & !1;
    let is_code = source.word(held, layout.object_type)? == runtime.types.code;
    if owner <= OWNER_MAX && is_code == runtime.conventions.boundary_has_code {
        return Ok(());
    }
    Err(format!("the frame at {place:#x} is neither of Python nor of C"))
}

fn frame(
    source: &mut Source<'_>,
    runtime: &Runtime,
    codes: &mut Codes,
    place: u64,
) -> Read<PythonFrame> {
    let layout = &runtime.layout;
    if runtime.conventions.frames == Frames::Objects
        && source.word(place, layout.object_type)? != runtime.types.frame
    {
        return Err(format!("the object at {place:#x} is no frame"));
    }
    // From 3.14 on, the lowest bit tells who counts the reference.
    let address = source.word(place, layout.frame_code)? & !1;
    let code = match codes.get(&address) {
        Some(code) => code,
        None => {
            let code = Code::read(source, runtime, address)?;
            if codes.len() >= CODES_MAX {
                codes.clear();
            }
            codes.entry(address).or_insert(code)
        }
    };
    let instruction = source.word(place, layout.frame_instruction)?;
    code.frame(source, runtime, instruction)
}

/// The record of a call of the loop on the C stack, in 3.11.
struct Record {
    address: u64,
}

impl Record {
    /// Where the record of the call that runs this frame lies, and goes on to its caller's.
    fn anchor(&mut self, source: &mut Source<'_>, runtime: &Runtime, frame: u64) -> Option<u64> {
        let layout = &runtime.layout;
        if runtime.conventions.frames != Frames::Flagged {
            return None;
        }
        let own = self.address;
        if source.word(own, layout.cframe_frame?).ok()? != frame {
            return None;
        }
        self.address = source.word(own, layout.cframe_previous?).ok()?;
        Some(own)
    }
}
