//! Classes that plans show, and those of commands that take more than a command: what outlives it,
//! and a control group without memory. Every class stands beside twins that differ in one mechanism.
//!
//! Deliberately absent: how often and in which step; the scenarios and `census` tell that.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::Case;
use crate::classes::built;
use crate::exec::DAEMON;
use crate::told::{NONE, Told, check, finding, healthy, told};
use crate::workshop::{LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("runs-that-leave-more-from-turn-to-turn", growing),
    ("runs-that-break-a-contract", contracts),
    ("runs-with-a-loop-that-beats", beats),
    ("runs-that-leave-processes", leftovers),
];

/// Twenty turns.
macro_rules! turns {
    ($engine:literal) => {
        concat!("create a = ", $engine, "; 20x(load a tiny; unload a); exit")
    };
}

/// Of plans: what it is told, and the plan.
type Planned = (Told, &'static str);

const fn leak(way: &'static str, class: &'static str) -> Told {
    told(way, class, class, "")
}

const GENERATES: &str = "create a = reference; load a tiny; 20x(generate a 4); exit";
const GENERATES_WITH_LEAK: &str =
    "create a = reference:defect=leak-fd; load a tiny; 20x(generate a 4); exit";

pub(crate) const GROWING: &[Planned] = &[
    (leak("leak-fd", "fd-leak"), turns!("reference:defect=leak-fd")),
    (leak("leak-memory", "memory-growth"), turns!("reference:defect=leak-memory")),
    (leak("leak-thread", "thread-leak"), turns!("reference:defect=leak-thread")),
    (
        leak("leak-semaphore", "semaphore-leak"),
        "create a = reference:defect=leak-semaphore; load a tiny; exit",
    ),
    (healthy("no-leak"), turns!("reference")),
    (healthy("unlinked-semaphore"), "create a = reference:semaphore=1; load a tiny; exit"),
    (healthy("one-load"), GENERATES),
    (healthy("one-leak"), GENERATES_WITH_LEAK),
];

/// What a library does with each load.
pub(crate) const LOADED: &[Planned] = &[
    (leak("listens", "port-leak"), turns!("reference")),
    (healthy("listens-once"), turns!("reference")),
    (healthy("listens-and-closes"), turns!("reference")),
    (leak("opens", "fd-leak"), turns!("reference")),
    (leak("shares", "shm-leak"), ONE_LOAD),
    (healthy("shares-and-unlinks"), ONE_LOAD),
    (told("exits-3", "nonzero-exit", NONE, ""), ONE_LOAD),
    (told("exits-0", "clean-exit", NONE, ""), ONE_LOAD),
];

/// Names that outlive a run are seen by whatever else looks at that moment: there are few of them.
const ONE_LOAD: &str = "create a = reference; load a tiny; exit";

const SWAPS: &str =
    "[4x generate a 500 | 4x(pause 3ms; swap a model=other; pause 3ms; swap a model=tiny)]";

pub(crate) const CONTRACTS: &[Planned] = &[
    (
        told("illegal-taken", "contract-violation", NONE, ""),
        "create a = reference:defect=accepts-illegal; generate a 4; exit",
    ),
    (healthy("illegal-refused"), "create a = reference; generate a 4; exit"),
    (
        healthy("only-legal-steps"),
        "create a = reference:defect=accepts-illegal; load a tiny; generate a 4; exit",
    ),
    (
        told("swap-in-generate", "torn-result", NONE, ""),
        "create a = reference:defect=torn-swap; load a tiny; SWAPS; exit",
    ),
    (healthy("swap-waits-for-generate"), "create a = reference; load a tiny; SWAPS; exit"),
    (
        healthy("swap-behind-generate"),
        "create a = reference:defect=torn-swap; load a tiny; 4x generate a 500; swap a model=other; exit",
    ),
];

/// With heartbeats that are watched.
pub(crate) const BEATS: &[Planned] = &[
    (
        told("export-on-loop", "missed-heartbeat", NONE, ""),
        "create a = reference:defect=loop-freeze,export=thread; load a tiny; export a ms=600 on=loop; exit",
    ),
    (
        healthy("export-handed-over"),
        "create a = reference:export=thread; load a tiny; export a ms=600 on=loop; exit",
    ),
    (
        healthy("export-beside-loop"),
        "create a = reference:defect=loop-freeze,export=thread; load a tiny; export a ms=600; exit",
    ),
    (
        healthy("short-export-on-loop"),
        "create a = reference:defect=loop-freeze,export=thread; load a tiny; export a ms=1 on=loop; exit",
    ),
];

/// Of shells, under `--leftovers fail`.
pub(crate) const LEFTOVERS: &[Planned] = &[
    (told("daemon", "orphan-process", NONE, ""), DAEMON),
    (healthy("daemon-ended"), "setsid sleep 120 & kill $!; wait"),
    (healthy("daemon-awaited"), "setsid sleep 0.05 & wait"),
    (healthy("daemon-ends-in-time"), "setsid sleep 0.05 < /dev/null > /dev/null 2>&1 &"),
];

/// In a control group: by the kernel for want of memory; by a process of the group; not at all.
pub(crate) const GROUPED: &[Planned] = &[
    (told("too-much-memory", "oom-kill", "oom-kill", ""), "import sys; b = bytearray(1 << 29)"),
    (healthy("memory-within-limit"), "import sys; b = bytearray(1 << 20)"),
    (
        told("killed-in-group", "external-kill", "killed", ""),
        "import os, subprocess, time\n\
         subprocess.run(['sh', '-c', f'kill -KILL {os.getpid()}']); time.sleep(120)",
    ),
];
/// The same without a group.
pub(crate) const UNGROUPED: &[Planned] = &[(healthy("too-much-memory"), GROUPED[0].1)];

const LIBRARY: (&str, &str) = ("loaded.c", include_str!("../fixtures/plans/loaded.c"));
/// Where version 1 of control groups limits memory.
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";
const GROUP_BYTES: &str = "268435456";

pub(crate) fn trials() -> Vec<Trial> {
    // Only those who may make control groups can show that.
    let procs = Path::new(MEMORY_GROUPS).join("cgroup.procs");
    let is_here = std::fs::File::options().append(true).open(procs).is_ok();
    let run = || {
        grouped();
        Ok(())
    };
    vec![Trial::test("runs-in-a-control-group", run).with_ignored_flag(!is_here)]
}

fn of_plan(plan: &str, options: &[&str]) -> Value {
    let workshop = Workshop::new();
    let plan = plan.replace("SWAPS", SWAPS);
    let arguments = [&["run", "--plan", &plan, "--json", "out.json"], options].concat();
    let done = workshop.run(&arguments);
    let finding = workshop.json("out.json")["findings"][0].clone();
    assert_eq!(done.status == 100, !finding.is_null(), "{plan}: {}", done.stderr);
    finding
}

fn growing() {
    for (case, plan) in GROWING {
        check(&of_plan(plan, &[]), case);
    }
    for (case, plan) in LOADED {
        let way = format!("-DWAY=\"{}\"", case.way);
        let compiler = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", &way];
        let library = built("loaded.so", &[LIBRARY], &compiler);
        let plan = format!("env LD_PRELOAD=\"{}\"; {plan}", library.display());
        check(&of_plan(&plan, &[]), case);
    }
}

fn contracts() {
    for (case, plan) in CONTRACTS {
        check(&of_plan(plan, &[]), case);
    }
}

fn beats() {
    for (case, plan) in BEATS {
        check(&of_plan(plan, &["--beat", "400ms"]), case);
    }
}

fn leftovers() {
    let workshop = Workshop::new();
    for (case, text) in LEFTOVERS {
        let finding = finding(&workshop, &["--leftovers", "fail"], &["sh", "-c", text]);
        check(&finding, case);
    }
}

/// A control group with a limit; it goes with its last process.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let path = Path::new(MEMORY_GROUPS).join(format!("hotfire-twins-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("memory.limit_in_bytes"), GROUP_BYTES).unwrap();
        Self(path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A test that fails may leave processes in it.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn grouped() {
    let (workshop, group) = (Workshop::new(), Group::new());
    for (case, program) in GROUPED {
        let text = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", text]).arg(&group.0).arg(workshop.program());
        command.args(["exec", "--json", "out.json", "--", "python3", "-c", program]);
        workshop.furnish(&mut command);
        let done = Started::new(&mut command).finish(LIMIT);
        let finding = workshop.json("out.json")["findings"][0].clone();
        assert_eq!(done.status == 100, !finding.is_null(), "{}", done.stderr);
        check(&finding, case);
    }
    for (case, program) in UNGROUPED {
        check(&finding(&workshop, &[], &["python3", "-c", program]), case);
    }
}
