//! Threads as findings show them.
//!
//! Deliberately absent: what a stack means (`culprit`, `rules`).

use super::finding::{FindingThread, Frame};
use super::signals::syscall_name;
use crate::observe::{
    Crash, Fact, FoundBy, FrameRecord, Location, PythonFrame, PythonRecord, SourceRecord,
    StackRecord, Thread, Wait,
};

fn state_word(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "in uninterruptible sleep",
        'T' => "stopped",
        't' => "stopped for its tracer",
        'Z' => "zombie",
        'X' => "dead",
        _ => "unknown",
    }
}

fn waits_on(wait: &Wait) -> Option<String> {
    match wait {
        Wait::None => None,
        Wait::Futex { address, untimed, owner, .. } => {
            let limit = if *untimed { "" } else { ", with a time limit" };
            Some(match owner {
                Some(owner) => format!("lock {address:#x}, held by thread {owner}{limit}"),
                None => format!("futex {address:#x}{limit}"),
            })
        }
        Wait::Syscall { number, .. } => Some(syscall_name(*number)),
        Wait::Unavailable(why) => Some(format!("not seen: {why}")),
    }
}

fn frames(stack: &Fact<StackRecord>) -> Vec<Frame> {
    let frames = stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let apart = python(stack).and_then(Fact::known).map(|python| python.apart.as_slice());
    let apart = apart.unwrap_or_default().iter().map(|function| of_python(function, None));
    frames.iter().flat_map(in_source).chain(apart).collect()
}

fn python(stack: &Fact<StackRecord>) -> Option<&Fact<PythonRecord>> {
    stack.known().and_then(|stack| stack.python.as_ref())
}

/// What is not as it should be with the functions of Python.
fn python_words(stack: &Fact<StackRecord>) -> Option<String> {
    let python = match python(stack)? {
        Fact::Known(python) => python,
        Fact::Unavailable(reason) => return Some(format!("not seen: {reason}")),
    };
    let functions = |count: usize| if count == 1 { "function" } else { "functions" };
    let (apart, omitted) = (python.apart.len(), usize::try_from(python.omitted).ok()?);
    let apart_words = format!(
        "no native frame is known to run the last {apart} {}, which {} at the end",
        functions(apart),
        if apart == 1 { "stands" } else { "stand" }
    );
    let omitted_words = format!("{omitted} {} of frames that were not kept", functions(omitted));
    let cut_words = "there are more functions than were read".to_owned();
    let words: Vec<String> =
        [(apart > 0, apart_words), (omitted > 0, omitted_words), (python.is_cut, cut_words)]
            .into_iter()
            .filter_map(|(is_so, words)| is_so.then_some(words))
            .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// A function of Python that the interpreter runs in a frame with this program counter.
fn of_python(function: &PythonFrame, pc: Option<u64>) -> Frame {
    Frame {
        pc: pc.map_or_else(String::new, |pc| format!("{pc:#x}")),
        module: None,
        build_id: None,
        offset: None,
        function: Some(function.function.clone()),
        function_start: None,
        file: Some(function.file.clone()),
        line: function.line,
        inlined: false,
        found_by: "python".to_owned(),
    }
}

/// A frame, and before it the functions that are inlined there, and those that it runs as an
/// interpreter.
fn in_source(one: &FrameRecord) -> Vec<Frame> {
    let frame = frame(one.pc, one.found_by, &one.location);
    let python = one.python.iter().map(|function| of_python(function, Some(one.pc)));
    let Some((last, inlined)) = one.source.split_last() else {
        return python.chain([frame]).collect();
    };
    let at = |source: &SourceRecord| Frame {
        file: source.file.clone(),
        line: source.line,
        inlined: source.inlined,
        ..frame.clone()
    };
    let within = |source: &SourceRecord| Frame {
        function: source.function.clone(),
        function_start: None,
        ..at(source)
    };
    inlined.iter().map(within).chain(python).chain([at(last)]).collect()
}

fn frame(pc: u64, found_by: FoundBy, location: &Fact<Location>) -> Frame {
    let location = location.known();
    Frame {
        pc: format!("{pc:#x}"),
        module: location.map(|location| location.module.clone()),
        build_id: location.and_then(|location| location.build_id.clone()),
        offset: location.map(|location| format!("{:#x}", location.offset)),
        function: location.and_then(|location| location.function.clone()),
        function_start: location
            .and_then(|location| location.function_start)
            .map(|start| format!("{start:#x}")),
        file: None,
        line: None,
        inlined: false,
        found_by: found_by.name().to_owned(),
    }
}

/// A thread that did not crash.
pub(crate) fn finding_thread(thread: &Thread) -> FindingThread {
    FindingThread {
        tid: thread.tid,
        name: thread.name.clone(),
        crashed: false,
        state: state_word(thread.state).to_owned(),
        waits_on: waits_on(&thread.wait),
        frames: frames(&thread.stack),
        python: python_words(&thread.stack),
    }
}

/// The victim's threads, the crashed one first.
pub(crate) fn crash_threads(crash: &Crash) -> Vec<FindingThread> {
    let own = crash.threads.iter().find(|thread| thread.tid == crash.victim.tid);
    let stack = own.map(|own| frames(&own.stack)).unwrap_or_default();
    let place = &crash.location;
    let frame = place.known().map(|location| frame(location.pc, FoundBy::Registers, place));
    // Where the place is unknown, the program counter alone is still a frame.
    let frame = frame.or_else(|| {
        let registers = crash.registers.known()?;
        Some(Frame {
            pc: format!("{:#x}", registers.rip),
            module: None,
            build_id: None,
            offset: None,
            function: None,
            function_start: None,
            file: None,
            line: None,
            inlined: false,
            found_by: "registers".to_owned(),
        })
    });
    let crashed = FindingThread {
        tid: crash.victim.tid,
        name: crash.victim.thread.clone(),
        crashed: true,
        state: "crashed".to_owned(),
        waits_on: None,
        frames: if stack.is_empty() { frame.into_iter().collect() } else { stack },
        python: own.and_then(|own| python_words(&own.stack)),
    };
    let others = crash.threads.iter().filter(|thread| thread.tid != crash.victim.tid);
    std::iter::once(crashed).chain(others.map(finding_thread)).collect()
}
