//! The codes of findings: a closed table, so that every code has its page and its status word.
//!
//! Deliberately absent: when a code applies (the stages' own files) and its page (`report`).

use super::signals;

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal $status:literal,)*) => {
        /// What happened, as a stable code. C1xx crash, X2xx at exit, H3xx hang and freeze,
        /// L4xx left behind, P5xx contract, E9xx environment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$meta])* $name,)* }

        impl Code {
            /// All codes, in the order of their texts.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text, e.g. `C101`.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status word of findings with this code.
            #[must_use]
            pub fn status(self) -> &'static str {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// Invalid memory access.
    CrashSegv = "C101" "SIGSEGV",
    /// Abort.
    CrashAbort = "C102" "SIGABRT",
    /// Access that the memory's backing cannot serve.
    CrashBus = "C103" "SIGBUS",
    /// Arithmetic fault.
    CrashFpe = "C104" "SIGFPE",
    /// Illegal instruction.
    CrashIll = "C105" "SIGILL",
    /// Breakpoint or trap instruction.
    CrashTrap = "C106" "SIGTRAP",
    /// Forbidden system call.
    CrashSys = "C107" "SIGSYS",
    /// Killed.
    CrashKill = "C108" "SIGKILL",
    /// Terminated.
    CrashTerm = "C109" "SIGTERM",
    /// Any other signal's default action.
    CrashOther = "C110" "SIGNAL",
    /// Invalid memory access on the way out.
    ExitSegv = "X201" "EXIT-CRASH",
    /// Abort on the way out.
    ExitAbort = "X202" "EXIT-CRASH",
    /// Bus error on the way out.
    ExitBus = "X203" "EXIT-CRASH",
    /// Arithmetic fault on the way out.
    ExitFpe = "X204" "EXIT-CRASH",
    /// Illegal instruction on the way out.
    ExitIll = "X205" "EXIT-CRASH",
    /// Trap on the way out.
    ExitTrap = "X206" "EXIT-CRASH",
    /// Forbidden system call on the way out.
    ExitSys = "X207" "EXIT-CRASH",
    /// Killed on the way out.
    ExitKill = "X208" "EXIT-CRASH",
    /// Terminated on the way out.
    ExitTerm = "X209" "EXIT-CRASH",
    /// Any other signal on the way out.
    ExitOther = "X210" "EXIT-CRASH",
    /// Every thread waits for ever.
    EndlessWait = "H301" "HANG",
    /// A step ran longer than its limit.
    StepLimit = "H302" "HANG",
    /// The run took longer than its limit.
    RunLimit = "H303" "HANG",
    /// The process did not end after its last step.
    ExitLimit = "H304" "HANG",
    /// Threads of a process that goes on do not.
    StuckThreads = "H305" "HANG",
    /// The heartbeat stopped for too long.
    MissedHeartbeat = "H310" "FROZEN",
    /// Processes outlived the child.
    Orphans = "L401" "ORPHANS",
    /// More processes at once than allowed.
    ProcessLimit = "L402" "LEAK",
    /// Threads that stay from turn to turn.
    ThreadLeak = "L410" "LEAK",
    /// Descriptors that stay from turn to turn.
    FdLeak = "L411" "LEAK",
    /// Listening sockets that stay from turn to turn.
    PortLeak = "L412" "LEAK",
    /// Named semaphores that outlive the process.
    SemaphoreLeak = "L413" "LEAK",
    /// Named shared memory that outlives the process.
    ShmLeak = "L414" "LEAK",
    /// Private memory that grows from turn to turn.
    MemoryGrowth = "L415" "LEAK",
    /// A step failed that must succeed.
    StepFailed = "P501" "FAIL",
    /// An illegal step was taken as a legal one.
    IllegalAccepted = "P502" "FAIL",
    /// A result that none of the engine's models can give.
    TornResult = "P503" "FAIL",
    /// The engine's adapter panicked.
    Panicked = "P504" "PANIC",
    /// An exit status other than the plan's.
    NonzeroExit = "P510" "FAIL",
    /// Exit status 0 with steps of the plan undone.
    CleanExit = "P511" "FAIL",
    /// Acquired and released in a wrong order or number.
    LedgerViolation = "P520" "FAIL",
    /// The child could not be started.
    NotStarted = "E901" "BLIND",
    /// Tracing was refused, or the supervisor died: the run was not seen to its end.
    ObserverLost = "E902" "BLIND",
    /// The host could not run the plan.
    Refused = "E910" "BLIND",
    /// The host ended before it reached the plan.
    NeverAttached = "E911" "BLIND",
}

impl Code {
    /// The code of a death by this signal, on the way out or before.
    #[must_use]
    pub fn of_death(signal: i32, at_exit: bool) -> Self {
        let (crash, exit) = match signal {
            signals::SIGSEGV => (Self::CrashSegv, Self::ExitSegv),
            signals::SIGABRT => (Self::CrashAbort, Self::ExitAbort),
            signals::SIGBUS => (Self::CrashBus, Self::ExitBus),
            signals::SIGFPE => (Self::CrashFpe, Self::ExitFpe),
            signals::SIGILL => (Self::CrashIll, Self::ExitIll),
            signals::SIGTRAP => (Self::CrashTrap, Self::ExitTrap),
            signals::SIGSYS => (Self::CrashSys, Self::ExitSys),
            signals::SIGKILL => (Self::CrashKill, Self::ExitKill),
            signals::SIGTERM => (Self::CrashTerm, Self::ExitTerm),
            _ => (Self::CrashOther, Self::ExitOther),
        };
        if at_exit { exit } else { crash }
    }
}
