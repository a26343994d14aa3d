//! A command of its user's own under watch, in this process: it keeps its terminal, process group,
//! folder and open descriptors, and what somebody sends to us is passed on to it.
//!
//! Deliberately absent: steps, census and ledger, which take a host; early declared hangs of a command
//! without a time limit, which may wait for its user.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};

use hotfire_plan::scenario::{Census, Limits};
use hotfire_sys::signal::{
    Caught, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1,
    SIGUSR2, SignalStream, details, mask_bit,
};
use hotfire_sys::{
    Dispositions, Held, Program, Stop, SysError, Tracee, WaitEvent, become_subreaper, end_process,
    monotonic_ns, output_pipe, pipe_of, poll_readable, procfs, same_file, send_signal,
    stop_this_process, wait_one, written_file,
};

use super::kills::CountedBefore;
use super::output::Collector;
use super::protocol::{HostProgram, Job};
use super::reports::written_since;
use super::run::Run;
use super::supervisor::{Manners, Supervisor};
use super::tasks::Role;
use crate::observe::{DescendantEnd, LaunchMode, Observation};

/// What a wrapper passes on, beside what the kernel sends to both of them.
const SIGNALS: [i32; 8] = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2];
/// How long leftover processes may take to stop for the moment in which they are let go.
pub(super) const LET_GO_NS: u64 = 2_000_000_000;
/// How long leftover processes may take to end when they are asked to.
const CLEAN_UP_NS: u64 = 1_000_000_000;
/// Between two looks whether a child that was killed has ended.
const REAP_LOOK_NS: u64 = 1_000_000;
/// Between two looks at it: it becomes ready for writing, or somebody wants us to end.
const READER_LOOK_NS: u64 = 1_000_000_000;
/// How long the reader of a command's output may take for what is left of it: a day.
const READER_NS: u64 = 24 * 3600 * 1_000_000_000;

/// What one call sends to a group arrives within this time of one another.
const MET_NS: u64 = 1_000_000_000;

/// A command and how it is to be watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name or path, then its arguments.
    pub words: Vec<OsString>,
    /// Where its name is looked for: `PATH`.
    pub search_path: Option<OsString>,
    /// How long it may run, milliseconds; `None`: as long as it likes.
    pub timeout_ms: Option<u64>,
    /// How long processes that outlive it may take to end by themselves, milliseconds.
    pub grace_ms: u64,
    /// Whether processes that outlive it go on when it has been observed.
    pub keeps_leftovers: bool,
    /// Whether it is traced.
    pub traced: bool,
}

/// This process in the place of a command.
#[derive(Debug)]
pub struct Wrapper {
    supervisor: Supervisor,
    dispositions: Dispositions,
}

impl Wrapper {
    /// To be made once, before this process has changed how it treats signals.
    ///
    /// # Errors
    /// The kernel gives no signalfd, or `/proc` cannot be read.
    pub fn new() -> Result<Self, SysError> {
        let dispositions = Dispositions::of_this_process()?;
        let signals = SignalStream::new(&SIGNALS)?;
        let supervisor = Supervisor::new(signals, Manners::Wrapper, String::new());
        Ok(Self { supervisor, dispositions })
    }

    /// Whether somebody wants no more runs.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.supervisor.is_interrupted
    }

    /// Runs the command once and observes it.
    ///
    /// # Errors
    /// It could not be started (ENOENT, EACCES, …), or may not be traced (EPERM).
    pub fn watch(&mut self, watched: &Watched) -> Result<Observation, SysError> {
        let program = Program::new(&watched.words, watched.search_path.as_ref())?;
        if !watched.traced {
            // Who is orphaned comes to us, or nobody would know of it.
            become_subreaper()?;
        }
        let (streams, stdout, stderr) = Streams::new()?;
        let run = Run::of_command(job(watched), stdout, stderr);
        let (out, error) = (streams.stdout(), streams.stderr());
        let held = Held::fork(&program, &self.dispositions, !watched.traced, [out, error])?;
        if watched.traced
            && let Err(error) = Tracee::new(held.pid).seize()
        {
            // It waits, and its end of our pipe closes.
            end_process(held.pid)?;
            reap(held.pid);
            return Err(error);
        }
        drop(streams);
        self.supervisor.begin_command(run, held.pid);
        if let Err(error) = held.go() {
            self.supervisor.end_rest();
            self.supervisor.run = None;
            return Err(error);
        }
        self.supervisor.observe_command(watched.keeps_leftovers, &held)
    }
}

/// Waits for a child that was killed, or the next run would meet its end as a stranger's.
fn reap(pid: i32) {
    let deadline = monotonic_ns() + LET_GO_NS;
    while matches!(wait_one(pid), Ok(None)) && monotonic_ns() < deadline {
        // There is nothing to poll for that says that it has ended.
        drop(poll_readable(&[], REAP_LOOK_NS));
    }
}

pub(super) fn job(watched: &Watched) -> Job {
    let words = watched.words.iter().map(|word| word.to_string_lossy().into_owned());
    let arguments: Vec<String> = words.collect();
    Job {
        id: 0,
        host: HostProgram {
            program: arguments.first().cloned().unwrap_or_default(),
            arguments,
            environment: Vec::new(),
            prepare: Vec::new(),
        },
        plan: String::new(),
        mode: LaunchMode::Spawn,
        traced: watched.traced,
        seed: 0,
        ledger: false,
        census: Census::Off,
        limits: Limits {
            step_ms: u64::MAX,
            run_ms: watched.timeout_ms.unwrap_or(u64::MAX),
            exit_ms: u64::MAX,
            grace_ms: watched.grace_ms,
            beat_ms: 0,
            processes: u32::MAX,
        },
    }
}

/// A signal that somebody sent to the command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    signal: i32,
    sender: i32,
    time_ns: u64,
}

/// Whether the command has got this signal of this sender by itself; one answers for one.
fn take_met(all: &mut Vec<Met>, (signal, sender): (i32, i32)) -> bool {
    let now = monotonic_ns();
    let is_same = |met: &Met| {
        (met.signal, met.sender) == (signal, sender) && now.saturating_sub(met.time_ns) < MET_NS
    };
    all.iter().position(is_same).map(|index| all.remove(index)).is_some()
}

/// The child's ends of the pipes that stand between its output and where that goes; a terminal is
/// its own.
struct Streams {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Both go to the same place: they share one pipe, which keeps their order.
    are_one: bool,
}

impl Streams {
    fn new() -> Result<(Self, Collector, Collector), SysError> {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let are_one = same_file(stdout.as_fd(), stderr.as_fd());
        let (error, error_collector) = between(&stderr)?;
        let (out, out_collector) =
            if are_one { (None, Collector::nothing()) } else { between(&stdout)? };
        Ok((Self { stdout: out, stderr: error, are_one }, out_collector, error_collector))
    }

    fn stdout(&self) -> Option<&OwnedFd> {
        if self.are_one { self.stderr.as_ref() } else { self.stdout.as_ref() }
    }

    fn stderr(&self) -> Option<&OwnedFd> {
        self.stderr.as_ref()
    }
}

fn between(stream: &impl AsFd) -> Result<(Option<OwnedFd>, Collector), SysError> {
    if let Some((file, start)) = written_file(stream.as_fd()) {
        // It may seek there, or ask how long it is.
        return Ok((None, Collector::of_file(file, start)));
    }
    let Some(onward) = pipe_of(stream.as_fd()) else {
        // A terminal, a device or a socket: the command may ask it what a pipe does not know.
        return Ok((None, Collector::nothing()));
    };
    let (read, write) = output_pipe()?;
    Ok((Some(write), Collector::passing_on(read, onward)))
}

impl Supervisor {
    fn begin_command(&mut self, mut run: Run, pid: i32) {
        run.root = Some(pid);
        run.counted_before = CountedBefore::now();
        self.tasks.add_process(pid, Role::Root);
        self.run = Some(run);
    }

    fn observe_command(
        &mut self,
        keeps_leftovers: bool,
        held: &Held,
    ) -> Result<Observation, SysError> {
        let begun = std::time::SystemTime::now();
        self.watch();
        if let (Some(run), Ok(folder)) = (&mut self.run, std::env::current_dir())
            && (run.crash.is_some() || run.stall.is_some())
        {
            run.handler_reports = written_since(&folder, begun);
        }
        self.wait_for_leftovers();
        let timed_out = self.run.as_ref().is_some_and(|run| run.stall.is_some());
        match keeps_leftovers {
            _ if timed_out => {}
            true => self.let_rest_go(),
            false => self.ask_rest_to_end(),
        }
        self.end_rest();
        let deadline = monotonic_ns() + READER_NS;
        // Who asks for the end now asks us: the command has ended.
        self.is_interrupted = false;
        while monotonic_ns() < deadline
            && !self.is_interrupted
            && self.run.as_mut().is_some_and(|run| !run.pass_rest_on() && !run.has_writer())
        {
            self.pump(READER_LOOK_NS);
        }
        self.hand_streams_over();
        let lost = || SysError::from_io("run", &std::io::ErrorKind::NotFound.into());
        let run = self.run.take().ok_or_else(lost)?;
        match held.failure().filter(|_| !run.has_program) {
            Some(error) => Err(error),
            None => Ok(run.finish()),
        }
    }

    /// A signal that somebody sent to this process. What the kernel sends (a terminal's Ctrl-C),
    /// it sends to the command as well.
    pub(super) fn pass_on(&mut self, caught: Caught) {
        if caught.signal == SIGCHLD {
            return;
        }
        self.is_interrupted |= [SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(&caught.signal);
        let Some(run) = self.run.as_mut().filter(|run| run.root_end.is_none()) else { return };
        let is_met = take_met(&mut run.met, (caught.signal, caught.sender));
        if let Some(root) = run.root
            && !caught.by_kernel
            && !is_met
        {
            // It may have ended just now.
            let _ = send_signal(root, caught.signal);
        }
    }

    /// Signals that still wait to be delivered to the command would be lost in one another. To be
    /// asked before its stops are looked at: what does not wait has then been met.
    pub(super) fn drop_pending(&mut self, caught: &mut [Caught]) {
        let root = self.run.as_ref().filter(|run| run.root_end.is_none()).and_then(|run| run.root);
        let pending = root.map_or(0, procfs::pending_signals);
        for caught in caught {
            caught.by_kernel |= pending & mask_bit(caught.signal) != 0;
        }
    }

    /// The command got a signal. What is sent to its whole process group reaches us, too, and
    /// must not reach it twice.
    pub(super) fn note_met(&mut self, tid: i32, signal: i32) {
        let Some(run) = &mut self.run else { return };
        if !SIGNALS.contains(&signal) || self.tasks.process_of(tid) != run.root {
            return;
        }
        let info = Tracee::new(tid).signal_info();
        if let Some(sender) = info.ok().and_then(|info| details(&info).2) {
            let now = monotonic_ns();
            run.met.retain(|met| now.saturating_sub(met.time_ns) < MET_NS);
            run.met.push(Met { signal, sender, time_ns: now });
        }
    }

    /// The command was stopped by its terminal: so must we be, or its shell would go on waiting.
    pub(super) fn on_group_stop(&mut self, tid: i32, signal: i32) {
        let is_jobs = [SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP].contains(&signal);
        let root = self.run.as_ref().and_then(|run| run.root).unwrap_or_default();
        if self.manners() != Manners::Wrapper
            || !is_jobs
            || self.speaker(root) != Some(tid)
            || !hotfire_sys::shares_terminal_group(root)
        {
            return;
        }
        let since = monotonic_ns();
        // Nothing is lost: what comes meanwhile waits for us.
        let _ = stop_this_process();
        if let Some(run) = &mut self.run {
            run.stopped_ns += monotonic_ns().saturating_sub(since);
        }
    }

    /// The thread whose stop stands for its process's: the leader, or another where that has ended.
    fn speaker(&self, process: i32) -> Option<i32> {
        let lives =
            |tid: &i32| procfs::stat(*tid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'));
        self.tasks.threads_of(process).into_iter().find(lives)
    }

    /// Asks processes that outlived the command to end: one may have to clean up behind it.
    fn ask_rest_to_end(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.asked_to_end_rest = true;
        for (pid, _) in self.tasks.of_run() {
            // It may have ended just now.
            let _ = send_signal(pid, SIGTERM);
        }
        self.pump_on_until(CLEAN_UP_NS, |supervisor| supervisor.tasks.of_run().is_empty());
    }

    /// Lets processes that outlived the command go on, without us.
    fn let_rest_go(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.letting_go = true;
        if !run.job.traced {
            for (pid, _) in self.tasks.of_run() {
                self.tasks.remove(pid);
            }
            return;
        }
        for (pid, _) in self.tasks.of_run() {
            for tid in self.tasks.threads_of(pid) {
                // One that is gone needs no stop.
                let _ = Tracee::new(tid).interrupt();
            }
        }
        self.pump_on_until(LET_GO_NS, |supervisor| supervisor.tasks.of_run().is_empty());
        for (pid, role) in self.tasks.of_run() {
            self.soft_error(format!("process {pid} could not be let go and was ended"));
            if let (Role::Descendant(index), Some(run)) = (role, &mut self.run)
                && let Some(descendant) = run.descendants.get_mut(index)
            {
                descendant.end = DescendantEnd::EndedWithRun;
            }
        }
    }

    pub(super) fn is_letting_go(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.letting_go && !run.ending)
    }

    /// A thread that is let go has stopped.
    pub(super) fn let_go(&mut self, event: WaitEvent) {
        let tid = event.tid;
        let signal = match event.stop {
            Stop::Signal(signal) => signal,
            Stop::Fork | Stop::Clone => {
                // Its child stops, too, and is let go then.
                self.on_birth(event);
                0
            }
            Stop::Exec => {
                self.tasks.exec(tid, event.other.unwrap_or(tid));
                0
            }
            _ => 0,
        };
        if !self.tasks.knows(tid) {
            self.tasks.met_early(tid);
        }
        // It may have been killed meanwhile.
        let _ = Tracee::new(tid).detach(signal);
        self.tasks.release(tid);
    }
}
