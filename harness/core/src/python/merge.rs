//! Puts the Python frames of a thread where its native stack has the calls that run them.
//!
//! From 3.11 on, something of each call of the interpreter's loop lies on the C stack at a known
//! address: the native frame around it is the one. Before, each Python frame has a call of its own,
//! and the numbers must agree. What is not sure stands apart, and is told so.

use super::threads::Running;
use super::walk::Groups;
use crate::observe::{Fact, PythonFrame, PythonRecord, StackRecord};
use crate::unwind::{EndReason, Stack};

/// The interpreter's loop; from 3.14 on, it may be a function for each instruction.
const LOOPS: &[&str] = &["_PyEval_EvalFrameDefault", "_TAIL_CALL_"];

/// Functions that are kept where no native frame is known to run them.
const APART_MAX: usize = 256;

/// Adds what a thread runs to its stack; `record` has the frames of `stack`.
pub(crate) fn merge(record: &mut StackRecord, stack: &Stack, running: Result<Running, String>) {
    let Running { version, groups } = match running {
        Ok(running) => running,
        Err(reason) => return record.python = Some(Fact::Unavailable(reason)),
    };
    let places = if groups.groups.iter().any(|group| group.anchor.is_some()) {
        by_anchor(record, stack, &groups)
    } else {
        by_number(record, stack, &groups)
    };
    let mut apart: Vec<PythonFrame> = Vec::new();
    let mut omitted = 0;
    for (group, place) in groups.groups.into_iter().zip(places) {
        let frame = match place {
            Place::Frame(at) => record.frames.get_mut(at),
            Place::Hole => {
                omitted += group.frames.len() as u64;
                continue;
            }
            Place::Unknown => None,
        };
        match frame {
            Some(frame) => frame.python.extend(group.frames),
            None => apart.extend(group.frames),
        }
    }
    let is_cut = groups.is_cut || apart.len() > APART_MAX;
    apart.truncate(APART_MAX);
    record.python = Some(Fact::Known(PythonRecord { version, apart, omitted, is_cut }));
}

/// Where a group of frames belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// To the native frame with this index.
    Frame(usize),
    /// To one of the native frames that were not kept.
    Hole,
    Unknown,
}

/// Whether a native frame may be a call of the loop; a nameless one may.
fn may_be_loop(record: &StackRecord, at: usize) -> bool {
    let location = record.frames.get(at).and_then(|frame| frame.location.known());
    let name = location.and_then(|location| location.function.as_deref());
    name.is_none_or(|name| LOOPS.iter().any(|prefix| name.starts_with(prefix)))
}

/// The native frame around each group's address on the stack.
fn by_anchor(record: &StackRecord, stack: &Stack, groups: &Groups) -> Vec<Place> {
    let mut from = 0;
    let mut place = |anchor: u64| {
        let pairs = stack.frames.iter().zip(stack.frames.iter().skip(1)).enumerate().skip(from);
        for (at, (frame, caller)) in pairs {
            if !(frame.sp..caller.sp).contains(&anchor) {
                continue;
            }
            if stack.omitted.is_some_and(|hole| hole.before == at + 1) {
                return Place::Hole;
            }
            if may_be_loop(record, at) {
                from = at + 1;
                return Place::Frame(at);
            }
        }
        Place::Unknown
    };
    let anchors = groups.groups.iter().map(|group| group.anchor);
    anchors.map(|anchor| anchor.map_or(Place::Unknown, &mut place)).collect()
}

/// One native frame for each Python frame, where there are as many.
fn by_number(record: &StackRecord, stack: &Stack, groups: &Groups) -> Vec<Place> {
    let proven = record.frames.iter().take_while(|frame| !frame.doubtful).count();
    let is_loop = |at: &usize| {
        let location = record.frames.get(*at).and_then(|frame| frame.location.known());
        location.is_some_and(|location| location.function.is_some()) && may_be_loop(record, *at)
    };
    let loops: Vec<usize> = (0..proven).filter(is_loop).collect();
    let has_all = stack.end == EndReason::Outermost && proven == record.frames.len();
    let count = groups.groups.len();
    let mut places = vec![Place::Unknown; count];
    let mut put = |place: usize, at: usize| {
        if let Some(slot) = places.get_mut(place) {
            *slot = Place::Frame(at);
        }
    };
    let hole = stack.omitted.map(|hole| hole.before);
    match hole {
        None if has_all && !groups.is_cut => {
            // A call that dies before it has begun its function has none.
            let begun = match loops.split_first() {
                Some((0, rest)) if rest.len() == count => rest,
                _ => &loops,
            };
            if begun.len() == count {
                (0..).zip(begun).for_each(|(place, at)| put(place, *at));
            }
        }
        None if loops.len() <= count && !has_all => {
            (0..).zip(&loops).for_each(|(place, at)| put(place, *at));
        }
        None => {}
        Some(before) => {
            let (head, tail) = loops.split_at(loops.partition_point(|at| *at < before));
            if loops.len() > count {
                return places;
            }
            (0..).zip(head).for_each(|(place, at)| put(place, *at));
            if has_all {
                // Where not all functions were read, those that were not run the outermost frames.
                let tail = if groups.is_cut { &[] } else { tail };
                (count - tail.len()..).zip(tail).for_each(|(place, at)| put(place, *at));
                let hidden = places.iter_mut().skip(head.len());
                let hidden = hidden.take(count - head.len() - tail.len());
                hidden.for_each(|place| *place = Place::Hole);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::walk::Group;
    use super::*;
    use crate::observe::{FoundBy, FrameRecord, Location};
    use crate::unwind::{Frame, Omitted};

    /// Native frames of 0x100 bytes each from 0x1000 on, by their functions.
    fn native(names: &[&str], end: EndReason) -> (Stack, StackRecord) {
        let frame = |at: usize| Frame {
            pc: 0x40_0000,
            sp: 0x1000 + 0x100 * at as u64,
            found_by: FoundBy::UnwindInfo,
            exact: at == 0,
            signal_trampoline: false,
            doubtful: false,
            function_start: None,
        };
        let record = |name: &&str| FrameRecord {
            pc: 0x40_0000,
            found_by: FoundBy::UnwindInfo,
            doubtful: false,
            signal_trampoline: false,
            location: Fact::Known(Location {
                pc: 0x40_0000,
                module: "/lib/any.so".to_owned(),
                build_id: None,
                offset: 0,
                function: (!name.is_empty()).then(|| (*name).to_owned()),
                function_start: None,
                file: None,
            }),
            source: Vec::new(),
            python: Vec::new(),
        };
        let frames = (0..names.len()).map(frame).collect();
        let stack = Stack { frames, omitted: None, cycle: None, saved: Vec::new(), end };
        let frames = names.iter().map(record).collect();
        let end = String::new();
        (
            stack,
            StackRecord {
                frames,
                omitted: None,
                cycle: None,
                saved: Vec::new(),
                extent: None,
                end,
                python: None,
            },
        )
    }

    fn running(groups: &[(&[&str], Option<u64>)]) -> Running {
        let frame = |name: &&str| PythonFrame {
            function: (*name).to_owned(),
            file: "a.py".to_owned(),
            line: Some(1),
        };
        let group = |(names, anchor): &(&[&str], Option<u64>)| Group {
            frames: names.iter().map(frame).collect(),
            anchor: *anchor,
        };
        let groups = groups.iter().map(group).collect();
        Running { version: "3.x".to_owned(), groups: Groups { groups, is_cut: false } }
    }

    /// The functions of Python at each native frame, those apart, and how many are omitted.
    fn merged(native: (Stack, StackRecord), running: Running) -> (Vec<String>, String, u64) {
        let (stack, mut record) = native;
        merge(&mut record, &stack, Ok(running));
        let names = |frames: &[PythonFrame]| {
            let names: Vec<&str> = frames.iter().map(|frame| frame.function.as_str()).collect();
            names.join(" ")
        };
        let Some(Fact::Known(python)) = &record.python else { panic!("{record:?}") };
        let at = record.frames.iter().map(|frame| names(&frame.python)).collect();
        (at, names(&python.apart), python.omitted)
    }

    const LOOP: &str = "_PyEval_EvalFrameDefault";

    #[test]
    fn an_address_on_the_stack_tells_the_native_frame() {
        let names = ["crash", LOOP, "call", LOOP, "main"];
        let groups: &[(&[&str], _)] = &[(&["c", "b"], Some(0x1150)), (&["a"], Some(0x1300))];
        let found = merged(native(&names, EndReason::Outermost), running(groups));
        assert_eq!(found, (["", "c b", "", "a", ""].map(str::to_owned).into(), String::new(), 0));
        // Within another function's frame, and beyond the stack: not put anywhere.
        let groups: &[(&[&str], _)] = &[(&["c", "b"], Some(0x1250)), (&["a"], Some(0x9000))];
        let found = merged(native(&names, EndReason::Outermost), running(groups));
        assert_eq!((found.0.concat(), found.1.as_str()), (String::new(), "c b a"));
        // A nameless frame may be the loop.
        let groups: &[(&[&str], _)] = &[(&["c"], Some(0x1150))];
        let found = merged(native(&["crash", "", "main"], EndReason::NoCaller), running(groups));
        assert_eq!(found.0, ["", "c", ""]);
    }

    #[test]
    fn frames_of_what_was_not_kept_are_counted() {
        let (mut stack, record) = native(&["crash", LOOP, LOOP, "main"], EndReason::Outermost);
        stack.omitted = Some(Omitted { before: 2, frames: 9 });
        stack.frames[2].sp = 0x5000;
        stack.frames[3].sp = 0x5100;
        let groups: &[(&[&str], _)] =
            &[(&["d"], Some(0x3000)), (&["c", "b"], Some(0x3100)), (&["a"], Some(0x5010))];
        let found = merged((stack.clone(), record.clone()), running(groups));
        assert_eq!((found.0.join("|").as_str(), found.2), ("||a|", 3));
        let groups: &[(&[&str], _)] =
            &[(&["d"], None), (&["c"], None), (&["b"], None), (&["a"], None)];
        let found = merged((stack.clone(), record.clone()), running(groups));
        assert_eq!((found.0.join("|").as_str(), found.2), ("|d|a|", 2));
        // Where not all functions were read, the outermost are not those of the outermost frame.
        let mut cut = running(groups);
        cut.groups.is_cut = true;
        let found = merged((stack, record), cut);
        assert_eq!((found.0.join("|").as_str(), found.2), ("|d||", 3));
    }

    #[test]
    fn numbers_that_disagree_put_nothing() {
        let groups: &[(&[&str], _)] = &[(&["b"], None), (&["a"], None)];
        let put = |names: &[&str], end| {
            let found = merged(native(names, end), running(groups));
            (found.0.join("|"), found.1)
        };
        let known = |text: &str, apart: &str| (text.to_owned(), apart.to_owned());
        let whole = EndReason::Outermost;
        assert_eq!(put(&["x", LOOP, "y", LOOP], whole), known("|b||a", ""));
        assert_eq!(put(&[LOOP, "y", LOOP, LOOP], whole), known("||b|a", ""));
        assert_eq!(put(&["x", LOOP, LOOP, LOOP], whole), known("|||", "b a"));
        assert_eq!(put(&["x", LOOP], whole), known("|", "b a"));
        // A stack that could not be walked to its end has the innermost ones.
        assert_eq!(put(&["x", LOOP], EndReason::NoCaller), known("|b", "a"));
        assert_eq!(put(&["x"], EndReason::NoCaller), known("", "b a"));
    }

    #[test]
    fn what_could_not_be_read_is_told() {
        let (stack, mut record) = native(&["x"], EndReason::Outermost);
        merge(&mut record, &stack, Err("a reason".to_owned()));
        assert_eq!(record.python, Some(Fact::Unavailable("a reason".to_owned())));
    }
}
