//! The front's workers: a supervisor process each. A worker that dies costs one observation.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};

use hotfire_sys::signal::{SIGHUP, SIGINT, SIGTERM, SignalStream};
use hotfire_sys::{
    Command, Stop, StreamSocket, SysError, become_subreaper, end_process, monotonic_ns,
    poll_readable, procfs, spawn, stream_pair, terminate_process, wait_one,
};

use crate::observe::{Ending, Observation};
use crate::supervise::{Job, Reply, c_strings, not_started};

/// Jobs that a worker holds beside the one it runs, so that it never waits for us.
const AHEAD: usize = 2;
/// How long a worker may take to end when asked.
const END_NS: u64 = 12_000_000_000;
/// What a worker may need beside a run's own limits: to load libraries, to give birth, to end what
/// is left, each with a limit of its own, and a reserve for a busy machine.
const OVERHEAD_NS: u64 = 150_000_000_000;
/// Workers that may die one after the other without a single answer between them.
const DEATHS_MAX: u32 = 5;

/// What the front starts.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// The program that has the verbs `__supervise` and `__launch`.
    pub program: String,
    /// How many workers.
    pub workers: usize,
    /// Whether the calling process has no children but these workers, so that any other child is
    /// one adopted from a dead worker and is to be ended.
    pub owns_process: bool,
}

/// How a series of jobs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolEnd {
    /// All jobs are done.
    Finished,
    /// This signal asked us to stop; what was done was handed over.
    Interrupted(i32),
    /// Workers cannot be started, or die again and again; what was done was handed over.
    Failed(SysError),
}

/// The workers. Dropping ends them and all that they run.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    signals: SignalStream,
    workers: Vec<Worker>,
    /// Jobs that dead workers had not begun.
    returned: VecDeque<Job>,
    deaths: u32,
}

/// Where jobs come from, and where observations go.
pub trait Work {
    /// The next job; `None`: none for now. More may come with an observation.
    fn next(&mut self) -> Option<Job>;

    /// A job is done.
    fn done(&mut self, job: Job, observation: Observation);
}

#[derive(Debug)]
struct Worker {
    pid: i32,
    socket: StreamSocket,
    jobs: VecDeque<Job>,
    /// When the worker got or began the first of its jobs.
    since_ns: u64,
}

impl Pool {
    /// Starts the workers.
    ///
    /// # Errors
    /// A process could not be started.
    pub fn start(config: PoolConfig) -> Result<Self, SysError> {
        if config.owns_process {
            become_subreaper()?;
        }
        let signals = SignalStream::new(&[SIGINT, SIGTERM, SIGHUP])?;
        let workers = (0..config.workers.max(1))
            .map(|_| Worker::start(&config.program))
            .collect::<Result<_, _>>()?;
        Ok(Self { config, signals, workers, returned: VecDeque::new(), deaths: 0 })
    }

    /// The workers' pids.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.workers.iter().map(|worker| worker.pid).collect()
    }

    /// The ids of the jobs that workers run at this moment; those behind them have not begun.
    #[must_use]
    pub fn in_hand(&self) -> BTreeSet<u64> {
        self.workers.iter().filter_map(|worker| Some(worker.jobs.front()?.id)).collect()
    }

    /// Runs a list of jobs; `on_done` gets each with its observation and may give more jobs.
    pub fn run(
        &mut self,
        jobs: Vec<Job>,
        on_done: &mut dyn FnMut(Job, Observation) -> Vec<Job>,
    ) -> PoolEnd {
        self.work(&mut JobList { jobs: jobs.into(), on_done })
    }

    /// Does work until there is none left, a signal asks us to stop, or workers cannot be kept
    /// alive. What was done by then was handed over.
    pub fn work(&mut self, work: &mut dyn Work) -> PoolEnd {
        loop {
            match self.turn(work) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(error) => return PoolEnd::Failed(error),
            }
        }
    }

    /// Hands out jobs, waits for an answer, a signal or a moment, and takes in what came.
    fn turn(&mut self, work: &mut dyn Work) -> Result<Option<PoolEnd>, SysError> {
        self.hand_out(work)?;
        if self.workers.iter().all(|worker| worker.jobs.is_empty()) {
            return Ok(Some(PoolEnd::Finished));
        }
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        descriptors.extend(self.workers.iter().map(|worker| worker.socket.as_fd()));
        let ready = poll_readable(&descriptors, 1_000_000_000)?;
        if ready.first().is_some_and(|ready| ready.readable)
            && let Some(caught) = self.signals.take()?.first()
        {
            return Ok(Some(PoolEnd::Interrupted(caught.signal)));
        }
        for (index, ready) in ready.iter().skip(1).enumerate() {
            if ready.readable {
                self.receive(index, work)?;
            }
        }
        self.end_stuck();
        Ok(None)
    }

    /// A worker that answers long after every limit of its run is stuck; its end is met by its
    /// closed stream.
    fn end_stuck(&self) {
        let now = monotonic_ns();
        for worker in &self.workers {
            if worker.jobs.front().is_some_and(|job| now > worker.since_ns + longest_ns(job)) {
                // It may have ended by itself just now.
                let _ = end_process(worker.pid);
            }
        }
    }

    fn hand_out(&mut self, work: &mut dyn Work) -> Result<(), SysError> {
        for depth in 0..AHEAD {
            for worker in &mut self.workers {
                if worker.jobs.len() > depth {
                    continue;
                }
                let Some(job) = self.returned.pop_front().or_else(|| work.next()) else {
                    return Ok(());
                };
                let bytes = serde_json::to_vec(&job)
                    .map_err(|error| SysError::from_io("serialise", &error.into()))?;
                worker.push(job);
                // A worker that died is met by its closed stream.
                let _ = worker.socket.send(&bytes);
            }
        }
        Ok(())
    }

    /// Takes the answers of a worker; replaces one that died.
    fn receive(&mut self, index: usize, work: &mut dyn Work) -> Result<(), SysError> {
        let Some(worker) = self.workers.get_mut(index) else { return Ok(()) };
        let Ok(Some(messages)) = worker.socket.receive() else {
            return self.replace(index, work);
        };
        for (job, observation) in messages.iter().filter_map(|bytes| worker.done(bytes)) {
            self.deaths = 0;
            work.done(job, observation);
        }
        Ok(())
    }

    /// The job in hand is lost, the others are run by somebody else.
    fn replace(&mut self, index: usize, work: &mut dyn Work) -> Result<(), SysError> {
        let Some(dead) = self.workers.get_mut(index) else { return Ok(()) };
        let mut jobs = std::mem::take(&mut dead.jobs);
        let how = reap(dead.pid, monotonic_ns() + END_NS);
        let how = how.map_or_else(|| "not waited for".to_owned(), |stop| format!("{stop:?}"));
        if let Some(job) = jobs.pop_front() {
            let reason = format!("the supervisor ended ({})", how.to_lowercase());
            let observation = not_started(&job, Ending::ObserverLost(reason));
            work.done(job, observation);
        }
        jobs.into_iter().rev().for_each(|job| self.returned.push_front(job));
        self.end_adopted();
        self.deaths += 1;
        if self.deaths > DEATHS_MAX {
            let dead = std::io::Error::other("supervisors end again and again");
            return Err(SysError::from_io("supervise", &dead));
        }
        let fresh = Worker::start(&self.config.program)?;
        if let Some(place) = self.workers.get_mut(index) {
            *place = fresh;
        }
        Ok(())
    }

    /// Ends what a dead worker left to us. Its tracees are ended by the kernel; untraced ones by
    /// this.
    fn end_adopted(&self) {
        if !self.config.owns_process {
            return;
        }
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let deadline = monotonic_ns() + 2_000_000_000;
        loop {
            let workers = self.pids();
            let adopted: Vec<i32> =
                procfs::children(own).into_iter().filter(|pid| !workers.contains(pid)).collect();
            if adopted.is_empty() || monotonic_ns() > deadline {
                return;
            }
            for pid in adopted {
                // It may be a zombie already; then the wait below is all it needs.
                let _ = end_process(pid);
                let _ = wait_one(pid);
            }
            // There is nothing to poll for: the next look comes after a moment.
            let _ = poll_readable(&[], 2_000_000);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let pids = self.pids();
        // A worker that waits for room in its stream sees it closed, and ends.
        self.workers.clear();
        for pid in &pids {
            // One that has ended already needs nothing.
            let _ = terminate_process(*pid);
        }
        let deadline = monotonic_ns() + END_NS;
        for pid in pids {
            reap(pid, deadline);
        }
        self.end_adopted();
    }
}

/// A fixed list of jobs.
struct JobList<'a> {
    jobs: VecDeque<Job>,
    on_done: &'a mut dyn FnMut(Job, Observation) -> Vec<Job>,
}

impl Work for JobList<'_> {
    fn next(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    fn done(&mut self, job: Job, observation: Observation) {
        self.jobs.extend((self.on_done)(job, observation));
    }
}

/// The longest that a worker may take for a job, when every wait of its own runs out.
fn longest_ns(job: &Job) -> u64 {
    let limits = &job.limits;
    let run_ms = limits.run_ms + limits.exit_ms + limits.grace_ms;
    run_ms * 1_000_000 + OVERHEAD_NS
}

impl Worker {
    fn start(program: &str) -> Result<Self, SysError> {
        let (ours, theirs) = stream_pair()?;
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|error| SysError::from_io("open(/dev/null)", &error))?;
        let stderr = std::io::stderr();
        let own = std::process::id().to_string();
        let arguments = [program, "__supervise", "3", &own, program].map(str::to_owned);
        let pid = spawn(&Command {
            program: c_strings(&[program.to_owned()]).pop().unwrap_or_default(),
            arguments: c_strings(&arguments),
            environment: Vec::new(),
            descriptors: vec![null.as_fd(), null.as_fd(), stderr.as_fd(), theirs.as_fd()],
            own_session: false,
        })?;
        Ok(Self { pid, socket: ours, jobs: VecDeque::new(), since_ns: monotonic_ns() })
    }

    fn push(&mut self, job: Job) {
        if self.jobs.is_empty() {
            self.since_ns = monotonic_ns();
        }
        self.jobs.push_back(job);
    }

    fn done(&mut self, bytes: &[u8]) -> Option<(Job, Observation)> {
        let Reply::Done { id, observation } = serde_json::from_slice(bytes).ok()?;
        let index = self.jobs.iter().position(|job| job.id == id)?;
        self.since_ns = monotonic_ns();
        Some((self.jobs.remove(index)?, *observation))
    }
}

/// Waits for a worker's end, in time by force; says how it ended, where that can be seen.
fn reap(pid: i32, deadline_ns: u64) -> Option<Stop> {
    loop {
        match wait_one(pid) {
            Ok(Some(event)) => return Some(event.stop),
            Err(_) => return None,
            Ok(None) if monotonic_ns() > deadline_ns => {
                // The only thing left to try; the next wait tells.
                let _ = end_process(pid);
            }
            Ok(None) => {}
        }
        // There is nothing to poll for: the next look comes after a moment.
        let _ = poll_readable(&[], 500_000);
    }
}
