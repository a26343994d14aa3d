//! Runs without ptrace: for leak checkers, for programs that trace themselves, and for races that
//! the stops at thread creation would hide.
//!
//! Deliberately absent: what only a tracer can see. The child is the supervisor's own and dies
//! with it; what the child made is found only when it is orphaned.

use std::fs::File;
use std::os::fd::AsFd;

use hotfire_sys::{Command, SysError, procfs, spawn};

use super::protocol::Job;
use super::run::ChildEnds;
use super::supervisor::{Supervisor, c_strings};
use super::tasks::Role;

impl Supervisor {
    /// Starts the run's child as a child of this process, behind a guard that ties its life to
    /// ours and then becomes the host.
    pub(super) fn start_untraced(&mut self, job: &Job, ends: &ChildEnds) -> Result<(), SysError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let Some(recorder) = &run.recorder else { return Ok(()) };
        let own = std::process::id().to_string();
        let guard = [&self.launcher_program, "__guard", &own, &job.host.program].map(str::to_owned);
        let arguments: Vec<String> =
            guard.into_iter().chain(job.host.arguments.iter().cloned()).collect();
        let mut environment = job.host.environment.clone();
        environment.push("HOTFIRE_RECORDER=3".to_owned());
        let null = File::open("/dev/null")
            .map_err(|error| SysError::from_io("open(/dev/null)", &error))?;
        let pid = spawn(&Command {
            program: c_strings(std::slice::from_ref(&self.launcher_program))
                .pop()
                .unwrap_or_default(),
            arguments: c_strings(&arguments),
            environment: c_strings(&environment),
            descriptors: vec![
                null.as_fd(),
                ends.stdout.as_fd(),
                ends.stderr.as_fd(),
                recorder.as_fd(),
            ],
            own_session: true,
        })?;
        run.root = Some(pid);
        self.tasks.add_process(pid, Role::Root);
        Ok(())
    }

    /// Takes orphans into the run that nobody told of: as a subreaper we become their parent.
    /// Those of an untraced run; those made with CLONE_UNTRACED; and the child of a process that
    /// was killed in the midst of its fork.
    pub(super) fn adopt_orphans(&mut self) {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        for pid in procfs::own_children() {
            if !self.tasks.knows(pid) && !self.inherited.contains(&pid) {
                self.add_process(pid, own, None);
            }
        }
    }
}
