//! Threads as findings show them.
//!
//! Deliberately absent: whole stacks; an observation has the crashing frame only.

use super::finding::{FindingThread, Frame};
use super::signals::syscall_name;
use crate::observe::{Crash, Thread, Wait};

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

/// A thread that did not crash.
pub(crate) fn finding_thread(thread: &Thread) -> FindingThread {
    FindingThread {
        tid: thread.tid,
        name: thread.name.clone(),
        crashed: false,
        state: state_word(thread.state).to_owned(),
        waits_on: waits_on(&thread.wait),
        frames: Vec::new(),
    }
}

/// The victim's threads, the crashed one first.
pub(crate) fn crash_threads(crash: &Crash) -> Vec<FindingThread> {
    let frame = crash.location.known().map(|location| Frame {
        pc: format!("{:#x}", location.pc),
        module: Some(location.module.clone()),
        build_id: location.build_id.clone(),
        offset: Some(format!("{:#x}", location.offset)),
        function: location.function.clone(),
        found_by: "registers".to_owned(),
    });
    // Where the place is unknown, the program counter alone is still a frame.
    let frame = frame.or_else(|| {
        let registers = crash.registers.known()?;
        Some(Frame {
            pc: format!("{:#x}", registers.rip),
            module: None,
            build_id: None,
            offset: None,
            function: None,
            found_by: "registers".to_owned(),
        })
    });
    let crashed = FindingThread {
        tid: crash.victim.tid,
        name: crash.victim.thread.clone(),
        crashed: true,
        state: "crashed".to_owned(),
        waits_on: None,
        frames: frame.into_iter().collect(),
    };
    let others = crash.threads.iter().filter(|thread| thread.tid != crash.victim.tid);
    std::iter::once(crashed).chain(others.map(finding_thread)).collect()
}
