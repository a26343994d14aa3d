//! The front's side: a supervisor that is killed, one that is asked to end, one that may not
//! trace, and programs that cannot be started.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use hotfire_core::campaign::{Pool, PoolConfig};
use hotfire_core::observe::{Ending, LaunchMode};
use hotfire_core::supervise::Job;
use hotfire_sys::{end_process, procfs, terminate_process};

use crate::common::build;
use crate::common::remains::{marked, wait_until};
use crate::common::stand::{Seen, Stand};

/// How long a process may take to get going on a busy machine.
const START_NS: u64 = 10_000_000_000;

/// A worker ends while it runs an endless child; five more jobs are there for the other.
fn run_while_a_worker_ends(stand: &Stand, mode: LaunchMode, end: fn(i32)) -> Vec<Seen> {
    let pool = stand.pool(2);
    let pids = pool.pids();
    let mark = stand.mark().to_owned();
    let ender = std::thread::spawn(move || {
        let mut supervisor = None;
        wait_until(START_NS, || {
            supervisor = marked(&mark).into_iter().find_map(|pid| supervisor_of(pid, &pids));
            supervisor.is_some()
        });
        end(supervisor.expect("the endless child runs"));
    });
    let mut jobs = vec![stand.job(0, "ignores-term", mode)];
    jobs.extend((1..6).map(|id| stand.job(id, "exit 3", mode)));
    let seen = stand.run(pool, jobs);
    ender.join().expect("somebody was ended");
    seen
}

/// The supervisor above a process that loops.
fn supervisor_of(pid: i32, supervisors: &[i32]) -> Option<i32> {
    if procfs::stat(pid).ok()?.name != "fx-loop" {
        return None;
    }
    let parents = std::iter::successors(Some(pid), |pid| Some(procfs::stat(*pid).ok()?.parent));
    parents.take(8).find(|parent| supervisors.contains(parent))
}

fn assert_others_are_done(seen: &[Seen]) {
    for other in &seen[1..] {
        assert_eq!(other.observation.ending, Ending::Exited(3), "{other:#?}");
    }
}

fn a_killed_supervisor(mode: LaunchMode) {
    let stand = Stand::new();
    let seen = run_while_a_worker_ends(&stand, mode, |pid| {
        end_process(pid).expect("it runs");
    });
    let Ending::ObserverLost(reason) = &seen[0].observation.ending else { panic!("{seen:#?}") };
    assert!(reason.contains("signaled(9)"), "{reason}");
    assert_others_are_done(&seen);
}

#[test]
fn a_killed_supervisor_costs_one_observation_spawn() {
    a_killed_supervisor(LaunchMode::Spawn);
}

#[test]
fn a_killed_supervisor_costs_one_observation_fork() {
    a_killed_supervisor(LaunchMode::Fork);
}

#[test]
fn a_supervisor_that_is_asked_to_end_does_so_at_once() {
    let stand = Stand::new();
    let seen = run_while_a_worker_ends(&stand, LaunchMode::Spawn, |pid| {
        terminate_process(pid).expect("it runs");
    });
    let Ending::ObserverLost(reason) = &seen[0].observation.ending else { panic!("{seen:#?}") };
    assert!(reason.contains("exited(0)"), "{reason}");
    assert!(seen.iter().all(|seen| seen.took < Duration::from_secs(3)), "{seen:#?}");
    assert_others_are_done(&seen);
}

#[test]
fn a_refused_ptrace_is_said() {
    let stand = Stand::new();
    let script = stand.path("hotfire-without-ptrace");
    let text = format!(
        "#!/bin/sh\nexec '{}' '{}' \"$@\"\n",
        build::no_ptrace().display(),
        stand.command().display()
    );
    std::fs::write(&script, text).expect("a script");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("a script");
    let program = script.display().to_string();
    let pool = Pool::start(PoolConfig { program, workers: 1, owns_process: false });
    let jobs =
        vec![stand.job(0, "exit 0", LaunchMode::Spawn), stand.job(1, "exit 0", LaunchMode::Fork)];
    for seen in stand.run(pool.expect("a pool"), jobs) {
        let Ending::ObserverLost(reason) = &seen.observation.ending else { panic!("{seen:#?}") };
        assert!(reason.contains("ptrace") && reason.contains("EPERM"), "{reason}");
    }
}

/// Runs a program that cannot be run; says why it was not started.
fn refusal(job: Job, stand: &Stand) -> String {
    let seen = stand.run(stand.pool(1), vec![job]);
    let Ending::NotStarted(reason) = &seen[0].observation.ending else { panic!("{seen:#?}") };
    reason.clone()
}

#[test]
fn a_program_that_is_not_there_is_said() {
    for mode in [LaunchMode::Spawn, LaunchMode::Fork] {
        let stand = Stand::new();
        let mut job = stand.job(0, "exit 0", mode);
        job.host.program = stand.path("nothing").display().to_string();
        let reason = refusal(job, &stand);
        assert!(reason.contains("No such file"), "{reason}");
    }
}

#[test]
fn a_program_that_is_none_is_said() {
    for mode in [LaunchMode::Spawn, LaunchMode::Fork] {
        let stand = Stand::new();
        let mut job = stand.job(0, "exit 0", mode);
        let file = stand.path("text");
        std::fs::write(&file, "no program").expect("a file");
        job.host.program = file.display().to_string();
        let reason = refusal(job, &stand);
        assert!(reason.contains("ermission denied"), "{reason}");
    }
}

/// A forkserver that ends instead of saying a word: the run is spawned, and the note says why.
#[test]
fn a_forkserver_that_ends_is_replaced_by_spawning() {
    let stand = Stand::new();
    let mut job = stand.job(0, "exit 0", LaunchMode::Fork);
    job.host.program = "/bin/true".to_owned();
    let seen = stand.run(stand.pool(1), vec![job]);
    let observation = &seen[0].observation;
    assert_eq!((&observation.ending, observation.mode), (&Ending::Exited(0), LaunchMode::Spawn));
    let note = observation.mode_note.as_deref().unwrap_or_default();
    assert!(note.contains("the forkserver ended by itself"), "{note}");
}

/// A forkserver that takes too long for a child costs one wait; its late child is nobody's root.
#[test]
fn a_forkserver_that_is_late_is_not_asked_again() {
    let stand = Stand::new();
    let jobs = [0, 1].map(|id| {
        let mut job = stand.job(id, "exit 3", LaunchMode::Fork);
        job.host.environment.push("FIXTURE_FORKS_LATE=1".to_owned());
        job
    });
    let seen = stand.run(stand.pool(1), jobs.to_vec());
    for seen in &seen {
        let observation = &seen.observation;
        assert_eq!(
            (&observation.ending, observation.mode),
            (&Ending::Exited(3), LaunchMode::Spawn)
        );
        let note = observation.mode_note.as_deref().unwrap_or_default();
        assert!(note.contains("not born in time"), "{note}");
        assert!(observation.descendants.is_empty(), "{observation:#?}");
    }
    assert!(seen[1].took < Duration::from_secs(4), "{seen:#?}");
}

/// A forkserver is renewed after 64 children; nobody notices.
#[test]
fn many_forks_stay_forks() {
    let stand = Stand::new();
    let jobs = (0..200).map(|id| stand.job(id, "exit 3", LaunchMode::Fork)).collect();
    for seen in stand.run(stand.pool(2), jobs) {
        assert_eq!(seen.observation.ending, Ending::Exited(3));
        assert_eq!((seen.observation.mode, &seen.observation.mode_note), (LaunchMode::Fork, &None));
    }
}
