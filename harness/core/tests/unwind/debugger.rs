//! What gdb says of a stopped process.

use std::collections::BTreeMap;
use std::process::Command;

/// Prints a line for each frame that is one of the machine's: no inlined functions, no tail calls.
const SCRIPT: &str = "
import gdb
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.type() in (gdb.NORMAL_FRAME, gdb.SIGTRAMP_FRAME, gdb.ARCH_FRAME):
            print('FRAME %d %d %s' % (thread.ptid[1], frame.pc(), frame.name()))
        frame = frame.older()
";

/// Whether gdb is here, with its Python.
pub(crate) fn is_here() -> bool {
    let done = Command::new("gdb").args(["-nx", "-batch", "-ex", "python print('here')"]).output();
    done.is_ok_and(|done| String::from_utf8_lossy(&done.stdout).contains("here"))
}

/// The program counters and names of each thread's frames, innermost first.
pub(crate) fn stacks(pid: i32) -> BTreeMap<i32, Vec<(u64, String)>> {
    let mut command = Command::new("gdb");
    command.args([
        "-nx",
        "-batch",
        "-iex",
        "set auto-load off",
        "-iex",
        "set debuginfod enabled off",
    ]);
    for setting in ["past-main on", "past-entry on", "limit unlimited"] {
        command.args(["-ex", &format!("set backtrace {setting}")]);
    }
    // Attaching comes behind the settings.
    command.args(["-ex", &format!("attach {pid}")]);
    let oneline = format!("python exec({:?})", SCRIPT);
    let done = command.args(["-ex", &oneline]).env_remove("DEBUGINFOD_URLS").output().unwrap();
    let mut stacks = BTreeMap::<i32, Vec<(u64, String)>>::new();
    let text = String::from_utf8_lossy(&done.stdout);
    for line in text.lines().filter_map(|line| line.strip_prefix("FRAME ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let frame = (words[1].parse().unwrap(), words[2].to_owned());
        stacks.entry(words[0].parse().unwrap()).or_default().push(frame);
    }
    // Of a thread that has just been made, which has no unwind information yet, gdb goes on to an
    // address that is none.
    for frames in stacks.values_mut() {
        frames.pop_if(|(pc, _)| *pc == 0);
    }
    assert!(!stacks.is_empty(), "{text}\n{}", String::from_utf8_lossy(&done.stderr));
    stacks
}
