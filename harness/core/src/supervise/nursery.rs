//! The processes that make children: the launcher (vfork and exec) and the forkserver (fork).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use hotfire_sys::{
    Command, LaunchReply, SeqSocket, SysError, Tracee, launch_reply, launch_request, seq_pair,
    spawn,
};

use super::protocol::{HostProgram, Job};
use super::run::ChildEnds;
use super::supervisor::{Supervisor, c_strings};
use super::tasks::Role;
use crate::observe::LaunchMode;

/// A forkserver makes this many children before a fresh one takes over (they share one address
/// layout).
const FORKS_MAX: u32 = 64;
/// How long a forkserver may take to load the engine's libraries.
const PREPARE_NS: u64 = 60_000_000_000;

/// How long a killed process that makes children may take to end.
const NURSERY_END_NS: u64 = 5_000_000_000;

/// A process of ours that makes children.
#[derive(Debug)]
pub(super) struct Nursery {
    pub(super) pid: i32,
    pub(super) socket: SeqSocket,
}

/// The forkserver and what it has loaded.
#[derive(Debug)]
pub(super) struct Forkserver {
    /// `None` until it is born.
    pub(super) pid: Option<i32>,
    pub(super) socket: SeqSocket,
    /// The other side has closed: there is nothing more to poll for.
    pub(super) closed: bool,
    /// It had been ready and has ended since: a fresh one may take over.
    ended: bool,
    host: HostProgram,
    /// Its first word: ready, or why it may not fork.
    pub(super) hello: Option<Result<(), String>>,
    forks: u32,
}

impl Supervisor {
    /// Starts the launcher, seized.
    ///
    /// # Errors
    /// ptrace is refused here (EPERM), or the program cannot be started.
    pub(super) fn ensure_launcher(&mut self) -> Result<(), SysError> {
        if self.launcher.is_some() {
            return Ok(());
        }
        let (ours, theirs) = seq_pair()?;
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|error| SysError::from_io("open(/dev/null)", &error))?;
        let stderr = std::io::stderr();
        let pid = spawn(&Command {
            program: c_strings(std::slice::from_ref(&self.launcher_program)).remove(0),
            arguments: c_strings(&[
                self.launcher_program.clone(),
                "__launch".to_owned(),
                "3".to_owned(),
            ]),
            environment: Vec::new(),
            descriptors: vec![null.as_fd(), null.as_fd(), stderr.as_fd(), theirs.as_fd()],
            own_session: false,
        })?;
        if let Err(error) = Tracee::new(pid).seize() {
            // It has nothing to do without us; its socket closes as we return.
            let _ = hotfire_sys::end_process(pid);
            return Err(error);
        }
        self.tasks.add_process(pid, Role::Launcher);
        self.launcher = Some(Nursery { pid, socket: ours });
        Ok(())
    }

    /// Makes sure that there is a forkserver for the host; says why it may not fork, if so.
    pub(super) fn ensure_forkserver(&mut self, host: &HostProgram) -> Result<(), String> {
        let fits = self.forkserver.as_ref().is_some_and(|server| {
            server.host == *host
                && !server.ended
                && (server.forks < FORKS_MAX || server.hello != Some(Ok(())))
        });
        if !fits {
            self.end_forkserver();
            self.start_forkserver(host).map_err(|error| error.to_string())?;
        }
        let answer = self.forkserver.as_ref().and_then(|server| server.hello.clone());
        answer.unwrap_or_else(|| Err("the forkserver did not answer in time".to_owned()))
    }

    fn start_forkserver(&mut self, host: &HostProgram) -> Result<(), SysError> {
        let (ours, theirs) = seq_pair()?;
        let mut environment = host.environment.clone();
        environment.push("HOTFIRE_FORKSERVER=3".to_owned());
        environment.push(format!("HOTFIRE_PREPARE={}", host.prepare.join(",")));
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|error| SysError::from_io("open(/dev/null)", &error))?;
        let stdio = null.as_fd();
        let request = launch_request(&host.program, &host.arguments, &environment);
        self.expected = Some(Role::Forkserver);
        self.launch_failure = None;
        let sent = self.send_to_launcher(&request, &[stdio, stdio, stdio, theirs.as_fd()]);
        drop(theirs);
        if sent.is_err() {
            self.expected = None;
            return sent;
        }
        self.forkserver = Some(Forkserver {
            pid: None,
            socket: ours,
            host: host.clone(),
            closed: false,
            ended: false,
            hello: None,
            forks: 0,
        });
        self.pump_until(PREPARE_NS, |supervisor| {
            supervisor.launch_failure.is_some()
                || supervisor.forkserver.as_ref().is_none_or(|server| server.hello.is_some())
        });
        // Set still: the forkserver was not even born.
        let unborn = self.expected.take().is_some();
        let Some(server) = &mut self.forkserver else { return Ok(()) };
        if let Some(reason) = self.launch_failure.take() {
            server.hello = Some(Err(reason));
        } else if server.hello.is_none() && !self.terminating {
            self.give_up_forkserver("the forkserver did not answer in time");
            if unborn {
                self.renew_launcher();
            }
        }
        Ok(())
    }

    /// Ends who did not bear a child in time: the child may still come, and must not be taken for
    /// the next run's.
    pub(super) fn end_maker(&mut self, mode: LaunchMode) {
        match mode {
            LaunchMode::Fork => {
                self.give_up_forkserver("the forkserver's child was not born in time");
            }
            LaunchMode::Spawn => self.renew_launcher(),
        }
    }

    /// Ends the forkserver for good: the host's next runs are spawned, and told why.
    fn give_up_forkserver(&mut self, reason: &str) {
        let Some(server) = &mut self.forkserver else { return };
        server.closed = true;
        server.hello = Some(Err(reason.to_owned()));
        if let Some(pid) = server.pid.take() {
            self.end_nursery(pid);
        }
    }

    /// A fresh launcher takes over.
    fn renew_launcher(&mut self) {
        if let Some(launcher) = self.launcher.take() {
            self.end_nursery(launcher.pid);
        }
        if let Err(error) = self.ensure_launcher() {
            self.soft_error(format!("the launcher could not be renewed: {error}"));
        }
    }

    fn end_nursery(&mut self, pid: i32) {
        // It may have ended by itself just now.
        let _ = hotfire_sys::end_process(pid);
        self.pump_on_until(NURSERY_END_NS, |supervisor| supervisor.tasks.role(pid).is_none());
    }

    /// Ends the forkserver and waits for its end.
    pub(super) fn end_forkserver(&mut self) {
        let Some(server) = self.forkserver.take() else { return };
        drop(server.socket);
        if let Some(pid) = server.pid {
            self.end_nursery(pid);
        }
    }

    /// Asks for the run's child.
    pub(super) fn request_child(
        &mut self,
        job: &Job,
        mode: LaunchMode,
        ends: &ChildEnds,
    ) -> Result<(), SysError> {
        if !job.traced {
            return self.start_untraced(job, ends);
        }
        self.expected = Some(Role::Root);
        let recorder = self.run.as_ref().and_then(|run| run.recorder.as_ref());
        let Some(recorder) = recorder.map(AsFd::as_fd) else { return Ok(()) };
        let (stdout, stderr) = (ends.stdout.as_fd(), ends.stderr.as_fd());
        if mode == LaunchMode::Fork {
            if let Some(server) = &mut self.forkserver {
                server.forks += 1;
                server.socket.send(b"run", &[recorder, stdout, stderr])?;
            }
            return Ok(());
        }
        let mut environment = job.host.environment.clone();
        environment.push("HOTFIRE_RECORDER=3".to_owned());
        let request = launch_request(&job.host.program, &job.host.arguments, &environment);
        let null = File::open("/dev/null")
            .map_err(|error| SysError::from_io("open(/dev/null)", &error))?;
        let descriptors = [null.as_fd(), stdout, stderr, recorder];
        match &self.launcher {
            Some(launcher) => launcher.socket.send(&request, &descriptors),
            None => Err(SysError::from_io("launcher", &std::io::ErrorKind::NotFound.into())),
        }
    }

    fn send_to_launcher(
        &self,
        request: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SysError> {
        match &self.launcher {
            Some(launcher) => launcher.socket.send(request, descriptors),
            None => Err(SysError::from_io("launcher", &std::io::ErrorKind::NotFound.into())),
        }
    }

    /// The launcher has something to say.
    pub(super) fn on_launcher_reply(&mut self) {
        let Some(launcher) = &self.launcher else { return };
        let Ok(reply) = launcher.socket.receive() else { return };
        match launch_reply(&reply.bytes) {
            Some(LaunchReply::Failed(errno)) => {
                self.launch_failure = Some(std::io::Error::from_raw_os_error(errno).to_string());
            }
            Some(LaunchReply::Started(pid)) => {
                // One that was killed before its exec is never seen to exec.
                if let Some(run) = &mut self.run {
                    run.has_program |= run.root == Some(pid);
                }
            }
            None => {}
        }
    }

    /// The forkserver is gone, or does not listen any more.
    pub(super) fn forkserver_ended(&mut self, reason: String) {
        let Some(server) = &mut self.forkserver else { return };
        server.closed = true;
        if server.hello == Some(Ok(())) {
            server.ended = true;
        } else {
            server.hello = Some(Err(reason.clone()));
        }
        // A run that was spawned does not need it.
        if self.run.as_ref().is_none_or(|run| run.mode == LaunchMode::Fork) {
            self.launch_failure = Some(reason);
        }
    }

    /// The forkserver has something to say.
    pub(super) fn on_forkserver_reply(&mut self) {
        let Some(server) = &mut self.forkserver else { return };
        let Ok(reply) = server.socket.receive() else { return };
        let text = String::from_utf8_lossy(&reply.bytes).into_owned();
        match text.split_once(": ") {
            None if text == "ready" => server.hello = Some(Ok(())),
            None if text.is_empty() => {
                self.forkserver_ended("the forkserver ended by itself".to_owned());
            }
            Some(("refused", reason)) => {
                server.hello = Some(Err(reason.to_owned()));
                self.launch_failure = Some(reason.to_owned());
            }
            Some(("failed", reason)) => self.launch_failure = Some(reason.to_owned()),
            _ => {}
        }
    }
}
