//! Signs of runs that do not go on. Rules about the whole ask for cycles and forks anywhere in the
//! run; the others ask for the thread at the root of the waits.
//!
//! Deliberately absent: which signs make a class (`rules.rs`).

use super::culprit::{is_interpreter, is_runtime};
use super::facts::Facts;
use super::rule::Seen;
use super::signs::{evidence, line};
use super::threads::descriptor_words;
use super::wait_graph::{
    Edge, WaitGraph, frames, lock_kind, lock_of, own_place, place_words, still_in, waits_endlessly,
};
use crate::observe::{
    DescriptorRecord, ForkRecord, FrameRecord, Location, LockKind, ProcessRecord, Progress, Thread,
    Wait,
};

/// Of the time between the looks, a thread that only computes is on a processor or ready for one.
const BUSY_PERCENT: u64 = 80;
/// The loop is this near to the innermost frame.
const LOOP_FRAMES_MAX: usize = 3;
/// Threads named in one line.
const NAMED_MAX: usize = 4;

pub(crate) fn graph<'a>(facts: &Facts<'a>) -> Option<WaitGraph<'a>> {
    Some(WaitGraph::new(facts.observation.stall.as_ref()?))
}

/// The thread whose end everybody waits for: of a step in flight, else the first process's leader.
pub(crate) fn start(facts: &Facts<'_>) -> Option<i32> {
    let stall = facts.observation.stall.as_ref()?;
    let is_there = |tid: &i32| stall.threads.iter().any(|thread| thread.tid == *tid);
    let lanes = facts.observation.recorder.known().map(|recorded| recorded.lanes.as_slice());
    let mut lanes = lanes.unwrap_or_default().iter().filter(|lane| lane.in_flight.is_some());
    let step = lanes.find(|lane| is_there(&lane.tid)).map(|lane| lane.tid);
    let is_first =
        |process: &&ProcessRecord| stall.processes.iter().all(|other| other.pid != process.parent);
    let process = stall.processes.iter().find(is_first).map(|process| process.pid);
    let pid = process.or_else(|| stall.threads.first().map(|thread| thread.pid))?;
    step.or_else(|| Some(graph(facts)?.threads_of(pid).first()?.tid))
}

/// The thread at the root of the waits.
pub(crate) fn root<'a>(facts: &Facts<'a>) -> Option<&'a Thread> {
    let graph = graph(facts)?;
    graph.thread(graph.root(start(facts)?))
}

fn seen(text: String) -> Seen {
    line("wait graph", text)
}

fn all_seen(lines: impl Iterator<Item = String>) -> Seen {
    Seen::Lines(lines.map(|text| evidence("wait graph", text)).collect())
}

/// The circle of waits.
pub(crate) fn cycle(facts: &Facts<'_>) -> Option<Vec<Edge>> {
    graph(facts)?.cycle()
}

pub(crate) fn has_cycle(facts: &Facts<'_>) -> Option<Seen> {
    let graph = graph(facts)?;
    let cycle = graph.cycle()?;
    let lines = cycle.iter().filter_map(|edge| Some(graph.line(graph.thread(edge.tid)?)));
    Some(all_seen(lines))
}

pub(crate) fn cycle_stays(facts: &Facts<'_>) -> Option<Seen> {
    let graph = graph(facts)?;
    let cycle = graph.cycle().unwrap_or_default();
    graph.stays_closed(&cycle).then(|| {
        let who = if cycle.len() == 1 { "it came no" } else { "none of them came any" };
        seen(format!("{who} further while the run was watched"))
    })
}

/// A process that was forked from one of the run and has not exec'ed: the first in which somebody
/// waits for a wake-up, the one at the root before others.
pub(crate) fn forked<'a>(facts: &Facts<'a>) -> Option<(&'a ProcessRecord, &'a ForkRecord)> {
    let stall = facts.observation.stall.as_ref()?;
    let at_root = root(facts).map(|thread| thread.pid);
    let mut made: Vec<(&ProcessRecord, &ForkRecord)> = stall
        .processes
        .iter()
        .filter_map(|process| Some((process, process.fork.as_ref()?)))
        .collect();
    let graph = graph(facts)?;
    made.sort_by_key(|(process, fork)| {
        let has_fewer = fork.threads.len() > process.threads as usize;
        let is_stuck = has_fewer && graph.is_stuck(process.pid);
        // One that waits for descriptors may be idle.
        (!is_stuck, !graph.waits_for_threads(process.pid), Some(process.pid) != at_root)
    });
    made.first().copied()
}

pub(crate) fn has_lost_threads(facts: &Facts<'_>) -> Option<Seen> {
    let (process, fork) = forked(facts)?;
    let had = fork.threads.len();
    (had > process.threads as usize).then(|| {
        let text = format!(
            "process {} was forked, without exec, from one with {had} threads and has {}",
            process.pid, process.threads
        );
        line("process table", text)
    })
}

/// The thread of a forked process that waits for a wake-up.
pub(crate) fn orphan<'a>(facts: &Facts<'a>) -> Option<&'a Thread> {
    let (process, _) = forked(facts)?;
    let threads = graph(facts)?.threads_of(process.pid);
    threads.into_iter().find(|thread| {
        let ours =
            matches!(thread.wait, Wait::Futex { untimed: true, private: true, owner: None, .. });
        ours
    })
}

pub(crate) fn waits_for_wake_up(facts: &Facts<'_>) -> Option<Seen> {
    let thread = orphan(facts)?;
    Some(seen(graph(facts)?.line(thread)))
}

pub(crate) fn nobody_is_left(facts: &Facts<'_>) -> Option<Seen> {
    let (process, _) = forked(facts)?;
    let threads = graph(facts)?.threads_of(process.pid);
    (!threads.is_empty() && threads.iter().all(|thread| waits_endlessly(thread))).then(|| {
        let count = threads.len();
        let who = if count == 1 { "its only thread" } else { "each of its threads" };
        seen(format!("{who} waits without end: nobody in it can give the wake-up"))
    })
}

pub(crate) fn orphan_stays(facts: &Facts<'_>) -> Option<Seen> {
    let (process, _) = forked(facts)?;
    let graph = graph(facts)?;
    // A thread that does something has told already that it is not in the same place.
    let waiting = graph.threads_of(process.pid).into_iter().filter(|it| waits_endlessly(it));
    let stay = waiting.into_iter().all(|thread| graph.came_no_further(thread));
    stay.then(|| stays_line(facts, process.pid))
}

fn stays_line(facts: &Facts<'_>, pid: i32) -> Seen {
    let threads = graph(facts).map(|graph| graph.threads_of(pid)).unwrap_or_default();
    let looks = threads.iter().find_map(|thread| thread.progress.known());
    match looks {
        Some(Progress { looks, over_us, .. }) => {
            let over_ms = over_us / 1000;
            seen(format!("no thread of process {pid} moved in {looks} looks over {over_ms} ms"))
        }
        None => seen(format!("no thread of process {pid} moved in three looks")),
    }
}

/// A thread whose lock names an owner that only the forking process has.
pub(crate) fn left_behind<'a>(facts: &Facts<'a>) -> Option<(&'a Thread, i32)> {
    let graph = graph(facts)?;
    let stall = facts.observation.stall.as_ref()?;
    stall.threads.iter().find_map(|thread| {
        // In memory that processes share, the owner may well be another one's.
        if !matches!(thread.wait, Wait::Futex { private: true, .. }) {
            return None;
        }
        let gone = lock_of(thread)?.owner_gone?;
        let fork = graph.process(thread.pid)?.fork.as_ref()?;
        fork.threads.contains(&gone).then_some((thread, gone))
    })
}

pub(crate) fn owner_is_in_parent(facts: &Facts<'_>) -> Option<Seen> {
    let (thread, gone) = left_behind(facts)?;
    let parent = graph(facts)?.process(thread.pid)?.fork.as_ref()?.parent;
    let what = graph(facts)?.line(thread);
    Some(seen(format!("{what}; thread {gone} is process {parent}'s, from which it was forked")))
}

pub(crate) fn left_behind_stays(facts: &Facts<'_>) -> Option<Seen> {
    let thread = left_behind(facts).map(|(thread, _)| thread).or_else(|| root(facts))?;
    graph(facts)?.stays(thread).then(|| stays_line(facts, thread.pid))
}

/// The threads of the process at the root.
fn threads_at_root<'a>(facts: &Facts<'a>) -> Option<Vec<&'a Thread>> {
    Some(graph(facts)?.threads_of(root(facts)?.pid))
}

pub(crate) fn all_wait(facts: &Facts<'_>) -> Option<Seen> {
    let threads = threads_at_root(facts)?;
    threads.iter().all(|thread| waits_endlessly(thread)).then(|| {
        let (pid, count) = (threads.first().map_or(0, |thread| thread.pid), threads.len());
        let who = if count == 1 { "the only thread" } else { "each thread" };
        seen(format!("{who} of process {pid} waits without end"))
    })
}

pub(crate) fn all_stay(facts: &Facts<'_>) -> Option<Seen> {
    let pid = root(facts)?.pid;
    let threads = threads_at_root(facts)?;
    let graph = graph(facts)?;
    let stay = threads.iter().all(|thread| graph.came_no_further(thread));
    stay.then(|| stays_line(facts, pid))
}

/// What a thread without an edge waits for.
fn is_event(thread: &Thread) -> bool {
    let Wait::Futex { private: true, owner: None, .. } = thread.wait else { return false };
    match lock_kind(thread) {
        Some(
            LockKind::ConditionVariable
            | LockKind::Semaphore
            | LockKind::Barrier
            | LockKind::Parked
            | LockKind::Pool,
        ) => true,
        Some(LockKind::Unknown) => !sounds_like_a_lock(thread),
        _ => false,
    }
}

/// A wait of no known kind, in a function that says of itself that it locks.
fn sounds_like_a_lock(thread: &Thread) -> bool {
    let name = own_place(thread).and_then(|place| place.function.as_deref()).unwrap_or_default();
    let name = name.to_lowercase();
    ["mutex", "lock"].iter().any(|word| name.contains(word))
}

/// Whoever holds such a lock is not known to it.
fn hides_its_holder(thread: &Thread) -> bool {
    match lock_kind(thread) {
        None => thread.wait == Wait::InterpreterLock,
        Some(
            LockKind::NamelessLock
            | LockKind::LanguageLock
            | LockKind::ReadWriteLock
            | LockKind::Mutex
            | LockKind::Once,
        ) => matches!(thread.wait, Wait::Futex { owner: None, .. }),
        Some(LockKind::Unknown) => sounds_like_a_lock(thread),
        _ => false,
    }
}

pub(crate) fn waits_for_event(facts: &Facts<'_>) -> Option<Seen> {
    let root = root(facts).filter(|thread| is_event(thread))?;
    Some(seen(graph(facts)?.line(root)))
}

pub(crate) fn no_hidden_holder(facts: &Facts<'_>) -> Option<Seen> {
    let threads = threads_at_root(facts)?;
    (!threads.iter().any(|thread| hides_its_holder(thread))).then_some(Seen::Told)
}

/// No thread that could give the wake-up was left behind by a fork.
pub(crate) fn lost_no_threads(facts: &Facts<'_>) -> Option<Seen> {
    let process = graph(facts)?.process(root(facts)?.pid)?;
    let had = process.fork.as_ref().map_or(0, |fork| fork.threads.len());
    (had <= process.threads as usize).then_some(Seen::Told)
}

/// All threads of the process wait for locks that only one of them can hold.
pub(crate) fn all_wait_for_locks(facts: &Facts<'_>) -> Option<Seen> {
    let (graph, threads) = (graph(facts)?, threads_at_root(facts)?);
    // Who runs a once-only call holds it, as a lock.
    // In memory that processes share, another one may hold it.
    let is_lock = |thread: &&Thread| {
        matches!(lock_kind(thread), Some(LockKind::NamelessLock | LockKind::Once))
            && matches!(thread.wait, Wait::Futex { private: true, untimed: true, .. })
    };
    let locks: Vec<&Thread> = threads.iter().copied().filter(is_lock).collect();
    let others = threads.iter().filter(|thread| !is_lock(thread));
    // A join waits for a thread that waits for a lock.
    let lead_there = others
        .into_iter()
        .all(|thread| graph.edge(thread.tid).is_some_and(|edge| edge.process.is_none()));
    (!locks.is_empty() && lead_there)
        .then(|| all_seen(locks.iter().take(NAMED_MAX).map(|thread| graph.line(thread))))
}

fn interpreters_waiters<'a>(facts: &Facts<'a>) -> Option<(Vec<&'a Thread>, &'a Thread)> {
    let graph = graph(facts)?;
    let stall = facts.observation.stall.as_ref()?;
    stall.processes.iter().find_map(|process| {
        let holder = graph.thread(process.interpreter_lock.known().copied()??)?;
        let waiters = graph.threads_of(process.pid).into_iter();
        let waiters: Vec<&Thread> = waiters.filter(|it| it.wait == Wait::InterpreterLock).collect();
        (!waiters.is_empty()).then_some((waiters, holder))
    })
}

/// The thread that holds the interpreter's lock while others wait for it.
pub(crate) fn holder<'a>(facts: &Facts<'a>) -> Option<&'a Thread> {
    interpreters_waiters(facts).map(|(_, holder)| holder)
}

pub(crate) fn interpreter_is_waited_for(facts: &Facts<'_>) -> Option<Seen> {
    let (waiters, _) = interpreters_waiters(facts)?;
    let graph = graph(facts)?;
    let stay = waiters.iter().filter(|thread| graph.came_no_further(thread)).count();
    (stay > 0).then(|| {
        let who = if stay == 1 { "1 thread waits" } else { "threads wait" };
        let count = if stay == 1 { String::new() } else { format!("{stay} ") };
        seen(format!("{count}{who} for the interpreter's lock, in all looks"))
    })
}

/// The first place of a thread that is not the C library's or another runtime's; an interpreter's
/// is one.
fn native_place(thread: &Thread) -> Option<&Location> {
    let mut places = frames(thread).iter().map_while(|frame| frame.location.known());
    places.find(|place| is_above_c_library(place))
}

fn is_above_c_library(place: &Location) -> bool {
    !is_runtime(&place.module) || is_interpreter(&place.module)
}

pub(crate) fn is_held_in_native_code(facts: &Facts<'_>) -> Option<Seen> {
    let holder = holder(facts)?;
    let place = native_place(holder).filter(|place| !is_interpreter(&place.module))?;
    let text =
        format!("thread {} `{}` holds it, in {}", holder.tid, holder.name, place_words(place));
    Some(line("stack", text))
}

pub(crate) fn holder_stays(facts: &Facts<'_>) -> Option<Seen> {
    let holder = holder(facts)?;
    still_in(holder, is_above_c_library).then(|| {
        let Progress { looks, over_us, .. } =
            holder.progress.known().cloned().unwrap_or_else(none_seen);
        let over_ms = over_us / 1000;
        seen(format!("it did not get back to the interpreter in {looks} looks over {over_ms} ms"))
    })
}

fn none_seen() -> Progress {
    Progress {
        looks: 0,
        over_us: 0,
        cpu_us: 0,
        queued_us: 0,
        switches: 0,
        transfers: None,
        looks_in_call: 0,
        same_call: false,
        frames_common: 0,
        same_function: false,
    }
}

pub(crate) fn computes(facts: &Facts<'_>) -> Option<Seen> {
    let thread = root(facts)?;
    let progress = thread.progress.known()?;
    let wanted = progress.cpu_us.saturating_add(progress.queued_us);
    let is_busy = progress.cpu_us > 0 && wanted * 100 >= progress.over_us * BUSY_PERCENT;
    is_busy.then(|| {
        let ms = |us: u64| us / 1000;
        let text = format!(
            "thread {} `{}` computed for {} ms of {} and was ready for {} more",
            thread.tid,
            thread.name,
            ms(progress.cpu_us),
            ms(progress.over_us),
            ms(progress.queued_us)
        );
        line("process table", text)
    })
}

pub(crate) fn calls_nothing(facts: &Facts<'_>) -> Option<Seen> {
    let thread = root(facts)?;
    let progress = thread.progress.known()?;
    let is_silent = progress.looks_in_call == 0 && progress.transfers.unwrap_or(0) == 0;
    is_silent.then(|| {
        let text =
            format!("it was in no system call in {} looks, read and wrote nothing", progress.looks);
        line("process table", text)
    })
}

/// The frames of a thread that had not returned: the innermost of them is where its loop is.
pub(crate) fn loop_frames(thread: &Thread) -> &[FrameRecord] {
    let frames = frames(thread);
    let common = thread.progress.known().map_or(0, |progress| progress.frames_common);
    let at = frames.len().saturating_sub(common);
    frames.get(at..).unwrap_or_default()
}

pub(crate) fn stays_in_loop(facts: &Facts<'_>) -> Option<Seen> {
    let thread = root(facts)?;
    let progress = thread.progress.known()?;
    let above = frames(thread).len().checked_sub(progress.frames_common)?;
    let is_near = above == 0 || above <= LOOP_FRAMES_MAX || progress.same_function;
    let place = loop_frames(thread).first().filter(|_| is_near)?.location.known()?;
    let looks = progress.looks;
    Some(line("stack", format!("all {looks} looks found it in {}", place_words(place))))
}

/// The descriptors that the thread at the root waits for.
fn awaited<'a>(facts: &Facts<'a>) -> Option<&'a [DescriptorRecord]> {
    match &root(facts)?.wait {
        Wait::Descriptors { descriptors, .. } => Some(descriptors),
        _ => None,
    }
}

pub(crate) fn waits_for_descriptor(facts: &Facts<'_>) -> Option<Seen> {
    let root = root(facts)?;
    let (first, graph) = (awaited(facts)?.first()?, graph(facts)?);
    let what = graph.line(root);
    Some(seen(format!("{what}; {}", peer_words(&graph, first, root.pid))))
}

fn peer_words(graph: &WaitGraph<'_>, one: &DescriptorRecord, own: i32) -> String {
    let end = if one.to_write { "the reading end" } else { "the writing end" };
    let end = if one.target.starts_with("socket:") { "the other end" } else { end };
    let peers = match &one.peers {
        crate::observe::Fact::Known(peers) => peers,
        crate::observe::Fact::Unavailable(why) => return why.clone(),
    };
    let named = |pid: &i32| match graph.process(*pid) {
        _ if *pid == own => "the process itself".to_owned(),
        Some(process) => format!("process {pid} `{}`", process.command),
        None => format!("process {pid}"),
    };
    let holders: Vec<String> = peers.iter().take(NAMED_MAX).map(named).collect();
    match peers.as_slice() {
        [] => format!("no process of the run holds {end} of {}", descriptor_words(one)),
        [only] if *only == own => format!("{end} is held by the process itself alone"),
        _ => format!("{end} is held by {}", holders.join(" and by ")),
    }
}

pub(crate) fn waits_without_limit(facts: &Facts<'_>) -> Option<Seen> {
    waits_endlessly(root(facts)?).then_some(Seen::Told)
}

pub(crate) fn root_stays(facts: &Facts<'_>) -> Option<Seen> {
    let root = root(facts)?;
    graph(facts)?.came_no_further(root).then(|| stays_line(facts, root.pid))
}
