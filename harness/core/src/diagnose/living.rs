//! Processes that go on: what their threads do and wait for, and which of the rules about hangs hold
//! of one that is alive.
//!
//! A run that did not end in time is known to hang; of a process that somebody asked about nothing is
//! known. So only rules count that exclude its health, with a sign more each where the outside could
//! end a wait. Deliberately absent: busy loops, lost wake-ups and blocked reads, in which an idle or
//! busy server looks the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::finding::FindingThread;
use super::rule::{Rule, Seen, sign};
use super::rules::{HELD_ACROSS_FORK, LOCKS_OF_EACH_OTHER};
use super::signs::line;
use super::stuck;
use super::threads::finding_thread;
use super::wait_graph::{WaitGraph, lock_kind};
use crate::observe::{LockKind, Observation, ProcessRecord, Stall, StallReason, Thread, Wait};

/// A process that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LivingProcess {
    /// The process.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// Its command line.
    pub command: String,
    /// It was forked from its parent and has not exec'ed since.
    pub forked: bool,
    /// Somebody had stopped it before (SIGSTOP); it stays so.
    pub stopped: bool,
    /// Its threads, the first one first.
    pub threads: Vec<LivingThread>,
}

/// A thread that goes on, with its place in the wait graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LivingThread {
    /// What it does, and its stack.
    #[serde(flatten)]
    pub thread: FindingThread,
    /// The thread that holds what it waits for, or that must end; of a process its leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<i32>,
    /// How long it was watched, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_ms: Option<u64>,
    /// How much of that it was on a processor, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// All looks found it in the same system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_call: Option<bool>,
}

/// The processes of an observation that was asked for; none of another one.
#[must_use]
pub fn living_processes(observation: &Observation) -> Vec<LivingProcess> {
    let Some(stall) = asked_for(observation) else { return Vec::new() };
    let graph = WaitGraph::new(stall);
    let process = |process: &ProcessRecord| LivingProcess {
        pid: process.pid,
        parent: process.parent,
        command: process.command.clone(),
        forked: process.fork.is_some(),
        stopped: process.stopped,
        threads: graph.threads_of(process.pid).into_iter().map(|it| living(it, &graph)).collect(),
    };
    stall.processes.iter().map(process).collect()
}

fn living(thread: &Thread, graph: &WaitGraph<'_>) -> LivingThread {
    let progress = thread.progress.known();
    LivingThread {
        thread: finding_thread(thread),
        owner: graph.edge(thread.tid).map(|edge| edge.next),
        watched_ms: progress.map(|progress| progress.over_us / 1000),
        cpu_ms: progress.map(|progress| progress.cpu_us / 1000),
        same_call: progress.map(|progress| progress.same_call),
    }
}

fn asked_for(observation: &Observation) -> Option<&Stall> {
    observation.stall.as_ref().filter(|stall| stall.reason == StallReason::AskedFor)
}

/// The rules about processes that go on, the first that fires decides.
pub const LIVING_RULES: &[Rule] = &[
    Rule {
        name: "deadlock",
        class: "deadlock",
        text: "threads wait in a circle",
        signs: &[
            sign("cycle", stuck::has_cycle),
            sign("no-progress", stuck::cycle_stays),
            sign("threads-alone", is_of_threads),
        ],
    },
    HELD_ACROSS_FORK,
    Rule {
        name: "fork-orphaned-lock",
        class: "fork-orphaned-lock",
        text: "a forked process waits for threads that only its parent has",
        signs: &[
            sign("lost-threads", stuck::has_lost_threads),
            sign("waits-for-wake-up", stuck::waits_for_wake_up),
            sign("no-progress", stuck::orphan_stays),
            sign("nobody-outside", nobody_outside),
        ],
    },
    LOCKS_OF_EACH_OTHER,
    Rule {
        name: "interpreter-lock-held",
        class: "interpreter-lock-held",
        text: "native code keeps the interpreter's lock while others wait for it",
        signs: &[
            sign("waited-for", stuck::interpreter_is_waited_for),
            sign("held-in-native-code", stuck::is_held_in_native_code),
            sign("holder-stays", stuck::holder_stays),
            sign("not-stopped", holder_is_not_stopped),
        ],
    },
];

/// Pipes of a process lead to others, too, which nobody looked at; and a signal may end its wait for
/// a child.
fn is_of_threads(facts: &Facts<'_>) -> Option<Seen> {
    let cycle = stuck::cycle(facts).unwrap_or_default();
    cycle.iter().all(|edge| edge.process.is_none()).then_some(Seen::Told)
}

/// All threads of the forked process wait without end, and neither another process nor the handler
/// of a signal can end that.
fn nobody_outside(facts: &Facts<'_>) -> Option<Seen> {
    let (process, _) = stuck::forked(facts)?;
    let stall = facts.observation.stall.as_ref()?;
    let mut threads = stall.threads.iter().filter(|thread| thread.pid == process.pid);
    let inside = threads.all(|thread| match &thread.wait {
        Wait::InterpreterLock => true,
        Wait::Futex { untimed, private, .. } => {
            *untimed && *private && (process.caught.is_empty() || !may_be_posted(thread))
        }
        _ => false,
    });
    let text = "each of its threads waits without end, and no other process or signal can end that";
    inside.then(|| line("wait graph", text.to_owned()))
}

/// What the handler of a signal may do: post a semaphore (signal-safety(7)), of which the locks of
/// languages are made. A lock it may neither take nor release, a condition variable not signal.
fn may_be_posted(thread: &Thread) -> bool {
    matches!(
        lock_kind(thread),
        None | Some(LockKind::Semaphore | LockKind::LanguageLock | LockKind::Unknown)
    )
}

/// One that is stopped keeps whatever it has.
fn holder_is_not_stopped(facts: &Facts<'_>) -> Option<Seen> {
    let pid = stuck::holder(facts)?.pid;
    let stall = facts.observation.stall.as_ref()?;
    let is_stopped = stall.processes.iter().any(|process| process.pid == pid && process.stopped);
    (!is_stopped).then_some(Seen::Told)
}
