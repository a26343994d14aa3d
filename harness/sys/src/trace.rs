//! ptrace of one thread.

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Named, SysError};

/// A thread that this process traces (or wants to).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracee {
    tid: Pid,
}

/// The registers of x86-64 that a crash needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRegisters {
    /// Program counter.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer.
    pub rbp: u64,
    /// rax rbx rcx rdx rsi rdi r8 … r15.
    pub general: [u64; 14],
}

/// The system call that a thread is in, or comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number (x86-64); -1: none.
    pub number: i64,
    /// Its first four arguments; a call does not change them.
    pub arguments: [u64; 4],
    /// What it returns, once it does: a negative errno, or its answer.
    pub result: i64,
}

impl Tracee {
    /// The thread with this id.
    #[must_use]
    pub fn new(tid: i32) -> Self {
        Self { tid: Pid::from_raw(tid) }
    }

    /// Seizes the thread; its future children are seized too, and all end when we end.
    ///
    /// # Errors
    /// EPERM: ptrace is not allowed here. ESRCH: it is gone.
    pub fn seize(self) -> Result<(), SysError> {
        let options = ptrace::Options::PTRACE_O_EXITKILL
            | ptrace::Options::PTRACE_O_TRACEEXIT
            | ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_TRACEFORK
            | ptrace::Options::PTRACE_O_TRACEVFORK
            | ptrace::Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(self.tid, options).named("ptrace(SEIZE)")
    }

    /// Seizes the thread of a process that is not ours: its future children are seized, too, and
    /// all go on when we end, however we do.
    ///
    /// # Errors
    /// EPERM: ptrace is not allowed here, or somebody else traces it. ESRCH: it is gone.
    pub fn visit(self) -> Result<(), SysError> {
        let options = ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_TRACEFORK
            | ptrace::Options::PTRACE_O_TRACEVFORK
            | ptrace::Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(self.tid, options).named("ptrace(SEIZE)")
    }

    /// Lets the stopped thread go on, with a signal to deliver (0: none).
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn resume(self, signal: i32) -> Result<(), SysError> {
        // SAFETY: PTRACE_CONT takes no pointer; the signal travels as a number, which nix's type
        // could not carry for realtime signals.
        let answer =
            unsafe { libc::ptrace(libc::PTRACE_CONT, self.tid.as_raw(), 0usize, signal as usize) };
        if answer == -1 { Err(SysError::last("ptrace(CONT)")) } else { Ok(()) }
    }

    /// Lets the stopped thread run one instruction, without the signal that it stopped for.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn step(self) -> Result<(), SysError> {
        ptrace::step(self.tid, None).named("ptrace(SINGLESTEP)")
    }

    /// Lets a group-stopped thread stay stopped and listen for SIGCONT.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn listen(self) -> Result<(), SysError> {
        // SAFETY: PTRACE_LISTEN takes no pointer.
        let answer =
            unsafe { libc::ptrace(libc::PTRACE_LISTEN, self.tid.as_raw(), 0usize, 0usize) };
        if answer == -1 { Err(SysError::last("ptrace(LISTEN)")) } else { Ok(()) }
    }

    /// Stops a running thread; the stop comes as PTRACE_EVENT_STOP.
    ///
    /// # Errors
    /// It is gone (ESRCH).
    pub fn interrupt(self) -> Result<(), SysError> {
        // SAFETY: PTRACE_INTERRUPT takes no pointer.
        let answer =
            unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, self.tid.as_raw(), 0usize, 0usize) };
        if answer == -1 { Err(SysError::last("ptrace(INTERRUPT)")) } else { Ok(()) }
    }

    /// Lets a stopped thread go on untraced, with a signal (0: none). One that is stopped by job
    /// control stays so.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn detach(self, signal: i32) -> Result<(), SysError> {
        // SAFETY: PTRACE_DETACH takes no pointer; the signal travels as a number.
        let answer = unsafe {
            libc::ptrace(libc::PTRACE_DETACH, self.tid.as_raw(), 0usize, signal as usize)
        };
        if answer == -1 { Err(SysError::last("ptrace(DETACH)")) } else { Ok(()) }
    }

    /// The message of the last ptrace event: the new task's id, or the exit status.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn event_message(self) -> Result<i64, SysError> {
        ptrace::getevent(self.tid).named("ptrace(GETEVENTMSG)")
    }

    /// The siginfo of the signal about to be delivered.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn signal_info(self) -> Result<libc::siginfo_t, SysError> {
        ptrace::getsiginfo(self.tid).named("ptrace(GETSIGINFO)")
    }

    /// The number of the system call that the thread is in (x86-64: orig_rax); of none, -1 as an
    /// unsigned number.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn call_number(self) -> Result<u64, SysError> {
        Ok(ptrace::getregs(self.tid).named("ptrace(GETREGS)")?.orig_rax)
    }

    /// The thread's registers.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn registers(self) -> Result<TraceRegisters, SysError> {
        let r = ptrace::getregs(self.tid).named("ptrace(GETREGS)")?;
        Ok(TraceRegisters {
            rip: r.rip,
            rsp: r.rsp,
            rbp: r.rbp,
            general: [
                r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
                r.r14, r.r15,
            ],
        })
    }

    /// The system call that the thread is in.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn system_call(self) -> Result<SystemCall, SysError> {
        let r = ptrace::getregs(self.tid).named("ptrace(GETREGS)")?;
        Ok(SystemCall {
            number: r.orig_rax.cast_signed(),
            arguments: [r.rdi, r.rsi, r.rdx, r.r10],
            result: r.rax.cast_signed(),
        })
    }

    /// Where the thread's own block of memory lies (the base of `fs`): what `pthread_self` gives.
    ///
    /// # Errors
    /// It is gone or not stopped (ESRCH).
    pub fn thread_pointer(self) -> Result<u64, SysError> {
        Ok(ptrace::getregs(self.tid).named("ptrace(GETREGS)")?.fs_base)
    }
}

/// Whether nix knows the number as a classic signal (realtime signals have no name there).
#[must_use]
pub(crate) fn classic(signal: i32) -> Option<Signal> {
    Signal::try_from(signal).ok()
}
