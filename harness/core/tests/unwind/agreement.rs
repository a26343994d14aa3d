//! Every frame of every thread is the one that gdb finds.

use std::path::{Path, PathBuf};

use hotfire_core::observe::FoundBy;
use hotfire_core::unwind::{EndReason, Stack, Unwinder};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::debugger;
use crate::fixture::{BIG_LIBRARY, C, CXX, Program, RUST, Variant};
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
    "overflow-handled",
    "over-aligned",
    "thread",
];
const CXX_MODES: &[&str] = &["throw", "throw-noexcept", "terminate", "store"];
const RUST_MODES: &[&str] = &["store", "sort", "panic", "overflow-handled", "thread"];
/// The path of a big stripped library that `scripts/big-library.c` knows to crash in.
const LIBRARY: &str = "HOTFIRE_BIG_LIBRARY";
/// Its pool, beside the thread that crashes.
const POOL: usize = 9;
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
    let trial = crate::trial("agrees-with-gdb-python3".into(), agrees_in_python);
    trials.push(trial.with_ignored_flag(missing || !python));
    let library = std::env::var_os(LIBRARY).map(PathBuf::from);
    if library.is_none() {
        eprintln!("SKIP unwind-big-library: no {LIBRARY}; help: scripts/test.sh sets it");
    }
    let can = library.is_some();
    let test = move || agrees_in_library(&library.unwrap());
    let trial = crate::trial("agrees-with-gdb-in-a-big-library".into(), test);
    trials.push(trial.with_ignored_flag(missing || !can));
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
    agrees_in(Path::new(PYTHON), script.to_str().unwrap(), 6);
}

/// A fault in a callback of a big stripped library, with its threads made and in the making.
fn agrees_in_library(library: &Path) {
    let program = Program::compile(BIG_LIBRARY);
    std::os::unix::fs::symlink(library, program.path().with_file_name("libbig.so")).unwrap();
    for threads in [0, POOL] {
        agrees_in(&program.path(), &threads.to_string(), threads);
    }
}

fn agrees_in(program: &Path, mode: &str, at_least: usize) {
    let stopped = Stopped::crash(program, mode, 8_192);
    let ours = stopped.unwind(&mut Unwinder::default());
    assert!(ours.len() >= at_least, "{} threads", ours.len());
    let different = differences(&stopped, &ours);
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn agrees(variant: Variant, modes: &[&str]) {
    let program = Program::compile(variant);
    let mut unwinder = Unwinder::default();
    let mut different = Vec::new();
    for mode in modes {
        let stopped = Stopped::crash(&program.path(), mode, STACK_KIB);
        let ours = stopped.unwind(&mut unwinder);
        let (_, crashed) = ours.iter().find(|(tid, _)| *tid == stopped.crashed).unwrap();
        assert!(is_of_mode(mode, crashed), "{mode}: {crashed:#x?}");
        let of_mode = differences(&stopped, &ours);
        different.extend(of_mode.into_iter().map(|text| format!("{mode}, {text}")));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The threads whose stacks differ from gdb's.
fn differences(stopped: &Stopped, ours: &[(i32, Stack)]) -> Vec<String> {
    stopped.release();
    let theirs = debugger::stacks(stopped.pid());
    assert_eq!(ours.len(), theirs.len(), "threads");
    let different = ours.iter().filter_map(|(tid, stack)| {
        Some(format!("thread {tid}: {}", compare(stack, &theirs[tid])?))
    });
    different.collect()
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
        "signal" | "overflow-handled" => (0, 1),
        _ => (0, 0),
    };
    let overflown = stack.cycle.is_some_and(|cycle| cycle.times > 500) && stack.omitted.is_some();
    (by_return_address, trampolines) == expected
        && overflown == mode.starts_with("overflow")
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
