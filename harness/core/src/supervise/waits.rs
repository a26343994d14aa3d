//! What a thread waits for, by its system call.
//!
//! Deliberately absent: who can end the wait (`locks`, `peers`).

use hotfire_sys::procfs::{self, MapLine, SyscallState};

use super::peers::Holders;
use crate::observe::{Fact, Thread, Wait};

/// x86-64 system call numbers that this stage knows.
const SYS_FUTEX: i64 = 202;
const SYS_WAIT4: i64 = 61;
const SYS_WAITID: i64 = 247;
/// How a wait with a time goes on that a stop had interrupted (`restart_syscall`).
pub(super) const SYS_RESTART: i64 = 219;
/// Operations of futex that wait, without their flags: WAIT, LOCK_PI, WAIT_BITSET,
/// WAIT_REQUEUE_PI, LOCK_PI2.
const FUTEX_WAITS: [u64; 5] = [0, 6, 9, 11, 13];
const FUTEX_COMMAND_MASK: u64 = 0x7f;
const FUTEX_PRIVATE: u64 = 128;
/// `P_PID` of waitid.
const ID_OF_PROCESS: u64 = 1;

/// x86-64 system calls that wait up to a time (man syscalls): which argument is that time, and
/// what it is when there is none.
const TIMED_WAITS: [(i64, usize, u64); 10] = [
    (7, 2, MINUS_ONE),
    (23, 4, 0),
    (35, 0, 0),
    (202, 3, 0),
    (230, 2, 0),
    (232, 3, MINUS_ONE),
    (270, 4, 0),
    (271, 2, 0),
    (281, 3, MINUS_ONE),
    (441, 3, 0),
];
/// poll, epoll_wait and epoll_pwait take milliseconds as an int; negative: no time.
const MINUS_ONE: u64 = u32::MAX as u64;

/// What one thread does. Who can end its wait is added where its stack is known.
pub(super) fn thread(
    process: i32,
    tid: i32,
    maps: &[MapLine],
    holders: Option<&Holders>,
) -> Thread {
    let stat = procfs::stat(tid);
    let wait = match procfs::syscall(process, tid) {
        Ok(SyscallState::Running | SyscallState::Blocked) => Wait::None,
        Ok(SyscallState::In { number, arguments, .. }) => {
            let wait = wait_of(number, &arguments, maps);
            match holders {
                Some(holders) => holders.complete(wait, process, tid, &arguments),
                None => wait,
            }
        }
        Err(error) => Wait::Unavailable(error.to_string()),
    };
    Thread {
        pid: process,
        tid,
        name: stat.as_ref().map_or_else(|_| String::new(), |stat| stat.name.clone()),
        state: stat.map_or('?', |stat| stat.state),
        wait,
        stack: Fact::Unavailable("not asked for".to_owned()),
        progress: Fact::Unavailable("not watched".to_owned()),
    }
}

/// What a system call waits for.
pub(crate) fn wait_of(number: i64, arguments: &[u64; 6], maps: &[MapLine]) -> Wait {
    let [first, second, third, fourth, ..] = *arguments;
    match number {
        SYS_FUTEX if FUTEX_WAITS.contains(&(second & FUTEX_COMMAND_MASK)) => Wait::Futex {
            address: first,
            untimed: fourth == 0,
            private: second & FUTEX_PRIVATE != 0 || lies_in_private_memory(first, maps),
            owner: None,
            lock: None,
        },
        // Children of a process of the run are of the run; with a time (WNOHANG) nothing waits.
        SYS_WAIT4 => Wait::Child { pid: child_of(first), endless: third & 1 == 0 },
        SYS_WAITID => {
            let pid = (first == ID_OF_PROCESS).then(|| child_of(second)).flatten();
            Wait::Child { pid, endless: fourth & 1 == 0 }
        }
        _ => Wait::Syscall { number, endless: false },
    }
}

/// The child that is waited for; -1 is any, 0 and the other negative ones are groups.
fn child_of(argument: u64) -> Option<i32> {
    // The upper half of an int's register is anything.
    Some((argument as u32).cast_signed()).filter(|pid| *pid > 0)
}

/// pthread_join waits on a shared futex, whose word lies in memory of the process alone.
pub(super) fn lies_in_private_memory(address: u64, maps: &[MapLine]) -> bool {
    maps.iter()
        .find(|map| (map.start..map.end).contains(&address))
        .is_some_and(|map| map.permissions.ends_with('p'))
}

/// Whether nobody outside of the run can end the wait, and no time.
pub(super) fn is_endless(wait: &Wait) -> bool {
    match wait {
        Wait::Futex { untimed, private, .. } => *untimed && *private,
        Wait::Syscall { endless, .. } | Wait::Child { endless, .. } => *endless,
        Wait::None | Wait::InterpreterLock | Wait::Descriptors { .. } | Wait::Unavailable(_) => {
            false
        }
    }
}

/// Whether a system call ends by itself, after a time.
pub(super) fn is_timed(number: i64, arguments: &[u64; 6]) -> bool {
    TIMED_WAITS.iter().any(|(timed, index, none)| {
        let time = arguments.get(*index).copied().unwrap_or(*none);
        // The upper half of an int's register is anything.
        let time = if *none == MINUS_ONE { time & MINUS_ONE } else { time };
        *timed == number && time != *none
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, permissions: &str) -> MapLine {
        MapLine {
            start,
            end,
            permissions: permissions.into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: String::new(),
        }
    }

    #[test]
    fn an_untimed_private_futex_is_told_from_its_twins() {
        let maps = [map(0x1000, 0x2000, "rw-p"), map(0x3000, 0x4000, "rw-s")];
        let wait = |word, operation, timeout| {
            wait_of(SYS_FUTEX, &[word, operation, 2, timeout, 0, 0], &maps)
        };
        let futex = |address, untimed, private| Wait::Futex {
            address,
            untimed,
            private,
            owner: None,
            lock: None,
        };
        assert_eq!(wait(0x3008, 128, 0), futex(0x3008, true, true));
        assert_eq!(wait(0x1008, 265, 0), futex(0x1008, true, true));
        assert_eq!(wait(0x3008, 9, 0), futex(0x3008, true, false));
        assert_eq!(wait(0x1008, 128, 0x7fff), futex(0x1008, false, true));
    }

    #[test]
    fn a_wait_for_one_child_is_told_from_one_for_any() {
        let wait = |number, arguments: [u64; 4]| {
            let [first, second, third, fourth] = arguments;
            wait_of(number, &[first, second, third, fourth, 0, 0], &[])
        };
        let child = |pid, endless| Wait::Child { pid, endless };
        assert_eq!(wait(SYS_WAIT4, [71, 0, 0, 0]), child(Some(71), true));
        assert_eq!(wait(SYS_WAIT4, [0xffff_ffff, 0, 1, 0]), child(None, false));
        assert_eq!(wait(SYS_WAITID, [1, 71, 0, 4]), child(Some(71), true));
        assert_eq!(wait(SYS_WAITID, [0, 71, 0, 4]), child(None, true));
    }

    #[test]
    fn only_a_wait_with_a_time_is_timed() {
        let futex = |time| is_timed(202, &[0x1000, 128, 2, time, 0, 0]);
        assert!(futex(0x7fff_0000) && !futex(0));
        let poll = |time| is_timed(7, &[0x1000, 1, time, 0, 0, 0]);
        assert!(poll(100) && !poll(u64::MAX) && !poll(0xffff_ffff));
        assert!(is_timed(230, &[1, 0, 0x7fff_0000, 0, 0, 0]));
        assert!(!is_timed(0, &[1; 6]), "read waits for the outside");
    }
}
