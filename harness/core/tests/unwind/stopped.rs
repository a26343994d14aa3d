//! A process that crashed, is unwound, and stays stopped without a tracer, so that a debugger can
//! look at the same state.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hotfire_core::unwind::{LiveMemory, Mappings, Registers, Stack, Unwinder};
use hotfire_sys::{Stop, Tracee, monotonic_ns, poll_readable, procfs, signal, wait_one};

/// A program crashes within that time.
const LIMIT_NS: u64 = 30_000_000_000;
/// Between two looks.
const LOOK_NS: u64 = 500_000;
const SIGSTOP: i32 = 19;
const SIGTRAP: i32 = 5;
const TRAP_TRACE: i32 = 2;

/// The crashed process. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Stopped {
    child: Child,
    /// The thread that crashed.
    pub(crate) crashed: i32,
    /// The registers of all threads that have some.
    pub(crate) threads: Vec<(i32, Registers)>,
}

impl Stopped {
    /// Runs the program until it crashes. `stack_kib` limits the main thread's stack.
    pub(crate) fn crash(program: &Path, mode: &str, stack_kib: u64) -> Self {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -s {stack_kib}; exec \"$0\" \"$1\"");
        command.args(["-c", &script]).arg(program).arg(mode).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut stopped = Self { child, crashed: 0, threads: Vec::new() };
        assert_eq!(line, "ready\n", "{mode}");
        let tids = procfs::threads(stopped.pid()).unwrap();
        tids.iter().for_each(|tid| Tracee::new(*tid).seize().unwrap());
        stopped.child.stdin.take().unwrap().write_all(b"x").unwrap();
        let tids = stopped.wait_for_crash(tids, mode);
        stopped.threads = tids
            .iter()
            .map(|tid| (*tid, Registers::from(&Tracee::new(*tid).registers().unwrap())))
            .collect();
        stopped
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn crashed_registers(&self) -> Registers {
        self.threads.iter().find(|(tid, _)| *tid == self.crashed).unwrap().1
    }

    /// Waits until one thread is about to die and all are stopped; returns those.
    fn wait_for_crash(&mut self, mut tids: Vec<i32>, mode: &str) -> Vec<i32> {
        let deadline = monotonic_ns() + LIMIT_NS;
        let mut stopped = Vec::new();
        loop {
            for tid in tids.clone() {
                let Some(event) = wait_one(tid).ok().flatten() else { continue };
                let tracee = Tracee::new(tid);
                let go_on = match event.stop {
                    Stop::Signal(signal) if self.crashed == 0 && is_fatal(tid, signal) => {
                        self.crashed = tid;
                        SIGSTOP
                    }
                    Stop::Signal(signal) => signal,
                    Stop::GroupStop(_) => {
                        stopped.push(tid);
                        continue;
                    }
                    Stop::Exited(_) | Stop::Signaled(_) => {
                        assert_ne!(tid, self.pid(), "{mode}: ended: {event:?}");
                        tids.retain(|other| *other != tid);
                        continue;
                    }
                    Stop::Clone => {
                        tids.push(i32::try_from(tracee.event_message().unwrap()).unwrap());
                        0
                    }
                    _ => 0,
                };
                tracee.resume(go_on).unwrap();
            }
            let is_zombie = |tid: &i32| procfs::stat(*tid).is_ok_and(|stat| stat.state == 'Z');
            if tids.iter().all(|tid| stopped.contains(tid) || is_zombie(tid)) {
                return stopped;
            }
            assert!(monotonic_ns() < deadline, "{mode}: no crash");
            poll_readable(&[], LOOK_NS).unwrap();
        }
    }

    /// The stacks of all threads.
    pub(crate) fn unwind(&self, unwinder: &mut Unwinder) -> Vec<(i32, Stack)> {
        let lines = procfs::maps(self.crashed).unwrap();
        let memory = LiveMemory::new(self.crashed);
        let mut process = unwinder.process(Mappings::from(&lines[..]), memory);
        self.threads.iter().map(|(tid, registers)| (*tid, process.unwind(*registers))).collect()
    }

    /// Lets the crashed thread run one instruction; false: it has met a breakpoint.
    pub(crate) fn step(&mut self) -> bool {
        let tracee = Tracee::new(self.crashed);
        tracee.step().unwrap();
        let deadline = monotonic_ns() + LIMIT_NS;
        loop {
            match wait_one(self.crashed).unwrap().map(|event| event.stop) {
                Some(Stop::Signal(SIGTRAP)) => break,
                Some(other) => unreachable!("{other:?}"),
                None => assert!(monotonic_ns() < deadline, "no step"),
            }
        }
        let now = Registers::from(&tracee.registers().unwrap());
        let crashed = self.crashed;
        let before = self.threads.iter_mut().find(|(tid, _)| *tid == crashed).unwrap();
        before.1 = now;
        // TRAP_TRACE of a step, SI_KERNEL of a breakpoint (arch/x86/kernel/traps.c).
        signal::details(&tracee.signal_info().unwrap()).0 == TRAP_TRACE
    }

    /// Lets go of all threads. They stay stopped by job control.
    pub(crate) fn release(&self) {
        self.threads.iter().for_each(|(tid, _)| Tracee::new(*tid).detach(0).unwrap());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // A thread that is traced ends only when its tracer waits for it. What was released, or has
        // ended, refuses.
        for (tid, _) in &self.threads {
            let _ = Tracee::new(*tid).detach(0);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_fatal(tid: i32, signal: i32) -> bool {
    let masks = procfs::signal_masks(tid).unwrap();
    signal::is_fatal_by_default(signal)
        && (masks.caught | masks.ignored) & signal::mask_bit(signal) == 0
}
