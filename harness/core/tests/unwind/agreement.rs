//! Every frame of every thread is the one that gdb finds.

use std::path::Path;

use hotfire_core::unwind::{EndReason, FoundBy, Stack, Unwinder};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::debugger;
use crate::fixture::{C, CXX, Program, RUST, Variant};
use crate::stopped::Stopped;
use crate::trial;

/// Modes in which gdb is right.
const C_MODES: &[&str] = &[
    "plain",
    "inline",
    "wild",
    "non-canonical",
    "null",
    "no-execute",
    "memcpy",
    "double-free",
    "qsort",
    "signal",
    "null-handled",
    "overflow",
    "over-aligned",
    "thread",
];
const CXX_MODES: &[&str] = &["throw", "throw-noexcept", "terminate", "store"];
const RUST_MODES: &[&str] = &["store", "sort", "panic", "thread"];
const PYTHON: &str = "/usr/bin/python3";
/// So small that gdb can walk it when it overflows.
const STACK_KIB: u64 = 256;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = !debugger::is_here();
    if missing {
        eprintln!("SKIP unwind-agreement: no gdb with Python; help: apt-get install gdb");
    }
    let of = |variants: &'static [Variant], modes: &'static [&'static str]| {
        variants.iter().map(move |variant| {
            trial(format!("agrees-with-gdb-{}", variant.name), || agrees(*variant, modes))
                .with_ignored_flag(missing)
        })
    };
    let compiled = of(&C, C_MODES).chain(of(&CXX, CXX_MODES)).chain(of(&RUST, RUST_MODES));
    let mut trials: Vec<Trial> = compiled.collect();
    let python = Path::new(PYTHON).is_file();
    if !python {
        eprintln!("SKIP unwind-python: no {PYTHON}; help: apt-get install python3");
    }
    let trial = trial("agrees-with-gdb-python3".into(), agrees_in_python);
    trials.push(trial.with_ignored_flag(missing || !python));
    trials
}

/// Crashes in a callback from C, made at run time by libffi, below an interpreter without symbols;
/// other threads wait in all sorts of ways.
const SCRIPT: &str = "
import ctypes, queue, select, sys, threading, time
waits = [lambda: time.sleep(60), queue.Queue().get, threading.Event().wait,
         lambda: select.select([], [], [], 60), lambda: sorted([3, 2, 1], key=lambda _: time.sleep(60))]
for wait in waits:
    threading.Thread(target=wait, daemon=True).start()
print('ready', flush=True)
sys.stdin.buffer.raw.read(1)
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
callback = compare(lambda left, right: len(ctypes.string_at(0)))
ctypes.CDLL(None).qsort((ctypes.c_int * 4)(4, 2, 3, 1), 4, 4, callback)
";

fn agrees_in_python() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("crash.py");
    std::fs::write(&script, SCRIPT).unwrap();
    let stopped = Stopped::crash(Path::new(PYTHON), script.to_str().unwrap(), 8_192);
    let ours = stopped.unwind(&mut Unwinder::default());
    stopped.release();
    let theirs = debugger::stacks(stopped.pid());
    assert_eq!((ours.len(), theirs.len()), (6, 6));
    for (tid, stack) in ours {
        if let Some(text) = compare(&stack, &theirs[&tid]) {
            unreachable!("thread {tid}: {text}");
        }
    }
}

fn agrees(variant: Variant, modes: &[&str]) {
    let program = Program::compile(variant);
    let mut unwinder = Unwinder::default();
    let mut differences = Vec::new();
    for mode in modes {
        let stopped = Stopped::crash(&program.path(), mode, STACK_KIB);
        let ours = stopped.unwind(&mut unwinder);
        stopped.release();
        let theirs = debugger::stacks(stopped.pid());
        assert_eq!(ours.len(), theirs.len(), "{mode}: threads");
        for (tid, stack) in ours {
            if tid == stopped.crashed {
                assert!(is_of_mode(mode, &stack), "{mode}: {stack:#x?}");
            }
            let text = compare(&stack, &theirs[&tid]);
            differences.extend(text.map(|text| format!("{mode}, thread {tid}: {text}")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Whether the crash was of the kind that its mode names: two empty stacks would agree, too.
fn is_of_mode(mode: &str, stack: &Stack) -> bool {
    let by_return_address =
        stack.frames.iter().filter(|frame| frame.found_by == FoundBy::ReturnAddress).count();
    let trampolines = stack.frames.iter().filter(|frame| frame.signal_trampoline).count();
    // A call of a non-canonical address faults itself, before it pushes its return address.
    let expected = match mode {
        "wild" | "null" | "no-execute" => (1, 0),
        "null-handled" => (1, 1),
        "signal" => (0, 1),
        _ => (0, 0),
    };
    let overflown = stack.cycle.is_some_and(|cycle| cycle.times > 500) && stack.omitted.is_some();
    (by_return_address, trampolines) == expected
        && overflown == (mode == "overflow")
        && stack.frames.len() >= 5
        && stack.end == EndReason::Outermost
}

/// Both stacks beside each other, if they differ.
fn compare(ours: &Stack, theirs: &[(u64, String)]) -> Option<String> {
    let hole = ours.omitted.map_or((ours.frames.len(), 0), |hole| {
        (hole.before, usize::try_from(hole.frames).unwrap())
    });
    let kept = |index: usize| if index < hole.0 { Some(index) } else { index.checked_sub(hole.1) };
    let length = ours.frames.len() + hole.1;
    let same = length == theirs.len()
        && theirs.iter().enumerate().all(|(index, (pc, _))| match kept(index) {
            Some(place) if index < hole.0 || index >= hole.0 + hole.1 => {
                ours.frames[place].pc == *pc
            }
            _ => true,
        });
    let sure = ours.frames.iter().all(|frame| !frame.doubtful && frame.found_by != FoundBy::Scan);
    if same && sure {
        return None;
    }
    let ours_text: Vec<String> = ours
        .frames
        .iter()
        .take(40)
        .map(|frame| {
            format!("{:#x} {:?}{}", frame.pc, frame.found_by, if frame.doubtful { "?" } else { "" })
        })
        .collect();
    let theirs_text: Vec<String> =
        theirs.iter().take(40).map(|(pc, name)| format!("{pc:#x} {name}")).collect();
    Some(format!(
        "{length} frames, gdb {}; ended: {:?}\n  ours\n    {}\n  gdb's\n    {}",
        theirs.len(),
        ours.end,
        ours_text.join("\n    "),
        theirs_text.join("\n    ")
    ))
}
