//! Names of Linux x86-64 signals, of siginfo codes and of system calls (signal(7), sigaction(2),
//! arch/x86/entry/syscalls/syscall_64.tbl).
//!
//! Deliberately absent: what they mean for a verdict.

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGQUIT: i32 = 3;
pub(crate) const SIGILL: i32 = 4;
pub(crate) const SIGTRAP: i32 = 5;
pub(crate) const SIGABRT: i32 = 6;
pub(crate) const SIGBUS: i32 = 7;
pub(crate) const SIGFPE: i32 = 8;
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGSEGV: i32 = 11;
pub(crate) const SIGPIPE: i32 = 13;
pub(crate) const SIGALRM: i32 = 14;
pub(crate) const SIGTERM: i32 = 15;
pub(crate) const SIGXCPU: i32 = 24;
pub(crate) const SIGXFSZ: i32 = 25;
pub(crate) const SIGSYS: i32 = 31;

/// si_code: sent by kill.
pub(crate) const SI_USER: i32 = 0;
/// si_code: sent to one thread, as raise and abort do.
pub(crate) const SI_TKILL: i32 = -6;
/// si_code: the kernel raised it, without saying more (a general protection fault, for one).
pub(crate) const SI_KERNEL: i32 = 128;
/// si_code of SIGSEGV: nothing is mapped there.
pub(crate) const SEGV_MAPERR: i32 = 1;
/// si_code of SIGSEGV: the mapping's permissions forbid it.
pub(crate) const SEGV_ACCERR: i32 = 2;
/// si_code of SIGBUS: the mapping has no backing there.
pub(crate) const BUS_ADRERR: i32 = 2;
/// si_code of SIGBUS: the address is not a multiple of what it must be.
pub(crate) const BUS_ADRALN: i32 = 1;
/// si_code of SIGSYS: a filter of system calls forbids the call.
pub(crate) const SYS_SECCOMP: i32 = 1;
/// si_code of SIGFPE: integer division by zero (or its overflow).
pub(crate) const FPE_INTDIV: i32 = 1;

const NAMES: &[(i32, &str)] = &[
    (1, "SIGHUP"),
    (SIGINT, "SIGINT"),
    (3, "SIGQUIT"),
    (SIGILL, "SIGILL"),
    (SIGTRAP, "SIGTRAP"),
    (SIGABRT, "SIGABRT"),
    (SIGBUS, "SIGBUS"),
    (SIGFPE, "SIGFPE"),
    (SIGKILL, "SIGKILL"),
    (10, "SIGUSR1"),
    (SIGSEGV, "SIGSEGV"),
    (12, "SIGUSR2"),
    (SIGPIPE, "SIGPIPE"),
    (SIGALRM, "SIGALRM"),
    (SIGTERM, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (SIGXCPU, "SIGXCPU"),
    (SIGXFSZ, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (SIGSYS, "SIGSYS"),
];

/// The signal's name; `SIGRTn` or `signal n` for those without one.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    let named = NAMES.iter().find(|(number, _)| *number == signal);
    match named {
        Some((_, name)) => (*name).to_owned(),
        None if (32..=64).contains(&signal) => format!("SIGRT{}", signal - 32),
        None => format!("signal {signal}"),
    }
}

/// The name of a siginfo code, as in sigaction(2); the number where it has none.
pub(crate) fn code_name(signal: i32, code: i32) -> String {
    let name = match (signal, code) {
        (_, SI_USER) => "SI_USER",
        (_, -1) => "SI_QUEUE",
        (_, SI_TKILL) => "SI_TKILL",
        (_, SI_KERNEL) => "SI_KERNEL",
        (SIGSEGV, SEGV_MAPERR) => "SEGV_MAPERR",
        (SIGSEGV, SEGV_ACCERR) => "SEGV_ACCERR",
        (SIGSEGV, 4) => "SEGV_PKUERR",
        (SIGBUS, BUS_ADRALN) => "BUS_ADRALN",
        (SIGBUS, BUS_ADRERR) => "BUS_ADRERR",
        (SIGFPE, FPE_INTDIV) => "FPE_INTDIV",
        (SIGILL, 1) => "ILL_ILLOPC",
        (SIGILL, 2) => "ILL_ILLOPN",
        (SIGSYS, SYS_SECCOMP) => "SYS_SECCOMP",
        _ => return format!("si_code {code}"),
    };
    name.to_owned()
}

/// Whether the signal is raised by an instruction of the thread itself.
pub(crate) fn is_memory_fault(signal: i32) -> bool {
    matches!(signal, SIGSEGV | SIGBUS)
}

/// Whether the kernel sends the signal in the name of the process itself: to a writer without a
/// reader, or behind the limit of a file's size.
pub(crate) fn is_by_kernel_as_itself(signal: i32) -> bool {
    matches!(signal, SIGPIPE | SIGXFSZ)
}

/// Whether the signal is a request to end, which a parent may send to its workers.
pub(crate) fn is_request_to_end(signal: i32) -> bool {
    matches!(signal, 1 | SIGINT | 3 | SIGKILL | SIGTERM)
}

const SYSCALLS: &[(i64, &str)] = &[
    (0, "read"),
    (1, "write"),
    (7, "poll"),
    (9, "mmap"),
    (10, "mprotect"),
    (23, "select"),
    (34, "pause"),
    (35, "nanosleep"),
    (41, "socket"),
    (42, "connect"),
    (43, "accept"),
    (45, "recvfrom"),
    (47, "recvmsg"),
    (49, "bind"),
    (56, "clone"),
    (57, "fork"),
    (58, "vfork"),
    (59, "execve"),
    (61, "wait4"),
    (62, "kill"),
    (65, "semop"),
    (72, "fcntl"),
    (73, "flock"),
    (101, "ptrace"),
    (110, "getppid"),
    (128, "rt_sigtimedwait"),
    (130, "rt_sigsuspend"),
    (157, "prctl"),
    (165, "mount"),
    (202, "futex"),
    (220, "semtimedop"),
    (230, "clock_nanosleep"),
    (232, "epoll_wait"),
    (243, "mq_timedreceive"),
    (247, "waitid"),
    (257, "openat"),
    (270, "pselect6"),
    (271, "ppoll"),
    (272, "unshare"),
    (281, "epoll_pwait"),
    (288, "accept4"),
    (298, "perf_event_open"),
    (310, "process_vm_readv"),
    (317, "seccomp"),
    (319, "memfd_create"),
    (334, "rseq"),
    (425, "io_uring_setup"),
    (435, "clone3"),
    (439, "faccessat2"),
    (441, "epoll_pwait2"),
];

/// The system call's name, or its number.
pub(crate) fn syscall_name(number: i64) -> String {
    let named = SYSCALLS.iter().find(|(known, _)| *known == number);
    named.map_or_else(|| format!("system call {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_signal_7() {
        assert_eq!(signal_name(11), "SIGSEGV");
        assert_eq!(signal_name(13), "SIGPIPE");
        assert_eq!(signal_name(34), "SIGRT2");
        assert_eq!(signal_name(99), "signal 99");
    }

    #[test]
    fn one_number_means_different_things_by_signal() {
        assert_eq!(code_name(SIGSEGV, 2), "SEGV_ACCERR");
        assert_eq!(code_name(SIGBUS, 2), "BUS_ADRERR");
        assert_eq!(code_name(SIGSEGV, -6), "SI_TKILL");
        assert_eq!(code_name(SIGSEGV, 77), "si_code 77");
    }
}
