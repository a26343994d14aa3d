//! `hotfire core`: one crash, seen live and by its core, gives the same answer.
//!
//! Deliberately absent: cores that lie (hotfire-core's own tests write them).

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::replay::assert_valid;
use crate::workshop::{LIMIT, Started, Workshop};
use crate::{Case, trial};

const CASES: &[Case] = &[("core-says-what-cannot-be-told", refusals)];
/// Of cores that the kernel writes, and those that gdb does.
const OF_KERNEL: &[Case] = &[
    ("core-of-the-kernel-says-what-exec-says", kernel_says_the_same),
    ("core-tells-files-that-are-not-there", moved_program),
    ("core-cut-short-says-so", cut_short),
];
const OF_GDB: &[Case] = &[("core-of-gdb-says-what-exec-says", gdb_says_the_same)];

const DEATHS: [&str; 9] = [
    "null",
    "read-only",
    "overflow",
    "jump",
    "divide",
    "abort",
    "assert",
    "freed-twice",
    "after-free",
];
/// What a handler of the program's own sees first: gdb takes its core before that.
const HANDLED: [&str; 3] = ["raised", "aborted", "abort-raised"];
/// What only the output tells, which no core keeps.
const SAID: &str = "abort-said";

pub(crate) fn trials() -> Vec<Trial> {
    let has_cores = kernel_writes_cores();
    if !has_cores {
        eprintln!(
            "SKIP core-of-the-kernel…, core-tells…, core-cut…: no core comes into the current folder; help: sysctl kernel.core_pattern=core"
        );
    }
    let has_gdb = Command::new("gdb").arg("--version").output().is_ok();
    if !has_gdb {
        eprintln!("SKIP core-of-gdb…: no gdb; help: apt-get install gdb");
    }
    let with = |cases: &[Case], can_run: bool| {
        let trials = cases.iter().map(|case| trial(*case).with_ignored_flag(!can_run));
        trials.collect::<Vec<_>>()
    };
    [with(CASES, true), with(OF_KERNEL, has_cores), with(OF_GDB, has_gdb)]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn kernel_writes_cores() -> bool {
    let folder = tempfile::TempDir::new().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited && kill -SEGV $$"]).current_dir(folder.path());
    shell.output().is_ok() && core_in(folder.path()).is_some()
}

fn core_in(folder: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"))
}

/// The fixture, built in the workshop.
fn fixture(workshop: &Workshop) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/core.c");
    let mut compiler = Command::new("cc");
    compiler.args([
        "-O1",
        "-g",
        "-fno-inline",
        "-pthread",
        "-Wno-infinite-recursion",
        "-Wno-use-after-free",
        "-o",
    ]);
    let status = compiler.arg(workshop.path("engine")).arg(source).status().unwrap();
    assert!(status.success());
}

/// The kernel's core of a death, as the file `NAME`.
fn kernels_core(workshop: &Workshop, death: &str, name: &str) {
    let mut shell = Command::new("sh");
    workshop.furnish(&mut shell);
    shell
        .args(["-c", "mkdir -p cores && cd cores && ulimit -c unlimited && exec ../engine \"$0\""]);
    Started::new(shell.arg(death)).finish(LIMIT);
    let core = core_in(&workshop.path("cores")).unwrap();
    std::fs::rename(core, workshop.path(name)).unwrap();
}

fn gdbs_core(workshop: &Workshop, death: &str, name: &str) {
    let mut gdb = Command::new("gdb");
    workshop.furnish(&mut gdb);
    let save = format!("generate-core-file {name}");
    gdb.args(["-nx", "-batch", "-ex", "run", "-ex", &save, "--args", "./engine", death]);
    Started::new(&mut gdb).finish(LIMIT);
    assert!(workshop.path(name).exists(), "{death}");
}

fn kernel_says_the_same() {
    says_the_same(kernels_core, &[&DEATHS[..], &HANDLED, &[SAID]].concat());
}

fn gdb_says_the_same() {
    says_the_same(gdbs_core, &[&DEATHS[..], &[SAID]].concat());
}

fn says_the_same(take: fn(&Workshop, &str, &str), deaths: &[&str]) {
    let workshop = Workshop::new();
    fixture(&workshop);
    for death in deaths {
        take(&workshop, death, "core");
        let live = workshop.run(&["exec", "--json", "live.json", "--", "./engine", death]);
        let arguments = ["core", "core", "--json", "core.json", "--bundle", "core.hotfire"];
        let told = workshop.run(&arguments);
        assert_eq!((live.status, told.status), (100, 100), "{death}: {}", told.stderr);
        let report = workshop.json("core.json");
        assert_valid(&report);
        assert_eq!((&report["verb"], &report["exit_code"]), (&"core".into(), &100.into()));
        let (live, core) = (&workshop.json("live.json")["findings"][0], &report["findings"][0]);
        for fact in ["code", "status", "class", "culprit", "signal", "si_code", "signature"] {
            if (fact, *death) != ("class", SAID) {
                assert_eq!(live[fact], core[fact], "{death}: {fact}");
            }
        }
        if *death == SAID {
            let classes = (&live["class"], &core["class"]);
            assert_eq!(classes, (&"assertion".into(), &"explicit-abort".into()));
        }
        assert_eq!(functions(live), functions(core), "{death}");
        assert!(functions(core).iter().any(|name| name == "main"), "{death}: {core}");
        assert_eq!(core["reproduce"], "hotfire core core");
        assert_eq!(told.stderr.lines().next().unwrap().get(..4), core["code"].as_str());
        assert!(!told.stderr.contains("fresh process"), "{}", told.stderr);
        assert!(core.to_string().contains("held by thread"), "{death}: {core}");
        // The third way.
        let shown = workshop.run(&["show", "core.hotfire", "--json"]);
        let bundled: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(bundled[0]["signature"], core["signature"], "{death}");
        assert_eq!(functions(&bundled[0]), functions(core), "{death}");
    }
}

/// The functions of the crashed thread's frames.
fn functions(finding: &Value) -> Vec<String> {
    let mut threads = finding["threads"].as_array().unwrap().iter();
    let crashed = threads.find(|thread| thread["crashed"] == true).unwrap();
    let frames = crashed["frames"].as_array().unwrap().iter();
    frames.map(|frame| frame["function"].as_str().unwrap_or("?").to_owned()).collect()
}

fn moved_program() {
    let workshop = Workshop::new();
    fixture(&workshop);
    kernels_core(&workshop, "null", "core");
    std::fs::rename(workshop.path("engine"), workshop.path("kept")).unwrap();
    let told = workshop.run(&["core", "core"]).stderr;
    assert!(told.contains("the program is not here (give its file as well)"), "{told}");
    assert!(told.contains("#0 (no symbol)  engine+0x"), "{told}");
    let told = workshop.run(&["core", "core", "kept", "--full"]).stderr;
    assert!(told.contains("kept is read in its place"), "{told}");
    assert!(told.contains("#0 steps_of  engine+0x") && told.contains("wait_for_lock"), "{told}");
    assert!(told.contains("registers:"), "{told}");
    let told = workshop.run(&["core", "core", "/bin/sh"]).stderr;
    assert!(told.contains("is not the program that died"), "{told}");
}

fn cut_short() {
    let workshop = Workshop::new();
    fixture(&workshop);
    kernels_core(&workshop, "null", "core");
    let whole = std::fs::metadata(workshop.path("core")).unwrap().len();
    let file = std::fs::File::options().write(true).open(workshop.path("core")).unwrap();
    file.set_len(whole / 2).unwrap();
    let told = workshop.run(&["core", "core"]);
    assert_eq!(told.status, 100, "{}", told.stderr);
    assert!(told.stderr.contains("of its "), "{}", told.stderr);
    assert!(told.stderr.contains("the core is cut short"), "{}", told.stderr);
    file.set_len(700).unwrap();
    let told = workshop.run(&["core", "core"]);
    assert_eq!(told.status, 2, "{}", told.stderr);
    assert!(told.stderr.contains("cut short: 700 of "), "{}", told.stderr);
}

fn refusals() {
    let workshop = Workshop::new();
    workshop.write("text", "not a core\n");
    for (arguments, words) in [
        (["core", "text"].as_slice(), "it is no core file, but a file of another format"),
        (&["core", "/bin/sh"], "it is no core file, but an ELF program"),
        (&["core", "nowhere"], "it cannot be read"),
        (&["core", "/dev/zero"], "it cannot be read"),
    ] {
        let told = workshop.run(arguments);
        assert_eq!((told.status, told.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(told.stderr.starts_with("error: cannot tell of "), "{}", told.stderr);
        assert!(told.stderr.contains(words), "{}", told.stderr);
        assert!(told.stderr.contains("\nhelp: "), "{}", told.stderr);
    }
}
