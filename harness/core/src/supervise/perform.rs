//! One run from request to observation.

use hotfire_sys::{end_process, monotonic_ns};

use super::protocol::Job;
use super::run::{Run, not_started};
use super::supervisor::Supervisor;
use super::tasks::Role;
use crate::observe::{DescendantEnd, Ending, LaunchMode, Observation};

/// How long a child may take to be born.
const BIRTH_NS: u64 = 20_000_000_000;
/// How long killed processes may take to end.
const END_NS: u64 = 10_000_000_000;

impl Supervisor {
    /// Makes the run and observes it. Nothing of it lives when this returns.
    pub(super) fn perform(&mut self, job: Job) -> Observation {
        if !job.traced {
            let note = (job.mode == LaunchMode::Fork)
                .then(|| "spawned, not forked: the run is not traced".to_owned());
            return self.attempt(job, LaunchMode::Spawn, note);
        }
        if let Err(error) = self.ensure_launcher() {
            let reason = format!("the launcher could not be traced: {error}");
            return not_started(&job, Ending::ObserverLost(reason));
        }
        if job.mode == LaunchMode::Fork {
            match self.ensure_forkserver(&job.host) {
                Ok(()) => {
                    let observation = self.attempt(job.clone(), LaunchMode::Fork, None);
                    match observation.ending {
                        Ending::NotStarted(reason) => return self.fall_back(job, reason),
                        _ => return observation,
                    }
                }
                Err(reason) => return self.fall_back(job, reason),
            }
        }
        self.spawn_run(job, None)
    }

    fn fall_back(&mut self, job: Job, reason: String) -> Observation {
        let note = format!("spawned, not forked: {reason}");
        self.spawn_run(job, Some(note))
    }

    /// A launcher that died (an earlier run may have killed it) costs a second attempt.
    fn spawn_run(&mut self, job: Job, note: Option<String>) -> Observation {
        let observation = self.attempt(job.clone(), LaunchMode::Spawn, note.clone());
        let never_ran = matches!(observation.ending, Ending::NotStarted(_));
        if never_ran && self.launcher.is_none() && self.ensure_launcher().is_ok() {
            return self.attempt(job, LaunchMode::Spawn, note);
        }
        observation
    }

    fn attempt(&mut self, job: Job, mode: LaunchMode, note: Option<String>) -> Observation {
        if self.terminating {
            return asked_to_end(&job);
        }
        let (run, ends) = match Run::new(job.clone(), mode, note) {
            Ok(made) => made,
            Err(error) => return not_started(&job, Ending::NotStarted(error.to_string())),
        };
        self.run = Some(run);
        self.launch_failure = None;
        if let Err(error) = self.request_child(&job, mode, &ends) {
            self.launch_failure = Some(error.to_string());
            if mode == LaunchMode::Spawn {
                // It does not listen: its end is not known yet, or it will end now.
                self.launcher = None;
            }
        }
        drop(ends);
        self.pump_until(BIRTH_NS, |supervisor| {
            supervisor.launch_failure.is_some() || supervisor.run.as_ref().is_none_or(Run::is_born)
        });
        self.expected = None;
        if self.run.as_ref().is_some_and(|run| !run.is_born()) {
            return self.give_up_birth(&job, mode);
        }
        self.watch();
        self.wait_for_leftovers();
        self.end_rest();
        match self.run.take() {
            // What was seen by then looks like a run that passed.
            _ if self.terminating => asked_to_end(&job),
            Some(run) => run.finish(),
            None => not_started(&job, Ending::NotStarted("the run was lost".to_owned())),
        }
    }

    /// The child could not run its program, or comes too late.
    fn give_up_birth(&mut self, job: &Job, mode: LaunchMode) -> Observation {
        let failure = self.launch_failure.take();
        if failure.is_none() && job.traced && !self.terminating {
            self.end_maker(mode);
        }
        self.end_rest();
        self.run = None;
        if self.terminating {
            return asked_to_end(job);
        }
        let reason = failure.unwrap_or_else(|| "the child was not born in time".to_owned());
        not_started(job, Ending::NotStarted(reason))
    }

    /// Lets the run go on until the child has ended or will not by itself.
    pub(super) fn watch(&mut self) {
        loop {
            let Some(run) = &self.run else { return };
            if run.root_end.is_some() || run.stall.is_some() || self.terminating {
                return;
            }
            let deadline = monotonic_ns() + run.sampler.tick_ns();
            self.pump_until(deadline.saturating_sub(monotonic_ns()), |supervisor| {
                supervisor.run.as_ref().is_none_or(|run| run.root_end.is_some())
                    || supervisor.tasks.of_run().len() > supervisor.processes_max()
            });
            if self.run.as_ref().is_some_and(|run| run.root_end.is_none()) {
                self.look_at_mappings();
                self.sample_holdings();
                self.check_border();
                self.check_progress();
            }
        }
    }

    fn processes_max(&self) -> usize {
        self.run.as_ref().map_or(usize::MAX, |run| run.job.limits.processes as usize)
    }

    /// Gives processes that outlived the child time to end by themselves, then notes who stays.
    pub(super) fn wait_for_leftovers(&mut self) {
        let Some(run) = &self.run else { return };
        let Some((_, ended_ns)) = run.root_end else { return };
        self.adopt_orphans();
        if self.tasks.of_run().is_empty() {
            return;
        }
        let Some(run) = &self.run else { return };
        let grace_ns = run.job.limits.grace_ms * 1_000_000;
        self.pump_until(grace_ns, |supervisor| {
            let left = supervisor.tasks.of_run().len();
            left == 0 || left > supervisor.processes_max()
        });
        if self.terminating {
            // Their time was not over.
            return;
        }
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let of_command = self.run.as_ref().is_some_and(Run::is_command);
        let own_session = hotfire_sys::procfs::stat(own).ok().map(|stat| stat.session);
        let own_session = own_session.filter(|_| of_command);
        let outlived_us = monotonic_ns().saturating_sub(ended_ns) / 1000;
        for (pid, role) in self.tasks.of_run() {
            let Role::Descendant(index) = role else { continue };
            let command = hotfire_sys::procfs::command_line(pid);
            let stat = hotfire_sys::procfs::stat(pid).ok();
            let Some(run) = &mut self.run else { return };
            let root = run.root.unwrap_or(0);
            if let Some(descendant) = run.descendants.get_mut(index) {
                descendant.command = command;
                let session = stat.as_ref().map(|stat| stat.session);
                descendant.detached = match own_session {
                    // A command shares ours; whoever left it, detached itself.
                    Some(own) => session != Some(own),
                    None => session == Some(pid) || descendant.parent != root,
                };
                descendant.end = DescendantEnd::LeftBehind { outlived_us };
            }
        }
    }

    /// Ends every process of the run and reaps it.
    pub(super) fn end_rest(&mut self) {
        if let Some(run) = &mut self.run {
            run.ending = true;
        }
        let deadline = monotonic_ns() + END_NS;
        while !self.tasks.of_run().is_empty() && monotonic_ns() < deadline {
            for (pid, _) in self.tasks.of_run() {
                // A process that is gone already will be reaped below.
                let _ = end_process(pid);
            }
            self.pump_on_until(20_000_000, |supervisor| supervisor.tasks.of_run().is_empty());
            // Whoever was killed in the midst of a fork has left a child.
            self.adopt_orphans();
        }
        for (pid, _) in self.tasks.of_run() {
            self.tasks.remove(pid);
            self.soft_error(format!(
                "process {pid} did not end within {} s",
                END_NS / 1_000_000_000
            ));
        }
    }
}

fn asked_to_end(job: &Job) -> Observation {
    not_started(job, Ending::ObserverLost("the supervisor was asked to end".to_owned()))
}
