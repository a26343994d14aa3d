//! The cases: what each child does and how it must end.
//!
//! Deliberately absent: rates; the scenario files tell them.

use std::sync::atomic::{AtomicBool, Ordering};

use hotfire_host::{EngineError, EngineKind, EngineState};
use hotfire_llama::Llama;

use crate::child::{Slot, count_of, create, lanes, mappings};

/// A child to run.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) body: fn(),
    pub(crate) ending: Ending,
    /// Fresh children until the ending is seen; more than one for races alone.
    pub(crate) attempts: u32,
    /// Whether llama.cpp must be fetched.
    pub(crate) needs_libraries: bool,
}

#[derive(Debug)]
pub(crate) enum Ending {
    /// Every assertion of the body holds and the child exits with 0.
    Healthy,
    /// One of these signals, after the child said that it begins this step.
    Signal { signals: &'static [i32], during: &'static str },
    /// The child exits with 0 and these words are on stderr.
    Complaint(&'static str),
}

const fn healthy(name: &'static str, body: fn()) -> Case {
    Case { name, body, ending: Ending::Healthy, attempts: 1, needs_libraries: true }
}

const fn deadly(
    name: &'static str,
    body: fn(),
    signals: &'static [i32],
    during: &'static str,
) -> Case {
    Case { ending: Ending::Signal { signals, during }, ..healthy(name, body) }
}

pub(crate) const CASES: &[Case] = &[
    Case { needs_libraries: false, ..healthy("missing-libraries", missing_libraries) },
    Case { needs_libraries: false, ..healthy("settings", settings) },
    healthy("prepare", prepare),
    healthy("load", load),
    healthy("swap", swap),
    Case { ending: Ending::Complaint("failed to load model"), ..healthy("fail-init", fail_init) },
    healthy("concurrent-generate", concurrent_generate),
    healthy("shutdown", shutdown),
    healthy("cancel", cancel),
    healthy("illegal-steps", illegal_steps),
    healthy("reloads", reloads),
    healthy("corrupt-file", || Slot::new().fails("load corrupt")),
    healthy("truncated-file", || Slot::new().fails("load truncated")),
    deadly("free-model-first", free_model_first, &[libc::SIGSEGV], "generate 4"),
    deadly(
        "free-context-twice",
        free_context_twice,
        &[libc::SIGSEGV, libc::SIGABRT],
        "call free-context",
    ),
    Case {
        attempts: 5,
        ..deadly(
            "unlocked-generates",
            unlocked_generates,
            &[libc::SIGSEGV, libc::SIGABRT],
            "generate 250",
        )
    },
];

fn missing_libraries() {
    let error = Llama.prepare().expect_err("there is no such folder");
    assert!(
        matches!(&error, EngineError::Missing { help, .. } if help.starts_with("scripts/fetch-engines.sh llama")),
        "{error:?}"
    );
    assert_eq!(create(&[]).err(), Some(error));
}

fn settings() {
    for setting in [("lock", "maybe"), ("speed", "high"), ("threads", "0"), ("threads", "many")] {
        let result = create(&[setting]).err();
        assert!(matches!(result, Some(EngineError::Failed(_))), "{setting:?}: {result:?}");
    }
}

/// What lets a forkserver fork after `prepare`: no thread, no descriptor left open.
fn prepare() {
    let descriptors = count_of("fd");
    Llama.prepare().expect("prepare");
    assert_eq!(count_of("task"), 1);
    assert_eq!(count_of("fd"), descriptors);
    assert_eq!(std::env::var("GGML_NO_BACKTRACE").as_deref(), Ok("1"));
    Llama.prepare().expect("prepare again");
}

fn load() {
    let slot = Slot::new();
    assert_eq!(slot.state(), EngineState::Created);
    slot.step("load tiny");
    assert_eq!(slot.state(), EngineState::Ready);
    let first = slot.step("generate 32");
    assert_eq!(first.count, 32);
    assert_eq!(first.valid, [first.digest]);
    assert_eq!(slot.step("generate 32").digest, first.digest);
    assert_ne!(slot.step("generate 8").digest, first.digest);
    assert_eq!(slot.step("generate").count, 16);
    slot.step("unload");
    assert_eq!(slot.state(), EngineState::Created);
    slot.step("load tiny");
    assert_eq!(slot.step("generate 32").digest, first.digest);
    assert!(matches!(slot.try_step("generate 256"), Err(EngineError::Unsupported(_))));
    assert_eq!(slot.step("generate 255").count, 255);
}

fn swap() {
    let slot = Slot::new();
    slot.step("load tiny");
    let tiny = slot.step("generate 16").digest;
    slot.step("swap model=other");
    assert_ne!(slot.step("generate 16").digest, tiny);
    let threaded = Slot::with(&[("threads", "2")]);
    threaded.step("load tiny");
    assert_eq!(threaded.step("generate 16").digest, tiny);
    slot.fails("swap model=absent");
    assert_eq!(slot.state(), EngineState::Ready);
    slot.step("generate 16");
    slot.step("swap model=tiny");
    assert_eq!(slot.step("generate 16").digest, tiny);
}

fn fail_init() {
    let slot = Slot::new();
    slot.fails("load absent");
    assert_eq!(slot.state(), EngineState::Created);
    slot.fails("load corrupt");
    slot.illegal("generate 4");
    slot.step("load tiny");
    slot.step("generate 4");
}

fn concurrent_generate() {
    let slot = Slot::new();
    slot.step("load tiny");
    let generate = || {
        for _ in 0..20 {
            slot.step("generate 8");
        }
    };
    lanes(&[&generate, &generate, &generate]);
    // Swaps beside generates: each result must be one model's own.
    lanes(&[&generate, &|| {
        for _ in 0..10 {
            slot.step("swap model=other");
            slot.step("swap model=tiny");
        }
    }]);
}

fn shutdown() {
    let slot = Slot::new();
    slot.step("load tiny");
    slot.step("generate 8");
    slot.step("shutdown");
    assert_eq!(slot.state(), EngineState::Released);
    drop(slot);
    let loaded = Slot::new();
    loaded.step("load tiny");
    drop(loaded);
}

fn cancel() {
    let slot = Slot::new();
    slot.step("load tiny");
    let cancelled = AtomicBool::new(false);
    let generate = || {
        while slot.try_step("generate 255") != Err(EngineError::Cancelled) {}
        cancelled.store(true, Ordering::Release);
    };
    let cancel = || {
        while !cancelled.load(Ordering::Acquire) {
            slot.step("cancel");
            std::thread::yield_now();
        }
    };
    lanes(&[&generate, &cancel]);
    assert_eq!(slot.step("generate 8").count, 8);
}

fn illegal_steps() {
    let slot = Slot::new();
    for step in ["generate 4", "unload", "swap model=tiny", "call free-model", "call free-context"]
    {
        slot.illegal(step);
    }
    slot.step("load tiny");
    slot.illegal("load tiny");
    for step in ["export", "call dance"] {
        let result = slot.try_step(step);
        assert!(matches!(result, Err(EngineError::Unsupported(_))), "{step}: {result:?}");
    }
    for step in ["generate many", "generate 4 warm=yes", "load", "swap"] {
        let result = slot.try_step(step);
        assert!(matches!(result, Err(EngineError::Failed(_))), "{step}: {result:?}");
    }
    slot.step("cleanup");
    slot.step("cleanup");
    for step in ["load tiny", "generate 4", "unload", "swap model=tiny", "cancel"] {
        slot.illegal(step);
    }
    slot.step("shutdown");
    for step in ["cleanup", "shutdown", "load tiny"] {
        slot.illegal(step);
    }
}

fn reloads() {
    let slot = Slot::new();
    let reload = |times: u32| {
        for _ in 0..times {
            slot.step("load tiny");
            slot.step("unload");
        }
    };
    reload(20);
    let (descriptors, before) = (count_of("fd"), mappings());
    reload(180);
    assert_eq!(count_of("fd"), descriptors);
    assert_eq!(count_of("task"), 1);
    // A leak of one mapping per reload would add 180.
    assert!(mappings() <= before + 10, "{before} mappings became {}", mappings());
    slot.step("load tiny");
    slot.step("generate 8");
}

fn free_model_first() {
    let slot = Slot::new();
    slot.step("load tiny");
    slot.step("call free-model");
    slot.step("generate 4");
}

fn free_context_twice() {
    let slot = Slot::new();
    slot.step("load tiny");
    slot.step("call free-context");
    slot.step("call free-context");
}

/// Four lanes, and generates that outlast a time slice: a lane is stopped inside of a generate on
/// a single processor, too. A torn context may refuse all further work, so each round has its own.
fn unlocked_generates() {
    // SAFETY: no memory is passed; the signal's default action ends this child.
    unsafe { libc::alarm(10) };
    let slot = Slot::with(&[("lock", "off")]);
    let generate = || {
        for _ in 0..10 {
            // Refusals of a torn context are as right as crashes here.
            let _ = slot.try_step("generate 250");
        }
    };
    for _ in 0..10 {
        slot.step("load tiny");
        lanes(&[&generate, &generate, &generate, &generate]);
        slot.step("unload");
    }
}
