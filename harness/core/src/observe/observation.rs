//! The observation of one run. Stored as JSON; fields are only ever added.

use serde::{Deserialize, Serialize};

use super::births::ThreadBirths;
use super::census::CensusRecord;
use super::hang::{DescriptorRecord, LockRecord, ProcessRecord, Progress, not_watched};
use super::recorded::Recorded;
use super::samples::Samples;
use super::stack::{StackRecord, not_asked_for};
use super::words::{HeapFacts, LastWords, Pointer};

/// A fact, or the reason why it could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It was seen.
    Known(T),
    /// It could not be seen; a lowercase fragment says why.
    Unavailable(String),
}

impl Observation {
    /// The death of this process.
    #[must_use]
    pub fn crash_of(&self, pid: i32) -> Option<&Crash> {
        self.crash.iter().chain(&self.more_crashes).find(|crash| crash.victim.pid == pid)
    }
}

impl<T> Fact<T> {
    /// The fact, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unavailable(_) => None,
        }
    }
}

/// How a child is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchMode {
    /// A fresh process: vfork and exec.
    Spawn,
    /// A child of the forkserver.
    Fork,
}

/// All facts of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The plan as run, canonical text.
    pub plan: String,
    /// The command, where one was run as it is; then there is no plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The run's seed.
    pub seed: u64,
    /// How the child was made.
    pub mode: LaunchMode,
    /// Whether the run was traced.
    #[serde(default = "traced")]
    pub traced: bool,
    /// Why the mode differs from the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_note: Option<String>,
    /// How the child itself ended.
    pub ending: Ending,
    /// The first death by a signal of any process of the run, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// Deaths of further processes, in their order; of a command alone, and not all of many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_crashes: Vec<Crash>,
    /// Reports that crash handlers of the program's own wrote into its folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handler_reports: Vec<HandlerReport>,
    /// Set when the supervisor ended the run at a deadline or for a wait without end, and where it
    /// was asked for a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
    /// Signals by which others asked the child to end and which it handled, in the order in which
    /// they first came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_to_end: Vec<i32>,
    /// What was seen of the last moments of a command whose end SIGKILL is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// What the recorder tells.
    pub recorder: Fact<Recorded>,
    /// What the processes held at step borders.
    #[serde(default = "not_counted")]
    pub census: Fact<CensusRecord>,
    /// The threads that processes of a command made, where they made many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub births: Vec<ThreadBirths>,
    /// What processes of a command held while it ran, where that became more.
    #[serde(default, skip_serializing_if = "Samples::is_empty")]
    pub samples: Samples,
    /// Processes that the child made, directly or not, in the order of their birth.
    #[serde(default)]
    pub descendants: Vec<Descendant>,
    /// What the child printed.
    pub output: Output,
    /// Wall time from the request to the last process's end, microseconds.
    pub wall_us: u64,
    /// What went wrong while observing; lowercase fragments. The report says them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soft_errors: Vec<String>,
}

/// Observations of before there was a choice were traced.
fn traced() -> bool {
    true
}

/// Observations of before there was a census have none.
fn not_counted() -> Fact<CensusRecord> {
    Fact::Unavailable("not taken".to_owned())
}

/// How the child itself ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it.
    Signaled(i32),
    /// The supervisor ended it, at a deadline or a limit (see `stall`).
    Ended,
    /// It goes on: it was looked at while it ran, and nothing else (see `stall`).
    GoesOn,
    /// It never ran.
    NotStarted(String),
    /// The supervisor died; nothing more is known.
    ObserverLost(String),
}

/// A death by a signal, captured while the victim was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Who died.
    pub victim: Victim,
    /// The signal that ended the process.
    pub signal: i32,
    /// What the kernel told of it. For a handler that re-raises: of the first fault.
    pub siginfo: Fact<SignalInfo>,
    /// The crashing thread's registers at the fault.
    pub registers: Fact<Registers>,
    /// Bytes at the program counter.
    #[serde(default)]
    pub instruction: Vec<u8>,
    /// Where the program counter points.
    pub location: Fact<Location>,
    /// The mapping that holds the fault address, or its neighbours.
    pub address_map: Fact<AddressMap>,
    /// The limit of a resource that this signal says is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<ResourceLimit>,
    /// What was last seen mapped at the fault's address, where nothing is mapped now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Mapping>,
    /// That was mapped in the process from which this one was forked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub former_of_parent: bool,
    /// What the crashing thread's registers point to, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pointers: Vec<Pointer>,
    /// What the allocator knows of the memory around the fault.
    #[serde(default)]
    pub heap: HeapFacts,
    /// What the process was about to say.
    #[serde(default)]
    pub last_words: LastWords,
    /// All threads of the victim.
    #[serde(default)]
    pub threads: Vec<Thread>,
    /// Set when a handler of the program's own saw this fault first and then died.
    #[serde(default)]
    pub through_handler: bool,
    /// CLOCK_MONOTONIC at the capture, nanoseconds.
    pub time_ns: u64,
    /// How long the thread was held to be looked at, nanoseconds; 0 where nobody held it.
    #[serde(default)]
    pub held_ns: u64,
}

/// The last moments of a process that SIGKILL ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// One of its threads was in the call that sent the signal to its own process.
    pub by_itself: bool,
    /// Processes of its control group that the kernel ended for want of memory during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<u64>,
}

/// A soft limit of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// Its name as in setrlimit(2).
    pub name: String,
    /// Its value with the unit.
    pub value: String,
}

/// A file that a crash handler of the program's own wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerReport {
    /// Its path.
    pub path: String,
    /// Its first bytes.
    pub text: String,
}

/// Why there is no siginfo where the kernel ended a process without delivering the signal.
pub const UNDELIVERED: &str = "the kernel ended the process without delivering the signal";

/// Which process and thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    /// The process.
    pub pid: i32,
    /// The thread that got the signal.
    pub tid: i32,
    /// The thread's name.
    pub thread: String,
    /// The child itself, or a process that it made.
    pub is_child: bool,
    /// The process's command line, cut at 4 KiB.
    pub command: String,
}

/// siginfo of the signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalInfo {
    /// The signal.
    pub signal: i32,
    /// si_code.
    pub code: i32,
    /// si_addr, for faults that have one.
    #[serde(default)]
    pub address: Option<u64>,
    /// The sending process, for signals that were sent.
    #[serde(default)]
    pub sender: Option<i32>,
}

/// The x86-64 registers that the diagnosis uses; names as in the ABI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// Program counter.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer.
    pub rbp: u64,
    /// rax rbx rcx rdx rsi rdi r8 … r15, in this order.
    pub general: Vec<u64>,
}

/// A place in code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The program counter.
    pub pc: u64,
    /// The module's path.
    pub module: String,
    /// The module's build-id, in hex.
    #[serde(default)]
    pub build_id: Option<String>,
    /// Offset from the module's load address (its ELF virtual address).
    pub offset: u64,
    /// The function, demangled, where a symbol covers the place.
    #[serde(default)]
    pub function: Option<String>,
    /// Offset of the function's begin, as its unwind information tells it: what a function without
    /// a name is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_start: Option<u64>,
    /// The file as it was then, where it has no build-id to be known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileState>,
}

/// Which file it is, and in which state: equal as long as nobody writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileState {
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// Inode.
    pub inode: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change of its contents, in nanoseconds since 1970.
    pub modified_ns: i64,
}

/// What /proc/pid/maps says of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressMap {
    /// The mapping that holds the address.
    #[serde(default)]
    pub inside: Option<Mapping>,
    /// The nearest mapping below.
    #[serde(default)]
    pub below: Option<Mapping>,
    /// The nearest mapping above.
    #[serde(default)]
    pub above: Option<Mapping>,
}

/// One line of /proc/pid/maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// `rwxp` as the kernel prints it.
    pub permissions: String,
    /// File offset.
    pub offset: u64,
    /// The file's inode; 0: none.
    pub inode: u64,
    /// File or `[stack]` etc.; empty: anonymous.
    pub path: String,
    /// The file's size in bytes now, for a file that could be asked.
    #[serde(default)]
    pub file_bytes: Option<u64>,
}

/// A thread as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// Its name.
    pub name: String,
    /// The state letter: R, S, D, T, t, Z, X.
    pub state: char,
    /// The system call it is in.
    pub wait: Wait,
    /// Its stack, where the thread could be stopped.
    #[serde(default = "not_asked_for")]
    pub stack: Fact<StackRecord>,
    /// How far it came while the run was looked at several times.
    #[serde(default = "not_watched")]
    pub progress: Fact<Progress>,
}

/// What a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It runs, or is not in a system call.
    None,
    /// In a futex.
    Futex {
        /// The futex word's address.
        address: u64,
        /// Without a time limit.
        untimed: bool,
        /// The word lies in memory that no process outside of the run shares.
        private: bool,
        /// The thread that can end the wait: it holds the lock, or is the one that is joined.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<i32>,
        /// What the word belongs to, where it was looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock: Option<LockRecord>,
    },
    /// For a child to end.
    Child {
        /// The child; `None`: any, or one of a group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
        /// It really waits (without WNOHANG).
        endless: bool,
    },
    /// For descriptors: to read, to accept, to connect, or for room to write.
    Descriptors {
        /// The system call's number (x86-64).
        number: i64,
        /// Without a time limit.
        untimed: bool,
        /// Which ones; at most sixteen.
        descriptors: Vec<DescriptorRecord>,
    },
    /// For an interpreter's lock: it asks again and again, and may have been on its way between two.
    InterpreterLock,
    /// In another system call.
    Syscall {
        /// Its number (x86-64).
        number: i64,
        /// Without a time limit, and only the run's own processes can end it.
        endless: bool,
    },
    /// Not to be seen.
    Unavailable(String),
}

/// What was seen when the supervisor ended the run, or when somebody asked for a look at processes
/// that run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// Why.
    pub reason: StallReason,
    /// How long the run had made no progress, microseconds.
    pub quiet_us: u64,
    /// All threads of all processes of the run, at that time.
    pub threads: Vec<Thread>,
    /// The processes of the run, at that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessRecord>,
}

/// Why the supervisor ended the run, or looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallReason {
    /// Every thread sits in an untimed wait that nobody outside can end.
    EndlessWait,
    /// A step ran longer than its limit.
    StepLimit,
    /// The run took longer than its limit.
    RunLimit,
    /// The process did not end in time after its last step.
    ExitLimit,
    /// More processes at once than allowed.
    ProcessLimit,
    /// Nobody ended it: somebody asked how it is.
    AskedFor,
}

/// A process that the child made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descendant {
    /// The process.
    pub pid: i32,
    /// Its parent at birth.
    pub parent: i32,
    /// Its command line at the end of the run, cut at 4 KiB.
    pub command: String,
    /// The step of lane 0 in flight at its birth; 0: none.
    pub born_in_step: u32,
    /// Its own session, process group or parent was changed (it daemonised).
    #[serde(default)]
    pub detached: bool,
    /// How it ended.
    pub end: DescendantEnd,
}

/// How a descendant ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DescendantEnd {
    /// It exited by itself, with this status, while the run went on or in the grace period.
    Exited(i32),
    /// A signal ended it, while the run went on or in the grace period.
    Signaled(i32),
    /// It was alive after the grace period; the supervisor ended it.
    LeftBehind {
        /// How long it had outlived the child, microseconds.
        outlived_us: u64,
    },
    /// The supervisor ended it together with the stalled run.
    EndedWithRun,
}

/// Both output streams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
}

/// Head and tail of a stream, lossy UTF-8, with the byte count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stream {
    /// The first 64 KiB.
    pub head: String,
    /// The last 64 KiB of what came after the head.
    pub tail: String,
    /// Bytes in all.
    pub bytes: u64,
}
