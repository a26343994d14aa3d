//! Who waits for whom: threads, the locks between them, and processes that wait for each other.
//!
//! Each thread waits for one thing at most. Where that thing names who can end the wait (a mutex
//! its owner, a join its thread, `wait4` its child, a pipe its other end), an edge leads there; a
//! condition variable or a semaphore names nobody. Deliberately absent: classes (`stuck.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::culprit::{file_name, is_interpreter, is_of_standard_library, is_runtime};
use super::threads::waits_on;
use crate::observe::{
    FrameRecord, Location, LockKind, LockRecord, ProcessRecord, Stall, StallReason, Thread, Wait,
};

/// A thread may have been on its way back into its call when the count began.
const SWITCHES_MAX: u64 = 1;
/// Whoever asks again and again for an interpreter's lock is on a processor for less than this part
/// of the time: each 5 ms, for microseconds.
const ASKING_SHARE: u64 = 20;

/// Where a thread's wait leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Who waits.
    pub(crate) tid: i32,
    /// The lock, where there is one.
    pub(crate) lock: Option<u64>,
    /// The thread that can end the wait; of a process its leader.
    pub(crate) next: i32,
    /// It is a process that is waited for: any of its threads may be the one.
    pub(crate) process: Option<i32>,
}

/// The graph of one stalled run.
#[derive(Debug)]
pub(crate) struct WaitGraph<'a> {
    stall: &'a Stall,
    edges: BTreeMap<i32, Edge>,
}

impl<'a> WaitGraph<'a> {
    /// The graph of what was seen when the run was ended.
    pub(crate) fn new(stall: &'a Stall) -> Self {
        let mut graph = Self { stall, edges: BTreeMap::new() };
        let edges = stall.threads.iter().filter_map(|thread| graph.edge_of(thread));
        graph.edges = edges.map(|edge| (edge.tid, edge)).collect();
        graph
    }

    /// The thread with this id.
    pub(crate) fn thread(&self, tid: i32) -> Option<&'a Thread> {
        self.stall.threads.iter().find(|thread| thread.tid == tid)
    }

    /// The living threads of a process, its leader first where it lives.
    pub(crate) fn threads_of(&self, pid: i32) -> Vec<&'a Thread> {
        let own = self.stall.threads.iter().filter(|thread| thread.pid == pid);
        let mut threads: Vec<&Thread> =
            own.filter(|thread| !matches!(thread.state, 'Z' | 'X')).collect();
        threads.sort_by_key(|thread| thread.tid != pid);
        threads
    }

    /// What is known of a process.
    pub(crate) fn process(&self, pid: i32) -> Option<&'a ProcessRecord> {
        self.stall.processes.iter().find(|process| process.pid == pid)
    }

    /// Where this thread's wait leads to.
    pub(crate) fn edge(&self, tid: i32) -> Option<&Edge> {
        self.edges.get(&tid)
    }

    fn edge_of(&self, thread: &Thread) -> Option<Edge> {
        let to_process = |pid: i32| {
            let next = self.threads_of(pid).first()?.tid;
            Some(Edge { tid: thread.tid, lock: None, next, process: Some(pid) })
        };
        match &thread.wait {
            Wait::InterpreterLock => {
                let next = self.process(thread.pid)?.interpreter_lock.known().copied()??;
                Some(Edge { tid: thread.tid, lock: None, next, process: None })
            }
            Wait::Futex { address, untimed: true, owner: Some(owner), lock, .. } => {
                let place = lock.as_ref().map_or(*address, |lock| lock.address);
                let next = *owner;
                Some(Edge { tid: thread.tid, lock: Some(place), next, process: None })
            }
            Wait::Child { pid, endless: true } => to_process(match pid {
                Some(pid) => *pid,
                None => self.child_of(thread.pid)?,
            }),
            Wait::Descriptors { untimed: true, descriptors, .. } => {
                let [only] = descriptors.as_slice() else { return None };
                to_process(self.peer(only.peers.known()?, thread.pid)?)
            }
            _ => None,
        }
    }

    /// The child that a wait for any is about: one that is stuck itself, where there are several.
    fn child_of(&self, pid: i32) -> Option<i32> {
        let mut children = self.stall.processes.iter().filter(|process| process.parent == pid);
        let first = children.clone().next()?.pid;
        Some(children.find(|child| self.is_stuck(child.pid)).map_or(first, |child| child.pid))
    }

    /// The process at the other end, where it is stuck itself: one that goes on may still answer.
    fn peer(&self, peers: &[i32], own: i32) -> Option<i32> {
        let mut others = peers.iter().copied().filter(|pid| *pid != own);
        others.find(|pid| self.is_stuck(*pid))
    }

    /// Whether all threads of a process wait without end, and none came any further.
    pub(crate) fn is_stuck(&self, pid: i32) -> bool {
        let threads = self.threads_of(pid);
        !threads.is_empty() && threads.iter().all(|thread| self.stays(thread))
    }

    /// Whether each thread of a process waits for what only threads give.
    pub(crate) fn waits_for_threads(&self, pid: i32) -> bool {
        let is_so = |thread: &Thread| matches!(thread.wait, Wait::Futex { private: true, .. });
        self.threads_of(pid).into_iter().all(is_so)
    }

    /// Whether a thread waits without end and came no further while it was looked at.
    pub(crate) fn stays(&self, thread: &Thread) -> bool {
        waits_endlessly(thread) && self.came_no_further(thread)
    }

    /// Whether the looks found the thread at the same place, asleep.
    pub(crate) fn came_no_further(&self, thread: &Thread) -> bool {
        match thread.progress.known() {
            // Whoever got it in between and is back has computed meanwhile.
            Some(progress) if thread.wait == Wait::InterpreterLock => {
                let computed = progress.cpu_us.saturating_mul(ASKING_SHARE) > progress.over_us;
                !computed && still_in(thread, interpreters_wait)
            }
            Some(progress) => progress.same_call && progress.switches <= SWITCHES_MAX,
            // Such a run is ended only after three equal looks.
            None => self.stall.reason == StallReason::EndlessWait,
        }
    }

    /// Threads that wait for each other in a circle, the one with the lowest number first; one that
    /// leads through no other process before others.
    pub(crate) fn cycle(&self) -> Option<Vec<Edge>> {
        let cycles: Vec<Vec<Edge>> = self.cycles().collect();
        let is_of_threads = |cycle: &&Vec<Edge>| cycle.iter().all(|edge| edge.process.is_none());
        cycles.iter().find(is_of_threads).or(cycles.first()).cloned()
    }

    fn cycles(&self) -> impl Iterator<Item = Vec<Edge>> {
        self.edges.keys().filter_map(|start| {
            let mut path: Vec<Edge> = Vec::new();
            let mut tid = *start;
            loop {
                let edge = *self.edges.get(&tid)?;
                path.push(edge);
                if edge.next == *start {
                    return Some(path);
                }
                if path.iter().any(|other| other.tid == edge.next) {
                    return None;
                }
                tid = edge.next;
            }
        })
    }

    /// Whether nobody in this circle came any further; of a process that is waited for, no thread.
    pub(crate) fn stays_closed(&self, cycle: &[Edge]) -> bool {
        cycle.iter().all(|edge| {
            let stays = self.thread(edge.tid).is_some_and(|thread| self.stays(thread));
            stays && edge.process.is_none_or(|pid| self.is_stuck(pid))
        })
    }

    /// The thread that all the waiting of `start` is about: from there no wait leads any further.
    pub(crate) fn root(&self, start: i32) -> i32 {
        let (mut tid, mut seen) = (start, BTreeSet::new());
        loop {
            seen.insert(tid);
            let by_edge = self.edges.get(&tid).map(|edge| edge.next);
            let next = by_edge.or_else(|| self.who_could_wake(tid, &seen));
            match next.filter(|next| !seen.contains(next) && self.thread(*next).is_some()) {
                Some(next) => tid = next,
                None => return tid,
            }
        }
    }

    /// Whoever waits for an event waits for any other thread of its process: for one that does
    /// something, or waits for something else than an event, and not in the end for this one.
    fn who_could_wake(&self, tid: i32, seen: &BTreeSet<i32>) -> Option<i32> {
        let thread = self.thread(tid).filter(|thread| matches!(thread.wait, Wait::Futex { .. }))?;
        let is_event = |other: &Thread| matches!(other.wait, Wait::Futex { owner: None, .. });
        let leads_back = |other: i32| {
            let (mut at, mut left) = (other, self.edges.len());
            while let (Some(edge), false) = (self.edges.get(&at), left == 0) {
                (at, left) = (edge.next, left - 1);
            }
            seen.contains(&at)
        };
        let mut others = self.threads_of(thread.pid).into_iter();
        others.find(|other| !is_event(other) && !leads_back(other.tid)).map(|other| other.tid)
    }

    /// What a thread waits for and where, in one line.
    pub(crate) fn line(&self, thread: &Thread) -> String {
        let who = format!("thread {} `{}`", thread.tid, thread.name);
        let place = own_place(thread).map(|at| format!(", in {}", place_words(at)));
        let place = place.unwrap_or_default();
        let Some(mut what) = waits_on(&thread.wait) else {
            return format!("{who} runs{place}");
        };
        if let Some(edge) = self.edges.get(&thread.tid)
            && thread.wait == Wait::InterpreterLock
        {
            what = format!("the interpreter's lock, held by thread {}", edge.next);
        }
        format!("{who} waits for {what}{place}")
    }
}

/// Whether a wait has no time limit. Whoever waits for an interpreter's lock asks again and again.
pub(crate) fn waits_endlessly(thread: &Thread) -> bool {
    match &thread.wait {
        Wait::InterpreterLock => true,
        Wait::Futex { untimed, .. } | Wait::Descriptors { untimed, .. } => *untimed,
        Wait::Child { endless, .. } | Wait::Syscall { endless, .. } => *endless,
        Wait::None | Wait::Unavailable(_) => false,
    }
}

/// What a thread's futex belongs to.
pub(crate) fn lock_kind(thread: &Thread) -> Option<LockKind> {
    lock_of(thread).map(|lock| lock.kind)
}

/// What a thread's futex belongs to, whole.
pub(crate) fn lock_of(thread: &Thread) -> Option<&LockRecord> {
    match &thread.wait {
        Wait::Futex { lock, .. } => lock.as_ref(),
        _ => None,
    }
}

/// The frames of a thread, innermost first.
pub(crate) fn frames(thread: &Thread) -> &[FrameRecord] {
    thread.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default()
}

/// Whether the innermost of the thread's frames for which `is_it` holds had not returned between
/// the looks.
pub(crate) fn still_in(thread: &Thread, is_it: fn(&Location) -> bool) -> bool {
    let frames = frames(thread);
    let at = frames.iter().position(|frame| frame.location.known().is_some_and(is_it));
    let common = thread.progress.known().map_or(0, |progress| progress.frames_common);
    at.is_some_and(|at| common >= frames.len() - at)
}

/// The functions in which a thread waits for CPython's lock.
fn interpreters_wait(location: &Location) -> bool {
    const FUNCTIONS: [&str; 4] = ["take_gil", "drop_gil", "PyEval_", "PyGILState_"];
    let function = location.function.as_deref().unwrap_or_default();
    is_interpreter(&location.module) && FUNCTIONS.iter().any(|name| function.contains(name))
}

/// The first place of a thread that is neither a runtime's nor a standard library's; where all are,
/// the first of the interpreter's, or at least one with a name.
pub(crate) fn own_place(thread: &Thread) -> Option<&Location> {
    let places = || frames(thread).iter().filter_map(|frame| frame.location.known());
    let is_own = |place: &&Location| {
        !is_runtime(&place.module) && !place.function.as_deref().is_some_and(is_of_standard_library)
    };
    let named = || places().find(|place| place.function.is_some());
    let interpreters =
        || places().find(|place| is_interpreter(&place.module) && place.function.is_some());
    places().find(is_own).or_else(interpreters).or_else(named)
}

/// `function (module)`.
pub(crate) fn place_words(place: &Location) -> String {
    let module = file_name(&place.module);
    match &place.function {
        Some(function) => format!("{function} ({module})"),
        None => format!("{module}+{:#x}", place.offset),
    }
}
