//! The few calls to libc that the interpreter needs, as safe functions.
//!
//! Deliberately absent: everything about children; the harness's side has that in `sys`.

use std::ptr;

use hotfire_recorder::GATE_VALUE;

unsafe extern "C" {
    fn quick_exit(status: libc::c_int) -> !;
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The calling thread's id.
pub(crate) fn tid() -> u64 {
    // SAFETY: no arguments, cannot fail.
    let tid = unsafe { libc::gettid() };
    u64::from(tid.cast_unsigned())
}

/// Waits for `micros` microseconds, whatever signals come.
pub(crate) fn pause_us(micros: u64) {
    let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
    let nanoseconds = i64::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    let mut left = libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    // SAFETY: `left` is valid for reading and writing; the call may be told to use one for both.
    while unsafe { libc::nanosleep(&raw const left, &raw mut left) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
}

/// Sends a signal to this process.
pub(crate) fn signal_self(signal: libc::c_int) {
    // SAFETY: no memory is passed. Dying of it is what the plan asks for.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Stops here for who traces the calling thread, also where the program has blocked the signal of
/// the stop: it is let through for this moment. Where one of the program's own waits behind the
/// block, that would be let through, too: then there is no stop, and the supervisor sees one border
/// less.
pub(crate) fn stop_for_tracer() {
    let Some(mask) = Mask::letting_through(libc::SIGURG) else { return };
    queue_gate_signal();
    mask.restore();
}

/// What a thread's signal mask was.
struct Mask(libc::sigset_t);

impl Mask {
    /// Lets a signal through; `None` where one waits already. Makes only calls that a signal
    /// handler may make, and takes no lock.
    fn letting_through(signal: libc::c_int) -> Option<Self> {
        // SAFETY: all sets are initialised by the calls, or zeroed, and live through them; a null
        // pointer asks for the mask alone.
        unsafe {
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut before);
            if libc::sigismember(&raw const before, signal) != 1 {
                return Some(Self(before));
            }
            let mut waiting: libc::sigset_t = std::mem::zeroed();
            libc::sigpending(&raw mut waiting);
            if libc::sigismember(&raw const waiting, signal) == 1 {
                return None;
            }
            let mut one: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut one);
            libc::sigaddset(&raw mut one, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const one, ptr::null_mut());
            Some(Self(before))
        }
    }

    fn restore(self) {
        // SAFETY: the set was filled by the kernel.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut());
        }
    }
}

/// Sends SIGURG to the calling thread, with a value that the supervisor knows. Who traces the
/// thread stops it here; for anyone else the signal's default action is to do nothing.
fn queue_gate_signal() {
    // SAFETY: all-zero is a valid siginfo, and the kernel reads no more than it. The union's
    // member for queued signals lies at offset 16 on x86-64: pid, uid, value.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        info.si_signo = libc::SIGURG;
        info.si_code = libc::SI_QUEUE;
        let (pid, tid) = (libc::getpid(), libc::gettid());
        let start = (&raw mut info).cast::<u8>();
        start.add(16).cast::<libc::pid_t>().write(pid);
        start.add(24).cast::<u64>().write(GATE_VALUE);
        // Without room for the signal there is no stop, and the supervisor sees one border less.
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, libc::SIGURG, &raw const info);
    }
}

/// Gives a signal its default action.
pub(crate) fn default_action(signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: all-zero is a valid `sigaction` with an empty mask; SIG_DFL runs no code of ours.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// Replaces the calling thread's signal mask: empty, or SIGCHLD alone.
pub(crate) fn block_only_sigchld(block: bool) {
    // SAFETY: the set is initialised before its use and lives through the call.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        if block {
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
    }
}

/// Ends the process by `exit`: atexit handlers and static destructors run in this thread.
pub(crate) fn exit(code: u8) -> ! {
    // SAFETY: no memory is passed. That other threads still run is what some plans ask for.
    unsafe { libc::exit(i32::from(code)) }
}

/// Ends the process by `quick_exit`: only at_quick_exit handlers run.
pub(crate) fn exit_quickly(code: u8) -> ! {
    // SAFETY: as for `exit`.
    unsafe { quick_exit(i32::from(code)) }
}

/// Ends the process by `abort`.
pub(crate) fn abort() -> ! {
    // SAFETY: no memory is passed; it does not return.
    unsafe { libc::abort() }
}
