//! Who ended a command by SIGKILL, as far as it shows: in the calls that its threads were in, and
//! in the kernel's count of processes that it ended for want of memory.
//!
//! Document folklore: a SIGKILL has no siginfo and no stop of its own, but each thread still stops
//! where it is about to end (PTRACE_EVENT_EXIT). One that has sent it to its own process never came
//! back from that call: its registers are those of the call.
//! Deliberately absent: which other process it was.

use std::path::PathBuf;

use hotfire_sys::machine::{memory_group, out_of_memory_kills};
use hotfire_sys::{SystemCall, Tracee, procfs, signal};

use super::supervisor::Supervisor;
use super::tasks::Role;
use crate::observe::Kill;

/// The command's control group, and how many of its processes had been ended for want of memory
/// before the run.
#[derive(Debug)]
pub(super) struct CountedBefore {
    group: PathBuf,
    count: u64,
}

impl CountedBefore {
    /// Of our own group: the command is born there.
    pub(super) fn now() -> Option<Self> {
        let group = memory_group(std::process::id().try_into().ok()?)?;
        let count = out_of_memory_kills(&group)?;
        Some(Self { group, count })
    }

    /// How many since; `None` where the process has another group by now.
    fn since(&self, process: i32) -> Option<u64> {
        if memory_group(process)? != self.group {
            return None;
        }
        Some(out_of_memory_kills(&self.group)?.saturating_sub(self.count))
    }
}

impl Supervisor {
    /// A thread is about to end with this status: notes whether it killed its process.
    pub(super) fn note_kill(&mut self, tid: i32, status: i64) {
        let process = self.tasks.process_of(tid).unwrap_or(tid);
        let is_root = self.tasks.role(process) == Some(Role::Root);
        let by_signal = status & 0x7f;
        let Some(run) = self.run.as_mut().filter(|run| run.is_command() && !run.ending) else {
            return;
        };
        if !is_root || by_signal != i64::from(signal::SIGKILL) {
            return;
        }
        let by_itself =
            Tracee::new(tid).system_call().is_ok_and(|call| kills_own_process(&call, process, tid));
        let kill = run.kill.get_or_insert_with(|| Kill {
            by_itself: false,
            out_of_memory: run.counted_before.as_ref().and_then(|before| before.since(process)),
        });
        kill.by_itself |= by_itself;
    }
}

/// Whether the call has sent SIGKILL to the thread's own process (arch/x86/entry/syscalls).
fn kills_own_process(call: &SystemCall, process: i32, tid: i32) -> bool {
    let [first, second, third, _] = call.arguments;
    // The kernel takes them as `int`; a negative one is a group's.
    let number = |argument: u64| i32::try_from(argument & u64::from(u32::MAX)).ok();
    let is_own = |id: i32| {
        let is_thread = || procfs::threads(process).is_ok_and(|all| all.contains(&id));
        procfs::own_ids(tid).contains(&id) || is_thread()
    };
    let (target, signal) = match call.number {
        // kill, tkill, rt_sigqueueinfo
        62 | 200 | 129 => (number(first), second),
        // tgkill, rt_tgsigqueueinfo
        234 | 297 => (number(first), third),
        // pidfd_send_signal
        424 => (number(first).and_then(|fd| procfs::process_of_descriptor(tid, fd)), second),
        _ => return false,
    };
    call.result == 0 && number(signal) == Some(signal::SIGKILL) && target.is_some_and(is_own)
}
