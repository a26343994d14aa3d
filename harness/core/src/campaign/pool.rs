//! The front's workers: a supervisor process each. A worker that dies costs one observation.

use std::collections::VecDeque;
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
}

/// The workers. Dropping ends them and all that they run.
#[derive(Debug)]
pub struct Pool {
    config: PoolConfig,
    signals: SignalStream,
    workers: Vec<Worker>,
    deaths: u32,
}

#[derive(Debug)]
struct Worker {
    pid: i32,
    socket: StreamSocket,
    jobs: VecDeque<Job>,
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
        Ok(Self { config, signals, workers, deaths: 0 })
    }

    /// The workers' pids.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.workers.iter().map(|worker| worker.pid).collect()
    }

    /// Runs jobs; `on_done` gets each with its observation and may give more jobs.
    ///
    /// # Errors
    /// Workers die again and again without an answer.
    pub fn run(
        &mut self,
        jobs: Vec<Job>,
        on_done: &mut dyn FnMut(Job, Observation) -> Vec<Job>,
    ) -> Result<PoolEnd, SysError> {
        let mut queue: VecDeque<Job> = jobs.into();
        loop {
            self.hand_out(&mut queue)?;
            if queue.is_empty() && self.workers.iter().all(|worker| worker.jobs.is_empty()) {
                return Ok(PoolEnd::Finished);
            }
            let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
            descriptors.extend(self.workers.iter().map(|worker| worker.socket.as_fd()));
            let ready = poll_readable(&descriptors, 1_000_000_000)?;
            if ready.first().is_some_and(|ready| ready.readable)
                && let Some(signal) = self.signals.take()?.first()
            {
                return Ok(PoolEnd::Interrupted(*signal));
            }
            for (index, ready) in ready.iter().skip(1).enumerate() {
                if ready.readable {
                    for (job, observation) in self.receive(index, &mut queue)? {
                        queue.extend(on_done(job, observation));
                    }
                }
            }
        }
    }

    fn hand_out(&mut self, queue: &mut VecDeque<Job>) -> Result<(), SysError> {
        for depth in 0..AHEAD {
            for worker in &mut self.workers {
                if worker.jobs.len() > depth {
                    continue;
                }
                let Some(job) = queue.pop_front() else { return Ok(()) };
                let bytes = serde_json::to_vec(&job)
                    .map_err(|error| SysError::from_io("serialise", &error.into()))?;
                worker.jobs.push_back(job);
                // A worker that died is met by its closed stream.
                let _ = worker.socket.send(&bytes);
            }
        }
        Ok(())
    }

    /// Takes the answers of a worker; replaces one that died.
    fn receive(
        &mut self,
        index: usize,
        queue: &mut VecDeque<Job>,
    ) -> Result<Vec<(Job, Observation)>, SysError> {
        let Some(worker) = self.workers.get_mut(index) else { return Ok(Vec::new()) };
        match worker.socket.receive() {
            Ok(Some(messages)) => {
                let done: Vec<_> = messages.iter().filter_map(|bytes| worker.done(bytes)).collect();
                if !done.is_empty() {
                    self.deaths = 0;
                }
                Ok(done)
            }
            Ok(None) | Err(_) => self.replace(index, queue),
        }
    }

    /// The job in hand is lost, the others are run by somebody else.
    fn replace(
        &mut self,
        index: usize,
        queue: &mut VecDeque<Job>,
    ) -> Result<Vec<(Job, Observation)>, SysError> {
        self.deaths += 1;
        if self.deaths > DEATHS_MAX {
            let dead = std::io::Error::other("supervisors end again and again");
            return Err(SysError::from_io("supervise", &dead));
        }
        let fresh = Worker::start(&self.config.program)?;
        let Some(place) = self.workers.get_mut(index) else { return Ok(Vec::new()) };
        let mut dead = std::mem::replace(place, fresh);
        let how = dead.reap();
        self.end_adopted();
        // One that ended because somebody asked it to has answered for the job in hand.
        let lost = if how == Some(Stop::Exited(0)) { None } else { dead.jobs.pop_front() };
        let how = how.map_or_else(|| "not waited for".to_owned(), |stop| format!("{stop:?}"));
        let how = how.to_lowercase();
        dead.jobs.into_iter().rev().for_each(|job| queue.push_front(job));
        Ok(lost
            .map(|job| {
                let ending = Ending::ObserverLost(format!("the supervisor ended ({how})"));
                let observation = not_started(&job, ending);
                (job, observation)
            })
            .into_iter()
            .collect())
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
        for worker in &self.workers {
            // One that has ended already needs nothing.
            let _ = terminate_process(worker.pid);
        }
        for worker in &mut self.workers {
            worker.reap();
        }
        self.workers.clear();
        self.end_adopted();
    }
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
        Ok(Self { pid, socket: ours, jobs: VecDeque::new() })
    }

    fn done(&mut self, bytes: &[u8]) -> Option<(Job, Observation)> {
        let Reply::Done { id, observation } = serde_json::from_slice(bytes).ok()?;
        let index = self.jobs.iter().position(|job| job.id == id)?;
        Some((self.jobs.remove(index)?, *observation))
    }

    /// Waits for the worker's end, in time by force; says how it ended, where that can be seen.
    fn reap(&mut self) -> Option<Stop> {
        let deadline = monotonic_ns() + END_NS;
        loop {
            match wait_one(self.pid) {
                Ok(Some(event)) => return Some(event.stop),
                Err(_) => return None,
                Ok(None) if monotonic_ns() > deadline => {
                    // The only thing left to try; the next wait tells.
                    let _ = end_process(self.pid);
                }
                Ok(None) => {}
            }
            // The stream closes when the worker ends, but nothing waits for an end of file alone.
            let _ = poll_readable(&[], 500_000);
        }
    }
}
