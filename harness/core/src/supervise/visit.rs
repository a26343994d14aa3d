//! A look at processes that run, and were not started by us: all their threads are seized, looked at
//! as those of a run that does not go on, and let go.
//!
//! Nothing stays stopped: they are let go whatever happens, and where we die the kernel lets them
//! go. What was stopped by job control before stays so. Deliberately absent: who may be looked at
//! (the command asks that before), what it means (`diagnose`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::signal::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SignalStream};
use hotfire_sys::{SysError, Tracee, is_copy, monotonic_ns, procfs, target, threads_before};

use super::capture::THREADS_MAX;
use super::command::{LET_GO_NS, Watched, job};
use super::looks::{LOOKS, Looks};
use super::output::Collector;
use super::run::Run;
use super::supervisor::{Manners, Supervisor};
use super::tasks::Role;
use crate::observe::{Ending, ForkRecord, Observation, Stall, StallReason};

/// What asks us to end, beside what tells of stops.
const SIGNALS: [i32; 5] = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT];
/// Processes that are looked at, the one that was asked for among them.
const PROCESSES_MAX: usize = 64;
/// How often a process is asked for its threads, until it has no new ones.
const ROUNDS_MAX: u32 = 16;
/// No process is looked at for the first time later than this.
const BEGIN_NS: u64 = 3_000_000_000;

/// Why there is nothing to tell of a process.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// It may not be traced, or is gone.
    #[error("{0}")]
    Seize(SysError),
    /// It ended meanwhile.
    #[error("it ended while it was looked at, {0}")]
    Ended(String),
    /// Somebody sent this process that signal; the others go on.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// The kernel gives no signalfd.
    #[error("{0}")]
    System(SysError),
}

/// Looks at a process and, unless it shall be looked at `alone`, at those that it made. Takes about
/// 400 ms, of which each thread stands some; they go on when this returns.
///
/// # Errors
/// It may not be traced, ended meanwhile, or somebody wants us to end.
pub fn visit(pid: i32, alone: bool) -> Result<Observation, VisitError> {
    let signals = SignalStream::new(&SIGNALS).map_err(VisitError::System)?;
    let mut supervisor = Supervisor::new(signals, Manners::Visitor, String::new());
    supervisor.begin_visit(pid);
    let seen = match supervisor.enter(pid, alone) {
        Ok(stopped) => Ok((supervisor.look_closely(LOOKS), stopped)),
        Err(error) => Err(VisitError::Seize(error)),
    };
    supervisor.leave();
    let (looks, stopped) = seen?;
    supervisor.end_visit(looks, &stopped)
}

impl Supervisor {
    fn begin_visit(&mut self, pid: i32) {
        let mut words = procfs::command_words(pid);
        if words.is_empty() {
            // It has taken its own away.
            words.extend(procfs::stat(pid).map(|stat| stat.name));
        }
        let watched = Watched {
            words: words.into_iter().map(Into::into).collect(),
            search_path: None,
            timeout_ms: None,
            grace_ms: 0,
            keeps_leftovers: true,
            traced: true,
        };
        let mut run = Run::of_command(job(&watched), Collector::nothing(), Collector::nothing());
        run.root = Some(pid);
        self.run = Some(run);
    }

    /// Seizes all threads; those that are stopped by job control come back.
    fn enter(&mut self, pid: i32, alone: bool) -> Result<BTreeSet<i32>, SysError> {
        let mut stopped = BTreeSet::new();
        let others = if alone { Vec::new() } else { descendants(pid) };
        let (looked_at, cut) = others.split_at(others.len().min(PROCESSES_MAX - 1));
        for (at, process) in std::iter::once(&pid).chain(looked_at).enumerate() {
            if procfs::stat(*process).is_ok_and(|stat| stat.state == 'T') {
                stopped.insert(*process);
            }
            let role = at.checked_sub(1).map_or(Role::Root, Role::Descendant);
            match self.seize(*process, role) {
                Err(error) if at == 0 => return Err(error),
                Err(error) if !error.is_gone() => {
                    self.soft_error(format!("process {process} is not looked at: {error}"));
                }
                _ => self.note_fork(*process),
            }
            // What they make meanwhile waits for us.
            self.pump(0);
        }
        if !cut.is_empty() {
            let count = cut.len();
            self.soft_error(format!("{count} more processes than are looked at"));
        }
        Ok(stopped)
    }

    /// Seizes the threads of a process until it has no others.
    fn seize(&mut self, process: i32, role: Role) -> Result<(), SysError> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        for _ in 0..ROUNDS_MAX {
            let threads = procfs::threads(process)?.into_iter();
            let new: Vec<i32> = threads.filter(|tid| !self.tasks.knows(*tid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for tid in new {
                match Tracee::new(tid).visit() {
                    Ok(()) => {}
                    Err(error) if error.is_gone() => continue,
                    Err(error) => match target(tid) {
                        // Made by one that is seized: so is it.
                        Ok(seen) if seen.tracer == own => {}
                        // A leader that has ended before its threads.
                        Ok(seen) if matches!(seen.state, 'Z' | 'X') => {}
                        _ => return Err(error),
                    },
                }
                if tid == process {
                    self.tasks.add_process(process, role);
                } else {
                    self.tasks.add_thread(tid, process);
                }
            }
        }
        Ok(())
    }

    /// Of a process that was forked before anybody watched: what can still be told of that moment.
    fn note_fork(&mut self, pid: i32) {
        let parent = procfs::stat(pid).map_or(0, |stat| stat.parent);
        if parent == 0 || !is_copy(pid, parent) {
            return;
        }
        let mut threads = threads_before(parent, pid);
        threads.truncate(THREADS_MAX);
        if let Some(run) = &mut self.run {
            run.forks.entry(pid).or_insert(ForkRecord { parent, threads });
        }
    }

    /// Before a visitor looks at the next process: lets the one before go on. Whether this one
    /// shall be left out, because it is gone or time is over.
    pub(super) fn goes_on_between(&mut self, pid: i32) -> bool {
        if self.manners() != Manners::Visitor {
            return false;
        }
        self.pump(0);
        while self.backlog {
            self.pump(0);
        }
        let begun_ns = self.run.as_ref().map_or(0, |run| run.begun_ns);
        let is_late = monotonic_ns().saturating_sub(begun_ns) > BEGIN_NS;
        if is_late && !self.terminating {
            self.soft_error(format!("process {pid} is not looked at: out of time"));
        }
        is_late || self.terminating || self.tasks.role(pid).is_none()
    }

    /// Lets all of them go.
    fn leave(&mut self) {
        if let Some(run) = &mut self.run {
            run.letting_go = true;
        }
        for (pid, _) in self.tasks.of_run() {
            for tid in self.tasks.threads_of(pid) {
                if Tracee::new(tid).interrupt().is_err() {
                    // It ends already.
                    self.tasks.release(tid);
                }
            }
        }
        self.pump_on_until(LET_GO_NS, |supervisor| supervisor.tasks.of_run().is_empty());
        for (pid, _) in self.tasks.of_run() {
            // One in the midst of disk I/O; with our end the kernel lets it go.
            self.soft_error(format!("process {pid} was let go only at the end of this command"));
        }
    }

    fn end_visit(
        &mut self,
        looks: Looks,
        stopped: &BTreeSet<i32>,
    ) -> Result<Observation, VisitError> {
        let lost = || VisitError::Ended("and nothing was seen of it".to_owned());
        let run = self.run.take().ok_or_else(lost)?;
        if let Some(signal) = self.asked_by {
            return Err(VisitError::Interrupted(signal));
        }
        match &run.root_end {
            Some((Ending::Exited(status), _)) => {
                return Err(VisitError::Ended(format!("with status {status}")));
            }
            Some((Ending::Signaled(signal), _)) => {
                let name = hotfire_sys::signal::name(*signal);
                return Err(VisitError::Ended(format!("by {name}")));
            }
            Some(_) => return Err(lost()),
            None if looks.threads.is_empty() => return Err(lost()),
            None => {}
        }
        let Looks { mut threads, mut processes } = looks;
        for process in &mut processes {
            process.stopped = stopped.contains(&process.pid);
        }
        // Under our hands they look like all others.
        for thread in threads.iter_mut().filter(|thread| stopped.contains(&thread.pid)) {
            thread.state = 'T';
        }
        let stall = Stall { reason: StallReason::AskedFor, quiet_us: 0, threads, processes };
        Ok(Observation {
            ending: Ending::GoesOn,
            descendants: Vec::new(),
            stall: Some(stall),
            ..run.finish()
        })
    }
}

/// All processes below this one, the nearest first.
fn descendants(pid: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in procfs::processes().unwrap_or_default() {
        if let Ok(stat) = procfs::stat(process) {
            children.entry(stat.parent).or_default().push(process);
        }
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        // Each has one parent: none comes twice.
        found.extend(children.remove(&parent).unwrap_or_default());
        at += 1;
    }
    found.split_off(1)
}
