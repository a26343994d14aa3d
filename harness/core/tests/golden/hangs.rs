//! Runs that came to a halt: who waits for whom, and what each class needs.
//!
//! Deliberately absent: whether threads really stand so; real programs show that.

use hotfire_core::observe::StallReason;
use serde_json::{Value, from_value, json};

use crate::build::{CHILD, Case, healthy};
use crate::rules::RuleCases;

const PLAN: &str = "create a = reference; load a tiny; generate a 16; exit";
/// A process that the child made, and a thread of it.
pub(crate) const OTHER: i32 = 200;

/// It sat in the same call all the time.
pub(crate) fn still() -> Value {
    progress(json!({"looks_in_call": 3, "same_call": true}))
}

/// It slept anew again and again.
pub(crate) fn restless() -> Value {
    progress(json!({"looks_in_call": 3, "same_call": true, "switches": 9}))
}

/// It ran all the time, in the innermost function.
fn busy() -> Value {
    progress(json!({"cpu_us": 60_000, "queued_us": 140_000}))
}

fn progress(changes: Value) -> Value {
    let mut all = json!({
        "looks": 3, "over_us": 200_000, "cpu_us": 0, "queued_us": 0, "switches": 0,
        "transfers": 0, "looks_in_call": 0, "same_call": false, "frames_common": 3,
        "same_function": true,
    });
    for (key, value) in changes.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"known": all})
}

pub(crate) fn futex(kind: &str, owner: Option<i32>) -> Value {
    json!({"futex": {
        "address": 0x1000, "untimed": true, "private": true, "owner": owner,
        "lock": {"kind": kind, "address": 0x1000},
    }})
}

fn gone(owner: i32) -> Value {
    let mut wait = futex("mutex", None);
    wait["futex"]["lock"]["owner_gone"] = owner.into();
    wait
}

pub(crate) fn pipe(untimed: bool, peers: &[i32]) -> Value {
    let descriptor = json!({"number": 3, "target": "pipe:[77]", "peers": {"known": peers}});
    json!({"descriptors": {"number": 0, "untimed": untimed, "descriptors": [descriptor]}})
}

pub(crate) fn child(pid: i32) -> Value {
    json!({"child": {"pid": pid, "endless": true}})
}

const ENGINE: [(&str, &str); 3] =
    [("libc.so.6", "wait"), ("libengine.so", "engine::swap"), ("libengine.so", "engine::run")];
const PYTHON: [(&str, &str); 3] = [
    ("libc.so.6", "wait"),
    ("libpython3.11.so", "take_gil"),
    ("libpython3.11.so", "_PyEval_EvalFrameDefault"),
];
const EXTENSION: [(&str, &str); 3] = [
    ("libc.so.6", "sleep"),
    ("libextension.so", "work_for"),
    ("libpython3.11.so", "_PyEval_EvalFrameDefault"),
];

pub(crate) fn thread(tid: i32, wait: Value, progress: Value) -> Value {
    thread_in(tid, wait, progress, &ENGINE)
}

fn thread_in(tid: i32, wait: Value, progress: Value, frames: &[(&str, &str)]) -> Value {
    let frame = |(module, function): &(&str, &str)| {
        let module = format!("/lib/{module}");
        let place = json!({"pc": 1, "module": module, "offset": 1, "function": function});
        json!({"pc": 1, "found_by": "unwind-info", "location": {"known": place}})
    };
    let frames: Vec<Value> = frames.iter().map(frame).collect();
    let pid = if tid < OTHER { CHILD } else { OTHER };
    json!({
        "pid": pid, "tid": tid, "name": "worker", "state": "S", "wait": wait,
        "stack": {"known": {"frames": frames, "end": ""}}, "progress": progress,
    })
}

/// It waits for the interpreter's lock, in all looks.
pub(crate) fn waits_for_interpreter(tid: i32) -> Value {
    thread_in(tid, json!("interpreter_lock"), progress(json!({})), &PYTHON)
}

fn process(pid: i32, threads: u32, fork: Value, holder: Value) -> Value {
    json!({
        "pid": pid, "parent": if pid == CHILD { 1 } else { CHILD }, "command": "engine --serve",
        "threads": threads, "fork": fork, "interpreter_lock": holder,
    })
}

fn alone(threads: u32) -> Vec<Value> {
    vec![process(CHILD, threads, Value::Null, json!({"known": null}))]
}

/// A child that was forked when its parent had these threads.
pub(crate) fn with_forked(threads: u32, parents: &[i32]) -> Vec<Value> {
    let fork = json!({"parent": CHILD, "threads": parents});
    [alone(1), vec![process(OTHER, threads, fork, json!({"known": null}))]].concat()
}

pub(crate) fn stalled(processes: Vec<Value>, threads: Vec<Value>) -> Case {
    stalled_by("run_limit", processes, threads)
}

fn stalled_by(reason: &str, processes: Vec<Value>, threads: Vec<Value>) -> Case {
    let mut case = healthy(PLAN).in_step(3).stalled(StallReason::RunLimit, Vec::new());
    let stall = json!({
        "reason": reason, "quiet_us": 150_000, "threads": threads, "processes": processes,
    });
    case.observation.stall = Some(from_value(stall).unwrap());
    case
}

pub(crate) fn deadlock() -> RuleCases {
    let crossed = |progress: Value| {
        let first = thread(CHILD, futex("mutex", Some(101)), progress);
        stalled(alone(2), vec![first, thread(101, futex("mutex", Some(CHILD)), still())])
    };
    RuleCases {
        rule: "deadlock",
        fires: crossed(still()),
        twins: vec![
            // They contend for two locks, and go on.
            crossed(restless()),
            // Nobody looked twice, and the run was not ended for its waits.
            crossed(json!({"unavailable": "not watched"})),
            // One holds what the other wants, and itself waits for an event.
            stalled(
                alone(2),
                vec![
                    thread(CHILD, futex("mutex", Some(101)), still()),
                    thread(101, futex("condition-variable", None), still()),
                ],
            ),
        ],
    }
}

pub(crate) fn held_across_fork() -> RuleCases {
    let case = |gone_owner: i32, progress: Value| {
        let parent = thread(CHILD, child(OTHER), still());
        stalled(
            with_forked(1, &[CHILD, 101]),
            vec![parent, thread(OTHER, gone(gone_owner), progress)],
        )
    };
    RuleCases {
        rule: "held-across-fork",
        fires: case(101, still()),
        twins: vec![
            // The owner was a thread of this process, and ended without releasing it.
            case(209, still()),
            case(101, restless()),
        ],
    }
}

pub(crate) fn fork_orphaned_lock() -> RuleCases {
    let case = |parents: &[i32], own: u32, threads: Vec<Value>| {
        let parent = thread(CHILD, child(OTHER), still());
        stalled(with_forked(own, parents), [vec![parent], threads].concat())
    };
    let waiter = |progress| thread(OTHER, futex("pool", None), progress);
    RuleCases {
        rule: "fork-orphaned-lock",
        fires: case(&[CHILD, 101], 1, vec![waiter(still())]),
        twins: vec![
            // Its parent had no thread that it has not.
            case(&[CHILD], 1, vec![waiter(still())]),
            // It waits for a child of its own.
            case(&[CHILD, 101], 1, vec![thread(OTHER, child(300), still())]),
            // Another thread of its own computes, and may give the wake-up.
            case(&[CHILD, 101, 102], 2, vec![waiter(still()), thread(201, json!("none"), busy())]),
            case(&[CHILD, 101], 1, vec![waiter(restless())]),
        ],
    }
}

pub(crate) fn locks_of_each_other() -> RuleCases {
    let case = |kind: &str, progress: Value| {
        let first = thread(CHILD, futex(kind, None), still());
        stalled(alone(2), vec![first, thread(101, futex(kind, None), progress)])
    };
    RuleCases {
        rule: "locks-of-each-other",
        fires: case("nameless-lock", still()),
        twins: vec![
            case("condition-variable", still()),
            // A semaphore of an interpreter is a lock or a message: not to be told.
            case("language-lock", still()),
            case("nameless-lock", restless()),
            // In memory that processes share, another one may hold it.
            {
                let mut shared = futex("nameless-lock", None);
                shared["futex"]["private"] = json!(false);
                let first = thread(CHILD, shared.clone(), still());
                stalled(alone(2), vec![first, thread(101, shared, still())])
            },
        ],
    }
}

pub(crate) fn interpreter_lock_held() -> RuleCases {
    let case = |waiters: Value, holder: Value, frames: &[(&str, &str)]| {
        let processes = vec![process(CHILD, 2, Value::Null, json!({"known": CHILD}))];
        let sleeps = json!({"syscall": {"number": 230, "endless": false}});
        let holder = thread_in(CHILD, sleeps, holder, frames);
        let waiter = thread_in(101, json!("interpreter_lock"), waiters, &PYTHON);
        stalled(processes, vec![holder, waiter])
    };
    let returned = || progress(json!({"frames_common": 1}));
    let stays = || progress(json!({}));
    RuleCases {
        rule: "interpreter-lock-held",
        fires: case(stays(), stays(), &EXTENSION),
        twins: vec![
            // It got the lock in between.
            case(returned(), stays(), &EXTENSION),
            // A program of the interpreter's own that computes.
            case(stays(), stays(), &PYTHON[1..]),
            // Native code that is called again and again.
            case(stays(), returned(), &EXTENSION),
        ],
    }
}

fn busy_loop() -> RuleCases {
    let case = |changes: Value| {
        let mut all = busy();
        for (key, value) in changes.as_object().unwrap() {
            all["known"][key] = value.clone();
        }
        let frames = [("engine", "engine::spin"), ("engine", "a"), ("engine", "b")];
        let frames =
            [&frames[..], &[("engine", "c"), ("engine", "d"), ("engine", "main")]].concat();
        stalled(alone(1), vec![thread_in(CHILD, json!("none"), all, &frames)])
    };
    RuleCases {
        rule: "busy-loop",
        fires: case(json!({})),
        twins: vec![
            case(json!({"cpu_us": 20_000, "queued_us": 10_000})),
            case(json!({"transfers": 4})),
            case(json!({"frames_common": 1, "same_function": false})),
        ],
    }
}

fn blocked_io() -> RuleCases {
    let case =
        |wait: Value, progress: Value| stalled(alone(1), vec![thread(CHILD, wait, progress)]);
    RuleCases {
        rule: "blocked-io",
        fires: case(pipe(true, &[CHILD]), still()),
        twins: vec![
            case(futex("once", None), still()),
            case(pipe(false, &[CHILD]), still()),
            case(pipe(true, &[CHILD]), restless()),
        ],
    }
}

fn lost_wakeup() -> RuleCases {
    let event = || thread(CHILD, futex("condition-variable", None), still());
    let beside = |wait: Value, progress: Value| {
        stalled(alone(2), vec![event(), thread(101, wait, progress)])
    };
    let mut timed = futex("condition-variable", None);
    timed["futex"]["untimed"] = false.into();
    let forked = thread(OTHER, futex("semaphore", None), still());
    let parent = thread(CHILD, child(OTHER), still());
    RuleCases {
        rule: "lost-wakeup",
        fires: beside(futex("semaphore", None), still()),
        twins: vec![
            stalled(alone(1), vec![thread(CHILD, pipe(true, &[]), still())]),
            // It waits for a process that nobody sees.
            stalled(alone(1), vec![thread(CHILD, child(300), still())]),
            beside(timed, still()),
            beside(futex("semaphore", None), restless()),
            // Who holds that lock may be the one who should signal.
            beside(futex("language-lock", None), still()),
            stalled(with_forked(1, &[CHILD, 101]), vec![parent, forked]),
        ],
    }
}

pub(crate) fn cases() -> Vec<RuleCases> {
    vec![
        deadlock(),
        held_across_fork(),
        fork_orphaned_lock(),
        locks_of_each_other(),
        interpreter_lock_held(),
        busy_loop(),
        blocked_io(),
        lost_wakeup(),
    ]
}

#[test]
fn a_deadlock_names_both_sides() {
    let finding = deadlock().fires.finding();
    let edges: Vec<_> = finding
        .deadlock
        .iter()
        .map(|edge| (edge.tid, edge.waits_for.as_str(), edge.owner))
        .collect();
    assert_eq!(edges, [(CHILD, "0x1000", 101), (101, "0x1000", CHILD)]);
    let line = &finding.evidence[0].text;
    let first = "thread 100 `worker` waits for mutex 0x1000, held by thread 101, in engine::swap";
    assert!(line.starts_with(first), "{line}");
    assert_eq!(finding.culprit.unwrap().module, "libengine.so");
}

#[test]
fn a_parent_that_waits_is_no_victim() {
    let finding = fork_orphaned_lock().fires.finding();
    let victim = finding.victim.as_ref().unwrap();
    assert_eq!((victim.pid, victim.relation.as_str()), (OTHER, "child"));
    let parent =
        "of process 100 `engine --serve`: thread 100 `worker` waits for the end of process 200";
    assert!(finding.evidence.iter().any(|line| line.text.contains(parent)), "{finding:#?}");
}

#[test]
fn a_child_that_its_parent_does_not_read_from_is_in_a_circle_with_it() {
    let mut write = pipe(true, &[CHILD]);
    write["descriptors"]["descriptors"][0]["to_write"] = true.into();
    let parent = thread(CHILD, child(OTHER), still());
    let case = |writer: Value| {
        let writer = thread(OTHER, writer, still());
        stalled(with_forked(1, &[CHILD]), vec![parent.clone(), writer])
    };
    let finding = case(write).finding();
    assert_eq!(finding.class, "deadlock", "{finding:#?}");
    assert_eq!(finding.deadlock[0].waits_for, "process 200");
    // Nobody reads: that pipe's other end is somewhere else.
    assert_eq!(case(pipe(true, &[])).finding().class, "blocked-io");
}

#[test]
fn the_interpreters_lock_is_part_of_a_circle() {
    let processes = vec![process(CHILD, 2, Value::Null, json!({"known": CHILD}))];
    let holder = thread_in(CHILD, futex("mutex", Some(101)), still(), &EXTENSION);
    let waits = progress(json!({}));
    let waiter = thread_in(101, json!("interpreter_lock"), waits, &PYTHON);
    let finding = stalled(processes, vec![holder, waiter]).finding();
    assert_eq!(finding.class, "deadlock", "{finding:#?}");
    assert_eq!(finding.deadlock[1].waits_for, "the interpreter's lock");
}

#[test]
fn where_no_rule_decides_each_wait_is_told() {
    let case = |reason: &str| {
        let threads = vec![thread(CHILD, futex("language-lock", None), still())];
        stalled_by(reason, alone(1), threads).finding()
    };
    let finding = case("endless_wait");
    assert_eq!((finding.class.as_str(), finding.code.as_str()), ("unknown", "H301"));
    let told = "thread 100 `worker` waits for lock 0x1000, in engine::swap (libengine.so)";
    assert!(finding.evidence.iter().any(|line| line.text == told), "{finding:#?}");
}
