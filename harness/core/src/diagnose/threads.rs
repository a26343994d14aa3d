//! Threads as findings show them.
//!
//! Deliberately absent: what a stack means (`culprit`, `rules`).

use super::finding::{FindingThread, Frame};
use super::signals::syscall_name;
use crate::observe::{
    Crash, DescriptorRecord, Fact, FoundBy, FrameRecord, Location, LockKind, LockRecord,
    PythonFrame, PythonRecord, SourceRecord, StackRecord, Thread, Wait,
};

/// Descriptors of one wait that are named.
const DESCRIPTORS_MAX: usize = 3;

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

/// What a thread waits for, in words.
pub(crate) fn waits_on(wait: &Wait) -> Option<String> {
    match wait {
        Wait::None => None,
        Wait::Futex { address, untimed, owner, lock, .. } => {
            let limit = if *untimed { "" } else { ", with a time limit" };
            Some(format!("{}{limit}", lock_words(*address, *owner, lock.as_ref())))
        }
        Wait::InterpreterLock => Some("the interpreter's lock".to_owned()),
        Wait::Child { pid: Some(pid), .. } => Some(format!("the end of process {pid}")),
        Wait::Child { pid: None, .. } => Some("the end of a child".to_owned()),
        Wait::Descriptors { number, untimed, descriptors } => {
            let limit = if *untimed { "" } else { ", with a time limit" };
            let shown = descriptors.iter().take(DESCRIPTORS_MAX).map(descriptor_words);
            let shown: Vec<String> = shown.collect();
            Some(format!("{} of {}{limit}", syscall_name(*number), shown.join(" or ")))
        }
        Wait::Syscall { number, .. } => Some(syscall_name(*number)),
        Wait::Unavailable(why) => Some(format!("not seen: {why}")),
    }
}

fn lock_words(address: u64, owner: Option<i32>, lock: Option<&LockRecord>) -> String {
    let kind = lock.map_or(LockKind::Unknown, |lock| lock.kind);
    let gone = lock.and_then(|lock| lock.owner_gone);
    let place = lock.map_or(address, |lock| lock.address);
    match (kind, owner, gone) {
        (LockKind::Join, Some(thread), _) => format!("the end of thread {thread}"),
        (LockKind::Unknown, Some(owner), _) => format!("lock {place:#x}, held by thread {owner}"),
        (_, Some(owner), _) => format!("{} {place:#x}, held by thread {owner}", kind.name()),
        (_, None, Some(gone)) => {
            format!("{} {place:#x}, held by thread {gone}, which the process has not", kind.name())
        }
        (_, None, None) => format!("{} {place:#x}", kind.name()),
    }
}

/// A descriptor in words: number, what it is, and its addresses.
pub(crate) fn descriptor_words(one: &DescriptorRecord) -> String {
    let target = one.target.split(':').next().unwrap_or_default();
    let what = match &one.socket {
        Some(socket) if socket.listens => format!("{} listener {}", socket.protocol, socket.local),
        Some(socket) if !socket.remote.is_empty() => {
            format!("{} socket {} to {}", socket.protocol, socket.local, socket.remote)
        }
        Some(socket) => format!("{} socket {}", socket.protocol, socket.local),
        None if target == "anon_inode" => {
            let name = one.target.get("anon_inode:".len()..).unwrap_or_default();
            name.trim_matches(['[', ']']).to_owned()
        }
        None if target.starts_with('/') => one.target.clone(),
        None if target.is_empty() => "closed".to_owned(),
        None => target.to_owned(),
    };
    format!("descriptor {} ({})", one.number, what.trim_end())
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
