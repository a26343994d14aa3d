//! A stand: a pool whose every process carries a mark, with a deadline for everything.
//!
//! Deliberately absent: what a fixture ought to show (see the tests).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use hotfire_core::campaign::{Pool, PoolConfig, PoolEnd};
use hotfire_core::observe::{LaunchMode, Observation};
use hotfire_core::supervise::{HostProgram, Job};
use hotfire_plan::scenario::{Census, Limits};
use hotfire_sys::{end_process, process_alive};
use tempfile::TempDir;

use super::build;
use super::remains::assert_nothing_remains;

/// No test's runs take longer; then its supervisors are ended, and the test fails for it.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest way out of a pool.
const END_MAX: Duration = Duration::from_secs(2);

/// Far away: a fixture that meets one of these has failed.
pub(crate) const LIMITS: Limits = Limits {
    step_ms: 30_000,
    run_ms: 30_000,
    exit_ms: 30_000,
    grace_ms: 200,
    beat_ms: 0,
    processes: 64,
};

/// A folder and a mark of one test.
#[derive(Debug)]
pub(crate) struct Stand {
    folder: TempDir,
    mark: String,
}

/// An observation and how long the front waited for it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) job: Job,
    pub(crate) observation: Observation,
    pub(crate) took: Duration,
}

impl Stand {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("hotfire-test-{}-{count}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&mark).tempdir().expect("a temp folder");
        Self { folder, mark }
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command under a name that carries the mark, and so do its supervisors and launchers.
    pub(crate) fn command(&self) -> PathBuf {
        let link = self.path("hotfire");
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hotfire"), &link).expect("a link");
        }
        link
    }

    pub(crate) fn pool(&self, workers: usize) -> Pool {
        let program = self.command().display().to_string();
        Pool::start(PoolConfig { program, workers, owns_process: false }).expect("a pool")
    }

    /// A run of a fixture; `{folder}` in its text stands for the stand's folder.
    pub(crate) fn job(&self, id: u64, fixture: &str, mode: LaunchMode) -> Job {
        let program = build::host().display().to_string();
        let plan = fixture.replace("{folder}", &self.folder.path().display().to_string());
        let host = HostProgram {
            arguments: vec![program.clone()],
            program,
            environment: vec![format!("HOTFIRE_TEST_ID={}", self.mark)],
            prepare: Vec::new(),
        };
        Job {
            id,
            host,
            plan,
            mode,
            traced: true,
            seed: id,
            ledger: false,
            census: Census::Ends,
            limits: LIMITS,
        }
    }

    /// Runs the jobs, ends the pool, and proves that nothing remains.
    pub(crate) fn run(&self, mut pool: Pool, jobs: Vec<Job>) -> Vec<Seen> {
        let count = jobs.len();
        let pids = pool.pids();
        let (done, ended) = channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let late = ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if late {
                for pid in pids {
                    // One that has ended already needs nothing.
                    let _ = end_process(pid);
                }
            }
            late
        });
        let mut seen = Vec::new();
        let mut last = Instant::now();
        let end = pool.run(jobs, &mut |job, observation| {
            let now = Instant::now();
            seen.push(Seen { job, observation, took: now - last });
            last = now;
            Vec::new()
        });
        drop(done);
        let is_late = watchdog.join().expect("the watchdog ends");
        let pids = pool.pids();
        let ending = Instant::now();
        drop(pool);
        let end_took = ending.elapsed();
        assert_nothing_remains(&self.mark);
        assert!(!is_late, "a run did not end within {PATIENCE:?}: {seen:#?}");
        assert_eq!(end, PoolEnd::Finished);
        assert_eq!(seen.len(), count, "every job has one observation: {seen:#?}");
        assert!(end_took < END_MAX, "the pool took {end_took:?} to end");
        assert!(!pids.into_iter().any(process_alive), "a supervisor lives");
        seen.sort_by_key(|seen| seen.job.id);
        seen
    }
}
