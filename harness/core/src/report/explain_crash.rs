//! Pages of `hotfire explain` for deaths by a signal.
//!
//! Deliberately absent: the other codes (`explain_other.rs`).

use super::explain::{Page, page};

/// The pages, in the order of the codes.
pub(crate) const PAGES: &[Page] = &[
    page!(
        "C101",
        "the process died of SIGSEGV",
        "An instruction accessed memory that is not mapped, or not in the way it is mapped.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends. si_code 1: nothing is mapped; 2: its permissions forbid it; 128:\n\
         \x20 the address is no address.",
        "A null or stale pointer, a buffer used after release, an overrun, endless recursion, a call\n\
         \x20 through a wrong pointer, two threads on one object.",
        "Read the likely cause and its evidence; run the replay command under a debugger; if the\n\
         \x20 class is unknown, run the plan against a sanitizer build of the engine.",
    ),
    page!(
        "C102",
        "the process died of SIGABRT",
        "The process gave up by itself: abort(), or a runtime that called it.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends. Known lines of runtimes on standard error tell the class.",
        "A failed assertion, an exception that nobody catches, a heap that the allocator finds\n\
         \x20 damaged, a smashed stack, a panic.",
        "Read the last lines of the output in `hotfire show`; break on abort() in a debugger to see\n\
         \x20 the caller.",
    ),
    page!(
        "C103",
        "the process died of SIGBUS",
        "The memory is mapped, but what should back it is not there, or the address is misaligned.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends. si_code 2 with the mappings names the file that is too short.",
        "A mapped model file that was truncated or is incomplete, a full /dev/shm, a huge page that\n\
         \x20 could not be had.",
        "Check the size of the file that the finding names; copy models to their place under another\n\
         \x20 name, then rename.",
    ),
    page!(
        "C104",
        "the process died of SIGFPE",
        "Integer arithmetic that has no result. Floating point does not raise it by default.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends. si_code 1 is a division by zero or a quotient that does not fit.",
        "A size or count of zero from a broken or empty model; the smallest integer divided by -1.",
        "Read the likely cause and its evidence; run the replay command under a debugger; if the\n\
         \x20 class is unknown, run the plan against a sanitizer build of the engine.",
    ),
    page!(
        "C105",
        "the process died of SIGILL",
        "The processor does not know the instruction, or the compiler put a trap there.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends.",
        "A library built for a newer processor (AVX-512, AMX); code behind a function that must not\n\
         \x20 return; a jump into data.",
        "Compare the instruction bytes with the processor's flags in /proc/cpuinfo; try the engine's\n\
         \x20 generic build.",
    ),
    page!(
        "C106",
        "the process died of SIGTRAP",
        "A breakpoint or trap instruction was run without a debugger.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends.",
        "__builtin_trap, a debug break in an assertion, a leftover breakpoint.",
        "Read the likely cause and its evidence; run the replay command under a debugger; if the\n\
         \x20 class is unknown, run the plan against a sanitizer build of the engine.",
    ),
    page!(
        "C107",
        "the process died of SIGSYS",
        "A seccomp filter forbids the system call that the process made.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends.",
        "A sandbox or container profile that is older than the engine or its C library.",
        "Find the call with the replay command under strace; allow it in the profile, or avoid it.",
    ),
    page!(
        "C108",
        "the process died of SIGKILL",
        "Somebody ended the process with a signal that cannot be handled, and the plan did not ask\n\
         \x20 for it.",
        "The wait status tells the signal; SIGKILL leaves no registers and no sender behind.",
        "The kernel's out-of-memory killer, a container's memory limit, a job scheduler, a person.",
        "Look for `Out of memory` in the kernel's log and for the cgroup's memory.events; give the\n\
         \x20 run more memory.",
    ),
    page!(
        "C109",
        "the process died of SIGTERM",
        "The process was asked to end and does not handle the request.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends. siginfo names the sender.",
        "A supervisor or scheduler outside of the run, or the process itself (class self-kill).",
        "Look at the sender in the evidence: inside of the run it is the engine's doing, outside it\n\
         \x20 is the machine's.",
    ),
    page!(
        "C110",
        "the process died of another signal",
        "A signal whose default action ends the process, such as SIGHUP, SIGPIPE, SIGALRM or SIGXCPU.",
        "The supervisor stops the thread at the signal and reads siginfo, registers and mappings\n\
         \x20 before the process ends.",
        "A write to a pipe that nobody reads, a timer without a handler, a resource limit.",
        "The status word names the signal; signal(7) tells its default action and who sends it.",
    ),
    page!(
        "X201",
        "the process died of SIGSEGV on its way out",
        "The plan's last step had ended; the process died on its way out (SIGSEGV).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X202",
        "the process died of SIGABRT on its way out",
        "The plan's last step had ended; the process died on its way out (SIGABRT).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X203",
        "the process died of SIGBUS on its way out",
        "The plan's last step had ended; the process died on its way out (SIGBUS).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X204",
        "the process died of SIGFPE on its way out",
        "The plan's last step had ended; the process died on its way out (SIGFPE).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X205",
        "the process died of SIGILL on its way out",
        "The plan's last step had ended; the process died on its way out (SIGILL).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X206",
        "the process died of SIGTRAP on its way out",
        "The plan's last step had ended; the process died on its way out (SIGTRAP).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X207",
        "the process died of SIGSYS on its way out",
        "The plan's last step had ended; the process died on its way out (SIGSYS).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X208",
        "the process died of SIGKILL on its way out",
        "The plan's last step had ended; the process died on its way out (SIGKILL).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X209",
        "the process died of SIGTERM on its way out",
        "The plan's last step had ended; the process died on its way out (SIGTERM).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
    page!(
        "X210",
        "the process died of another signal on its way out",
        "The plan's last step had ended; the process died on its way out (another signal).",
        "The recorder's stage is `exiting` when the signal comes; thread, registers and mappings are\n\
         \x20 read as in any crash.",
        "Static objects destroyed in the wrong order, a worker thread that still runs while its\n\
         \x20 engine is destroyed, atexit handlers that use what is gone.",
        "Try the plan with `cleanup`, `drop` or `shutdown` before the exit, and with `exit\n\
         \x20 how=quick`: what makes it go away tells whose teardown it is.",
    ),
];
