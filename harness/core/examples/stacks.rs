//! What `scripts/bench.sh backtrace` times.
//!
//!   stacks watch RUNS PROGRAM ARGUMENT...  `hotfire exec` without its report: a line for each run
//!   stacks hold PROGRAM ARGUMENT           runs the program until it crashes and leaves it stopped
//!   stacks attach PID TIMES                stacks of all threads of such a process, TIMES times
//!
//! Deliberately absent: rivals, rounds and tables, which the script makes.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers: what is not as it must be ends it"
)]

#[expect(dead_code, reason = "the agreement test uses more of it")]
#[path = "../tests/unwind/stopped.rs"]
mod stopped;

use std::io::Read;
use std::time::Instant;

use hotfire_core::observe::{Observation, StackRecord};
use hotfire_core::supervise::{Watched, Wrapper};
use hotfire_core::symbolize::Symbolizer;
use hotfire_core::unwind::{Frame, LiveMemory, Mappings, Registers, Stack, Unwinder};
use hotfire_sys::{Tracee, poll_readable, procfs, wait_one};
use stopped::Stopped;

/// Between two looks at threads that shall stop.
const LOOK_NS: u64 = 20_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    match all.as_slice() {
        ["watch", runs, command @ ..] => watch(runs.parse().unwrap(), command),
        ["hold", program, argument] => hold(program, argument),
        ["attach", pid, times] => attach(pid.parse().unwrap(), times.parse().unwrap()),
        _ => println!(
            "usage: stacks watch RUNS PROGRAM ARGUMENT... | hold PROGRAM ARGUMENT | attach PID TIMES"
        ),
    }
}

/// The same supervisor sees the command crash again and again.
fn watch(runs: u32, command: &[&str]) {
    let mut wrapper = Wrapper::new().unwrap();
    let watched = Watched {
        words: command.iter().map(Into::into).collect(),
        search_path: std::env::var_os("PATH"),
        timeout_ms: Some(60_000),
        grace_ms: 300,
        keeps_leftovers: false,
        traced: true,
    };
    for _ in 0..runs {
        let (begun, cpu_ns) = (Instant::now(), cpu_ns());
        let seen = wrapper.watch(&watched).unwrap();
        let run_us = begun.elapsed().as_micros();
        let cpu_us = (self::cpu_ns() - cpu_ns) / 1_000;
        let held_us = seen.crash.as_ref().unwrap().held_ns / 1_000;
        let (threads, frames) = counts(&seen);
        println!(
            "RUN held_us {held_us} run_us {run_us} cpu_us {cpu_us} peak_kib {} threads {threads} \
             frames {frames}",
            peak_kib()
        );
    }
}

/// Threads with a whole stack, and all their frames.
fn counts(seen: &Observation) -> (usize, usize) {
    let threads = &seen.crash.as_ref().unwrap().threads;
    let stacks: Vec<&StackRecord> =
        threads.iter().filter_map(|thread| thread.stack.known()).collect();
    (stacks.len(), stacks.iter().map(|stack| stack.frames.len()).sum())
}

/// The crashed process, for debuggers to attach to; it ends when our input does.
fn hold(program: &str, argument: &str) {
    let stopped = Stopped::crash(program.as_ref(), argument, 8_192);
    stopped.release();
    println!("HELD {} {}", stopped.pid(), stopped.crashed);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// What a debugger does: attach, walk, name, print, let go.
fn attach(pid: i32, times: u32) {
    let tids = procfs::threads(pid).unwrap();
    for tid in &tids {
        let tracee = Tracee::new(*tid);
        tracee.seize().unwrap();
        tracee.interrupt().unwrap();
    }
    for tid in &tids {
        while wait_one(*tid).unwrap().is_none() {
            poll_readable(&[], LOOK_NS).unwrap();
        }
    }
    let (mut unwinder, mut symbolizer) = (Unwinder::default(), Symbolizer::default());
    for time in 0..times {
        let begun = Instant::now();
        let text = stacks(pid, &tids, &mut unwinder, &mut symbolizer);
        let stacks_us = begun.elapsed().as_micros();
        if time == 0 {
            print!("{text}");
        }
        println!("TIME stacks_us {stacks_us} peak_kib {}", peak_kib());
    }
    for tid in &tids {
        Tracee::new(*tid).detach(0).unwrap();
    }
}

fn stacks(pid: i32, tids: &[i32], unwinder: &mut Unwinder, symbolizer: &mut Symbolizer) -> String {
    let maps = procfs::maps(pid).unwrap();
    let mut process = unwinder.process(Mappings::from(&maps[..]), LiveMemory::new(pid));
    let walk = |tid: &i32| process.unwind(Registers::from(&Tracee::new(*tid).registers().unwrap()));
    let stacks: Vec<Stack> = tids.iter().map(walk).collect();
    let frames: Vec<Frame> = stacks.iter().flat_map(|stack| stack.frames.clone()).collect();
    let places = symbolizer.locate_frames(&maps, &mut LiveMemory::new(pid), &frames);
    let mut places = places.into_iter();
    let mut text = String::new();
    for (tid, stack) in tids.iter().zip(&stacks) {
        text += &format!("THREAD {tid}\n");
        for (frame, place) in stack.frames.iter().zip(places.by_ref()) {
            let name = place.ok().and_then(|place| place.function);
            text += &format!("FRAME {:#x} {}\n", frame.pc, name.as_deref().unwrap_or("??"));
        }
    }
    text
}

/// CPU time of this process, which has one thread, in nanoseconds (proc_pid_schedstat(5)).
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The most memory that this process ever had, in KiB (proc_pid_status(5)).
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
