//! What threads of a run that does not go on wait for, and how far each came while it was watched.
//!
//! Deliberately absent: who waits for whom in the end (`diagnose::wait_graph`).

use serde::{Deserialize, Serialize};

use super::Fact;

/// A lock, or another thing that a futex word belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// What it is.
    pub kind: LockKind,
    /// Where it begins; the word may lie inside of it.
    pub address: u64,
    /// The function that tells what it is, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// The thread that it names as its owner, and that the process has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_gone: Option<i32>,
}

/// What a futex word belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// A mutex that names its owner (`pthread_mutex_t`, `std::mutex`).
    Mutex,
    /// A read-write lock that names its writer (`pthread_rwlock_t`).
    ReadWriteLock,
    /// A lock that keeps to itself who holds it (Rust's).
    NamelessLock,
    /// A lock of a language that is made of something else: a semaphore or a condition variable.
    /// Whoever waits for a message there waits in the same functions.
    LanguageLock,
    /// The lock of an interpreter.
    InterpreterLock,
    /// A condition variable.
    ConditionVariable,
    /// A semaphore.
    Semaphore,
    /// A barrier.
    Barrier,
    /// Something that is done once.
    Once,
    /// A thread that is parked until another one wakes it.
    Parked,
    /// The end of a thread.
    Join,
    /// A pool of threads that waits for its work, or for its workers.
    Pool,
    /// Not told by any function.
    Unknown,
}

impl LockKind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::ReadWriteLock => "read-write lock",
            Self::NamelessLock | Self::LanguageLock => "lock",
            Self::InterpreterLock => "interpreter's lock",
            Self::ConditionVariable => "condition variable",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Once => "once-only call",
            Self::Parked => "wake-up of the parked thread",
            Self::Join => "end of a thread",
            Self::Pool => "thread pool",
            Self::Unknown => "futex",
        }
    }
}

/// A descriptor that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorRecord {
    /// Its number.
    pub number: i32,
    /// What the kernel says that it is: `pipe:[INODE]`, `socket:[INODE]`, a path; empty: not seen.
    pub target: String,
    /// It is waited for to write into it, not to read from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_write: bool,
    /// The socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketRecord>,
    /// The processes of the run that hold the other end.
    pub peers: Fact<Vec<i32>>,
}

/// A socket's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRecord {
    /// `tcp`, `tcp6`, `udp`, `udp6` or `unix`.
    pub protocol: String,
    /// Its own address; empty: none.
    pub local: String,
    /// The other end's; empty: none.
    pub remote: String,
    /// It waits for connections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listens: bool,
}

/// How far a thread came from the first look at it to the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Looks at it, the first one included.
    pub looks: u32,
    /// From the first to the last, microseconds.
    pub over_us: u64,
    /// Time on a processor, microseconds.
    pub cpu_us: u64,
    /// Time ready for a processor and without one, microseconds; 0 where it is not counted.
    pub queued_us: u64,
    /// How often it slept anew; what our own stops add is left out.
    pub switches: u64,
    /// Calls of read and write and their like, where the kernel counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfers: Option<u64>,
    /// Looks that found it in a system call.
    pub looks_in_call: u32,
    /// It was the same system call each time, with the same arguments, from the same place.
    pub same_call: bool,
    /// Frames, from the outermost inwards, that had not returned in between. The last of them may
    /// have gone on inside of its function.
    pub frames_common: usize,
    /// Each look found the same innermost function.
    pub same_function: bool,
}

/// A process of a run that does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The process.
    pub pid: i32,
    /// Its parent now.
    pub parent: i32,
    /// Its command line, cut at 4 KiB.
    pub command: String,
    /// Its living threads.
    pub threads: u32,
    /// The fork that made it; `None`: it has exec'ed since, or was made by nobody of the run.
    pub fork: Option<ForkRecord>,
    /// The thread that holds its interpreter's lock; `None`: nobody waits for it.
    pub interpreter_lock: Fact<Option<i32>>,
    /// Signals that it catches and that a timer, a device or another process may send it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caught: Vec<i32>,
    /// It was stopped by job control (SIGSTOP) before anybody looked at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// A process as it was when it forked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkRecord {
    /// The process that forked.
    pub parent: i32,
    /// Its threads at that moment; at most as many as are listed of a process.
    pub threads: Vec<i32>,
}

/// Why there is no progress where nobody looked twice.
#[must_use]
pub(super) fn not_watched() -> Fact<Progress> {
    Fact::Unavailable("not watched".to_owned())
}
