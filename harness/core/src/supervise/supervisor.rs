//! The supervisor's loop: one poll over signals, sockets and pipes, one waiter for everything.
//!
//! Deliberately absent: where jobs come from (`worker`, `command`).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use hotfire_sys::signal::{Caught, SIGCHLD, SIGINT, SIGTERM, SignalStream};
use hotfire_sys::{
    Deadline, Polled, Stop, Tracee, WaitEvent, is_thread_of, monotonic_ns, poll_ready, procfs,
    wait_any,
};

use super::capture::THREADS_MAX;
use super::halt::Deferred;
use super::nursery::{Forkserver, Nursery};
use super::run::Run;
use super::tasks::{Role, Tasks};
use crate::observe::{Descendant, DescendantEnd, Ending, ForkRecord};
use crate::symbolize::Symbolizer;
use crate::unwind::Unwinder;

/// Events handled in one go, before pipes, deadlines and limits get their turn: a child that makes
/// them faster than they are handled must not keep us busy for ever.
const TURN_EVENTS: u32 = 256;
/// Processes of a run that are listed; the others are ended all the same.
const DESCENDANTS_MAX: usize = 4096;

/// A supervisor: one thread, one run at a time.
#[derive(Debug)]
pub(super) struct Supervisor {
    signals: SignalStream,
    manners: Manners,
    pub(super) launcher_program: String,
    pub(super) tasks: Tasks,
    pub(super) launcher: Option<Nursery>,
    pub(super) forkserver: Option<Forkserver>,
    /// What the next child of a nursery is.
    pub(super) expected: Option<Role>,
    /// Why the last request for a child failed.
    pub(super) launch_failure: Option<String>,
    pub(super) run: Option<Run>,
    /// New tracees at their first stop, whose parent's event has not been read yet.
    strangers: Vec<i32>,
    /// Events that came while threads were being stopped.
    pub(super) deferred: Deferred,
    pub(super) symbolizer: Symbolizer,
    pub(super) unwinder: Unwinder,
    /// What is read of a process that is held now must be over by then.
    pub(super) deadline: Deadline,
    /// Children that are none of the run's: an exec kept them, or they pass its output on.
    pub(super) inherited: BTreeSet<i32>,
    /// Somebody wants us to end.
    pub(super) terminating: bool,
    /// The signal by which they said so.
    pub(super) asked_by: Option<i32>,
    /// Somebody wants the command to end, and no more runs of it.
    pub(super) is_interrupted: bool,
    /// The last turn ended before its events did.
    pub(super) backlog: bool,
}

/// What a signal to this process means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// A front's worker: SIGTERM and SIGINT ask it to end.
    Worker,
    /// It stands where the user's own command would: what somebody sends is the command's.
    Wrapper,
    /// It looks at processes of others: what somebody sends asks it to end, and they go on.
    Visitor,
}

impl Manners {
    fn asks_to_end(self, signal: i32) -> bool {
        match self {
            Self::Worker => [SIGTERM, SIGINT].contains(&signal),
            Self::Wrapper => false,
            Self::Visitor => signal != SIGCHLD,
        }
    }
}

impl Supervisor {
    /// One that has nothing to watch yet. `signals` must have SIGCHLD among them.
    pub(super) fn new(signals: SignalStream, manners: Manners, launcher_program: String) -> Self {
        Self {
            signals,
            manners,
            launcher_program,
            tasks: Tasks::default(),
            launcher: None,
            forkserver: None,
            expected: None,
            launch_failure: None,
            run: None,
            strangers: Vec::new(),
            deferred: Deferred::default(),
            symbolizer: Symbolizer::default(),
            unwinder: Unwinder::default(),
            deadline: Deadline::default(),
            inherited: procfs::own_children().into_iter().collect(),
            terminating: false,
            asked_by: None,
            is_interrupted: false,
            backlog: false,
        }
    }

    fn is_untraced(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.job.traced)
    }

    pub(super) fn manners(&self) -> Manners {
        self.manners
    }

    /// Becomes readable when a signal has come.
    pub(super) fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Handles events until `done` or until somebody wants us to end, at most `limit_ns`.
    pub(super) fn pump_until(&mut self, limit_ns: u64, done: impl Fn(&Self) -> bool) {
        self.pump_on_until(limit_ns, |supervisor| supervisor.terminating || done(supervisor));
    }

    /// Handles events until `done`, at most `limit_ns`: what must be done on the way out, too.
    pub(super) fn pump_on_until(&mut self, limit_ns: u64, done: impl Fn(&Self) -> bool) {
        let deadline = monotonic_ns().saturating_add(limit_ns);
        while !done(self) {
            let now = monotonic_ns();
            if now >= deadline {
                return;
            }
            self.pump(deadline - now);
        }
    }

    /// Waits at most `timeout_ns` and handles what has come.
    pub(super) fn pump(&mut self, timeout_ns: u64) {
        let sockets = [
            self.launcher.as_ref().map(|nursery| nursery.socket.as_fd()),
            self.forkserver
                .as_ref()
                .filter(|server| !server.closed)
                .map(|server| server.socket.as_fd()),
            self.run.as_ref().and_then(|run| run.stdout.descriptor()),
            self.run.as_ref().and_then(|run| run.stderr.descriptor()),
        ];
        let present: Vec<usize> = (0..sockets.len())
            .filter(|index| sockets.get(*index).is_some_and(Option::is_some))
            .collect();
        let mut polled = vec![self.signals.as_fd()];
        polled.extend(sockets.iter().flatten());
        let timeout_ns = if self.backlog { 0 } else { timeout_ns };
        let streams = self.run.as_ref().map(|run| [run.stdout.onward(), run.stderr.onward()]);
        let written: Vec<BorrowedFd<'_>> = streams.into_iter().flatten().flatten().collect();
        let readers = self.run.as_ref().map(|run| [run.stdout.reader(), run.stderr.reader()]);
        let [out, error] = readers.unwrap_or_default();
        let watched: Vec<BorrowedFd<'_>> = [out, error].into_iter().flatten().collect();
        let all = Polled { read: &polled, written: &written, watched: &watched };
        let Ok(ready) = poll_ready(&all, timeout_ns) else { return };
        let closed = ready.iter().skip(polled.len() + written.len()).map(|ready| ready.hung_up);
        let lost: Vec<bool> = closed.collect();
        let lost_of = |index: usize| lost.get(index).copied().unwrap_or_default();
        let lost =
            [out.is_some() && lost_of(0), error.is_some() && lost_of(usize::from(out.is_some()))];
        let is_ready = |source: usize| {
            let position = present.iter().position(|index| *index == source);
            position.and_then(|at| ready.get(at + 1)).is_some_and(|ready| ready.readable)
        };
        let came = [0, 1, 2, 3].map(is_ready);
        let signalled = ready.first().is_some_and(|ready| ready.readable);
        self.handle(came, signalled);
        if let Some(run) = &mut self.run {
            let streams = [&mut run.stdout, &mut run.stderr].into_iter().zip(lost);
            streams.filter(|(_, lost)| *lost).for_each(|(stream, _)| stream.lose_reader());
        }
    }

    fn handle(&mut self, [launcher, forkserver, stdout, stderr]: [bool; 4], signalled: bool) {
        let mut caught = Vec::new();
        if signalled {
            caught = self.signals.take().unwrap_or_default();
        }
        if self.manners == Manners::Wrapper && !caught.is_empty() {
            self.drop_pending(&mut caught);
        }
        if self.manners != Manners::Wrapper {
            let asks = |caught: &&Caught| self.manners.asks_to_end(caught.signal);
            self.asked_by = self.asked_by.or(caught.iter().find(asks).map(|one| one.signal));
            self.terminating |= self.asked_by.is_some();
        }
        if signalled || self.backlog {
            self.take_events();
        }
        if self.manners == Manners::Wrapper {
            // Only now is known which of them the command got by itself.
            caught.into_iter().for_each(|caught| self.pass_on(caught));
        }
        if launcher {
            self.on_launcher_reply();
        }
        if forkserver {
            self.on_forkserver_reply();
        }
        if let Some(run) = &mut self.run {
            if stdout {
                run.stdout.take();
            }
            if stderr {
                run.stderr.take();
            }
            run.stdout.pass_on();
            run.stderr.pass_on();
        }
    }

    fn take_events(&mut self) {
        self.backlog = false;
        for _ in 0..TURN_EVENTS {
            let event = match self.deferred.take() {
                Some(event) => Ok(Some(event)),
                None => wait_any(),
            };
            match event {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) | Err(_) => return self.meet_strangers(),
            }
        }
        self.backlog = true;
    }

    fn on_event(&mut self, event: WaitEvent) {
        let tid = event.tid;
        let tracee = Tracee::new(tid);
        match event.stop {
            Stop::Exited(status) => return self.on_end(tid, Ending::Exited(status)),
            Stop::Signaled(signal) => return self.on_end(tid, Ending::Signaled(signal)),
            _ if self.is_letting_go() => return self.let_go(event),
            // What it gets is its own matter.
            Stop::Signal(signal) if self.manners == Manners::Visitor => {
                // It may have been killed meanwhile; then its end comes next.
                let _ = tracee.resume(signal);
                return;
            }
            // Of an untraced child only stops by job control are told.
            Stop::Signal(signal) if self.is_untraced() => return self.on_group_stop(tid, signal),
            Stop::Signal(signal) => return self.on_signal(tid, signal),
            Stop::GroupStop(signal) => {
                // It may have been killed meanwhile.
                let _ = tracee.listen();
                return self.on_group_stop(tid, signal);
            }
            Stop::Fork | Stop::Clone => self.on_birth(event),
            Stop::Exec => {
                self.tasks.exec(tid, event.other.unwrap_or(tid));
                if let Some(run) = &mut self.run {
                    // The program that met them is gone.
                    run.first_chances.remove(&tid);
                    run.former.forget(tid);
                    run.forks.remove(&tid);
                    run.births.forget(tid);
                    run.sampling.forget(tid);
                    run.has_program |= run.root == Some(tid);
                }
            }
            // Its parent's event, which tells what it is, comes within the same round of waits.
            Stop::Attached if !self.tasks.knows(tid) => return self.strangers.push(tid),
            Stop::Attached => {}
            Stop::Exiting => self.on_exiting(tid),
            Stop::Other => {}
        }
        // It may have been killed meanwhile; then its end comes next.
        let _ = tracee.resume(0);
    }

    pub(super) fn on_birth(&mut self, event: WaitEvent) {
        let Some(tid) = event.other else { return };
        let (parent_tid, by_clone) = (event.tid, event.stop == Stop::Clone);
        if self.tasks.is_old_news(tid) {
            // A thread that was met before its maker's event.
            if let Some(process) = self.tasks.process_of(tid).filter(|it| by_clone && *it != tid) {
                self.note_birth(process, parent_tid);
            }
            return;
        }
        self.introduce(tid, parent_tid, by_clone);
        if self.was_stranger(tid) {
            // It may have been killed meanwhile; then its end comes next.
            let _ = Tracee::new(tid).resume(0);
        }
    }

    fn introduce(&mut self, tid: i32, parent_tid: i32, by_clone: bool) {
        let parent = self.tasks.process_of(parent_tid).unwrap_or(parent_tid);
        if !by_clone {
            return self.add_process(tid, parent, Some(parent_tid));
        }
        // clone makes threads, and processes too: the kernel knows which.
        let process = if is_thread_of(tid, parent) {
            parent
        } else {
            // One that cannot be asked is gone already.
            let Ok(masks) = procfs::signal_masks(tid) else { return };
            masks.process
        };
        if process == tid {
            return self.add_process(tid, parent, Some(parent_tid));
        }
        self.tasks.add_thread(tid, process);
        self.note_birth(process, parent_tid);
    }

    /// Takes a task out of the strangers, if it is one.
    fn was_stranger(&mut self, tid: i32) -> bool {
        let before = self.strangers.len();
        self.strangers.retain(|stranger| *stranger != tid);
        self.strangers.len() < before
    }

    /// New tracees whose parent's event did not come: the kernel knows what they are.
    fn meet_strangers(&mut self) {
        for tid in std::mem::take(&mut self.strangers) {
            self.meet(tid);
            // It may have been killed meanwhile; then its end comes next.
            let _ = Tracee::new(tid).resume(0);
        }
    }

    fn meet(&mut self, tid: i32) {
        if self.tasks.knows(tid) {
            return;
        }
        let Ok(masks) = procfs::signal_masks(tid) else { return };
        self.tasks.met_early(tid);
        if masks.process == tid {
            let parent = procfs::stat(tid).map_or(0, |stat| stat.parent);
            self.add_process(tid, parent, None);
        } else {
            self.tasks.add_thread(tid, masks.process);
        }
    }

    /// A process is new. `maker` is the thread that made it, where that is known.
    pub(super) fn add_process(&mut self, pid: i32, parent: i32, maker: Option<i32>) {
        let of_ours = self.tasks.role(parent).is_some_and(|role| !role.is_of_run());
        let expected = if of_ours { self.expected.take() } else { None };
        match (expected, &mut self.run) {
            (Some(Role::Forkserver), _) => {
                self.tasks.add_process(pid, Role::Forkserver);
                if let Some(server) = &mut self.forkserver {
                    server.pid = Some(pid);
                }
            }
            (Some(role), Some(run)) => {
                self.tasks.add_process(pid, role);
                run.root = Some(pid);
            }
            (_, Some(_)) => self.add_descendant(pid, parent, maker),
            // A forkserver's own helper (an engine's prepare made it): it ends with its parent.
            (_, None) => self.tasks.add_process(pid, Role::Forkserver),
        }
    }

    fn add_descendant(&mut self, pid: i32, parent: i32, maker: Option<i32>) {
        let mut threads = self.tasks.threads_of(parent);
        threads.truncate(THREADS_MAX);
        let Some(run) = &mut self.run else { return };
        if threads.len() > 1
            && let Ok(lines) = procfs::maps(pid)
        {
            // Its C library takes the stacks of threads away that it has not.
            run.former.inherit(parent, pid, lines);
        }
        run.forks.insert(pid, ForkRecord { parent, threads });
        let index = run.descendants.len();
        self.tasks.add_process(pid, Role::Descendant(index));
        if run.ending {
            // It was born while the rest is being ended.
            let _ = hotfire_sys::end_process(pid);
        }
        if index < DESCENDANTS_MAX {
            let born_in_step = run.step_in_flight(maker);
            run.descendants.push(Descendant {
                pid,
                parent,
                command: String::new(),
                born_in_step,
                detached: false,
                end: DescendantEnd::EndedWithRun,
            });
        } else if !run.descendants_cut {
            run.descendants_cut = true;
            self.soft_error(format!(
                "only the first {DESCENDANTS_MAX} of the processes that the child made are listed"
            ));
        }
    }

    /// The command line is still there when a process is about to end, and gone right after.
    fn on_exiting(&mut self, tid: i32) {
        // One that is gone already has none, and tells nothing more.
        let status = Tracee::new(tid).event_message().unwrap_or(0);
        self.note_undelivered(tid, status);
        self.note_end(tid, status);
        self.note_held(tid, status);
        self.note_kill(tid, status);
        if let Some(Role::Descendant(index)) = self.tasks.role(tid)
            && let Some(run) = &mut self.run
            && !run.ending
            && let Some(descendant) = run.descendants.get_mut(index)
        {
            descendant.command = procfs::command_line(tid);
        }
    }

    fn on_end(&mut self, tid: i32, ending: Ending) {
        if self.inherited.remove(&tid) {
            // No process of the run, whoever gets its id next.
            return;
        }
        if self.was_stranger(tid) || !self.tasks.knows(tid) {
            // Its parent's event is still to come, and must not bring it back.
            self.tasks.met_early(tid);
        }
        if let Some(run) = &mut self.run {
            // The next thread with this id is another one.
            run.first_chances.remove(&tid);
            run.former.forget(tid);
            run.forks.remove(&tid);
            run.sampling.forget(tid);
        }
        let Some(role) = self.tasks.remove(tid) else { return };
        match role {
            Role::Launcher => {
                if self.launcher.as_ref().is_some_and(|launcher| launcher.pid == tid) {
                    self.launcher = None;
                    self.launch_failure = Some("the launcher ended".to_owned());
                }
            }
            Role::Forkserver => {
                if self.forkserver.as_ref().is_some_and(|server| server.pid == Some(tid)) {
                    let how = words(&ending);
                    if let Some(server) = &mut self.forkserver {
                        server.pid = None;
                    }
                    self.forkserver_ended(format!("the forkserver ended by itself ({how})"));
                }
            }
            Role::Root => {
                // One that we end has no ending of its own.
                if let Some(run) = &mut self.run
                    && !run.ending
                {
                    run.root_end = Some((ending, monotonic_ns()));
                }
            }
            Role::Descendant(index) => {
                let end = match ending {
                    Ending::Signaled(signal) => DescendantEnd::Signaled(signal),
                    Ending::Exited(status) => DescendantEnd::Exited(status),
                    _ => DescendantEnd::EndedWithRun,
                };
                if let Some(run) = &mut self.run {
                    run.descendant_ended(index, end);
                }
            }
        }
    }

    /// Notes what went wrong while observing.
    pub(super) fn soft_error(&mut self, text: String) {
        if let Some(run) = &mut self.run
            && run.soft_errors.len() < 32
        {
            run.soft_errors.push(text);
        }
    }
}

fn words(ending: &Ending) -> String {
    match ending {
        Ending::Exited(status) => format!("exit status {status}"),
        Ending::Signaled(signal) => hotfire_sys::signal::name(*signal),
        _ => "unknown".to_owned(),
    }
}

/// Strings for exec; one with a NUL inside is cut there.
pub(crate) fn c_strings(strings: &[String]) -> Vec<CString> {
    strings
        .iter()
        .map(|text| CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default())
        .collect()
}
