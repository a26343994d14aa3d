//! What a thread in a futex wait waits for: the functions between the system call and the program's
//! own code tell what the word belongs to, and the memory around it who holds that.
//!
//! Layouts: glibc, x86-64 (sysdeps/nptl/bits/struct_mutex.h and struct_rwlock.h; the word of a join
//! is `struct pthread`'s tid). Deliberately absent: names of programs; functions of C libraries and
//! of language runtimes only.

use crate::observe::{FrameRecord, Location, LockKind, LockRecord, Thread, Wait};
use crate::unwind::Memory;

/// Frames that are looked at: runtimes have few between a wait and their caller.
const FRAMES_MAX: usize = 10;
/// The thread's bits in the word of a mutex that inherits priorities, or is robust
/// (`FUTEX_TID_MASK`).
const TID_MASK: u32 = 0x3fff_ffff;
/// Whether the word of a lock is taken, with or without others that wait.
const TAKEN: [u32; 2] = [1, 2];
/// `PTHREAD_RWLOCK_FUTEX_USED` and whether it is to be waited.
const LOCK_WORD_MAX: u32 = 3;

/// How a function's name is compared: without leading underscores and parameters, and it begins so.
const BY_BEGINNING: &[(&str, LockKind)] = &[
    ("pthread_mutex_lock", LockKind::Mutex),
    ("pthread_mutex_timedlock", LockKind::Mutex),
    ("pthread_mutex_clocklock", LockKind::Mutex),
    ("pthread_mutex_cond_lock", LockKind::Mutex),
    ("pthread_rwlock_", LockKind::ReadWriteLock),
    ("pthread_cond_", LockKind::ConditionVariable),
    ("cnd_wait", LockKind::ConditionVariable),
    ("cnd_timedwait", LockKind::ConditionVariable),
    ("sem_wait", LockKind::Semaphore),
    ("sem_timedwait", LockKind::Semaphore),
    ("sem_clockwait", LockKind::Semaphore),
    ("new_sem_wait", LockKind::Semaphore),
    ("pthread_barrier_wait", LockKind::Barrier),
    ("pthread_once", LockKind::Once),
    ("cxa_guard_acquire", LockKind::Once),
    ("pthread_join", LockKind::Join),
    ("pthread_timedjoin", LockKind::Join),
    ("pthread_clockjoin", LockKind::Join),
    ("take_gil", LockKind::InterpreterLock),
    ("drop_gil", LockKind::InterpreterLock),
    ("PyEval_RestoreThread", LockKind::InterpreterLock),
    ("PyEval_AcquireThread", LockKind::InterpreterLock),
    ("PyEval_AcquireLock", LockKind::InterpreterLock),
    ("PyEval_EvalFrame", LockKind::InterpreterLock),
    ("PyGILState_Ensure", LockKind::InterpreterLock),
    ("PyThread_acquire_lock", LockKind::LanguageLock),
    ("PyMutex_Lock", LockKind::LanguageLock),
    ("GOMP_", LockKind::Pool),
    ("gomp_", LockKind::Pool),
    ("kmp_", LockKind::Pool),
    ("kmpc_", LockKind::Pool),
];
/// Parts of names of language runtimes.
const BY_PART: &[(&str, LockKind)] = &[
    ("mutex::futex::Mutex", LockKind::NamelessLock),
    ("futex_mutex::Mutex", LockKind::NamelessLock),
    ("rwlock::futex::RwLock", LockKind::NamelessLock),
    ("futex_rwlock::RwLock", LockKind::NamelessLock),
    ("condvar::futex::Condvar", LockKind::ConditionVariable),
    ("futex_condvar::Condvar", LockKind::ConditionVariable),
    ("once::futex::Once", LockKind::Once),
    ("thread_parking::futex::Parker", LockKind::Parked),
    ("std::thread::park", LockKind::Parked),
    ("std::thread::functions::park", LockKind::Parked),
    ("std::thread::current::park", LockKind::Parked),
    ("std::__atomic_futex_unsigned_base::", LockKind::ConditionVariable),
];
/// Modules whose nameless functions are told by them: thread pools of OpenMP, which are stripped.
const BY_MODULE: &[(&str, LockKind)] =
    &[("libgomp", LockKind::Pool), ("libomp", LockKind::Pool), ("libiomp", LockKind::Pool)];
/// How methods begin that lock, beside `lock` itself.
const LOCKING: &[&str] = &[
    "lock_slow",
    "lock_contended",
    "lock_exclusive",
    "lock_shared",
    "lock_upgradable",
    "lock_internal",
];
/// Functions between the system call and the one that tells.
const BETWEEN: &[&str] = &["syscall", "lll_", "futex_", "pthread_", "do_futex_wait", "PyCOND_"];
/// Modules whose nameless functions stand between.
const RUNTIMES: &[&str] =
    &["libc.so", "libc-2", "libpthread", "libstdc++", "libc++", "ld-linux", "libpython", "python"];

/// Adds to a thread's futex wait what it is and who can end it. `tids` are the living threads of
/// the process.
pub(crate) fn add_lock(thread: &mut Thread, memory: &mut dyn Memory, tids: &[i32]) {
    let own = thread.tid;
    let frames = thread.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let (mut kind, mut told_by) = told(frames);
    if matches!(kind, LockKind::Unknown | LockKind::Parked)
        && let (by_method @ (LockKind::NamelessLock | LockKind::ConditionVariable), function) =
            told_by_method(frames)
    {
        (kind, told_by) = (by_method, function);
    }
    if kind == LockKind::InterpreterLock && matches!(thread.wait, Wait::Futex { .. } | Wait::None) {
        thread.wait = Wait::InterpreterLock;
        return;
    }
    let Wait::Futex { address, owner, lock, .. } = &mut thread.wait else { return };
    let mut bytes = [0; 12];
    let is_whole = memory.read(*address, &mut bytes) == bytes.len();
    let word = if is_whole { word_at(&bytes, 0) } else { None };
    let mut place = *address;
    let mut named = None;
    match kind {
        LockKind::Mutex => named = word.and_then(|word| mutex_owner(word, &bytes)),
        LockKind::ReadWriteLock => {
            if let Some((base, writer)) = writer_of(memory, *address) {
                (place, named) = (base, Some(writer));
            }
        }
        LockKind::Join => named = word.and_then(as_tid),
        LockKind::Unknown => {
            let joined = word.and_then(as_tid).filter(|tid| tids.contains(tid) && *tid != own);
            if let Some(joined) = joined {
                (kind, named) = (LockKind::Join, Some(joined));
            } else if let Some(holder) = owner_of(&bytes).filter(|tid| tids.contains(tid)) {
                (kind, named) = (LockKind::Mutex, Some(holder));
            }
        }
        _ => {}
    }
    let named = named.filter(|tid| *tid > 0);
    *owner = named.filter(|tid| tids.contains(tid));
    let owner_gone = named.filter(|tid| !tids.contains(tid));
    if kind == LockKind::Unknown {
        told_by = None;
    }
    *lock = Some(LockRecord { kind, address: place, told_by, owner_gone });
}

/// Who holds a lock that is waited for, by its first bytes: a mutex of glibc's has 2 in its word
/// while somebody waits, and its owner's tid 8 bytes behind.
pub(crate) fn owner_of(bytes: &[u8; 12]) -> Option<i32> {
    (word_at(bytes, 0) == Some(2)).then(|| word_at(bytes, 8)).flatten().and_then(as_tid)
}

fn mutex_owner(word: u32, bytes: &[u8; 12]) -> Option<i32> {
    // Robust ones and those that inherit priorities have the thread in the word itself.
    let holder = word & TID_MASK;
    if TAKEN.contains(&holder) { word_at(bytes, 8).and_then(as_tid) } else { as_tid(holder) }
}

/// Where a read-write lock begins, and who writes. Readers wait for the word at 8 or 0, writers for
/// those at 8 or 12; the writer's tid is at 24.
fn writer_of(memory: &mut dyn Memory, address: u64) -> Option<(u64, i32)> {
    [8, 12, 0].into_iter().find_map(|offset| {
        let base = address.checked_sub(offset).filter(|base| base % 8 == 0)?;
        let mut bytes = [0; 32];
        (memory.read(base, &mut bytes) == bytes.len()).then_some(())?;
        let word = |at| word_at(&bytes, at);
        let shared = word(28)?;
        let is_one = word(8)? <= LOCK_WORD_MAX && word(12)? <= LOCK_WORD_MAX && shared <= 1;
        let writer = as_tid(word(24)?)?;
        (is_one && writer > 0).then_some((base, writer))
    })
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn as_tid(word: u32) -> Option<i32> {
    i32::try_from(word).ok().filter(|tid| (1..=PID_MAX).contains(tid))
}

/// The largest that `/proc/sys/kernel/pid_max` may be.
const PID_MAX: i32 = 1 << 22;

/// What the functions tell, and which one does. The nearest to the system call wins, but a lock of
/// an interpreter or a language is made of what stands below it, and a pool waits in the same.
fn told(frames: &[FrameRecord]) -> (LockKind, Option<String>) {
    let mut found = (LockKind::Unknown, None);
    let trusted = frames.iter().take_while(|frame| !frame.doubtful && !frame.signal_trampoline);
    for frame in trusted.take(FRAMES_MAX) {
        let Some(location) = frame.location.known() else { break };
        let Some(kind) = kind_of(location) else {
            if stands_between(location) {
                continue;
            }
            break;
        };
        let is_outer = matches!(
            kind,
            LockKind::InterpreterLock | LockKind::LanguageLock | LockKind::Pool | LockKind::Parked
        );
        // The interpreter's loop calls much; only for its lock does it wait by itself, and there
        // by a condition variable.
        let by_loop = location.function.as_deref().is_some_and(is_interpreters_loop);
        if by_loop && found.0 != LockKind::ConditionVariable {
            break;
        }
        if found.0 == LockKind::Unknown || is_outer {
            found = (kind, location.function.clone());
        }
        if is_outer {
            break;
        }
    }
    found
}

/// A lock of a library's own, parked on a word that tells nothing: its method says that it locks, and
/// its type that it is a lock. The nearest one that says anything wins: a condition variable's wait
/// takes its lock back when it is woken.
fn told_by_method(frames: &[FrameRecord]) -> (LockKind, Option<String>) {
    let trusted = frames.iter().take_while(|frame| !frame.doubtful && !frame.signal_trampoline);
    let places = trusted.take(FRAMES_MAX).map_while(|frame| frame.location.known());
    let functions = places.filter_map(|place| place.function.as_deref());
    for function in functions {
        let plain = without_arguments(function);
        let (path, method) = plain.rsplit_once("::").unwrap_or_default();
        let kind = path.rsplit("::").next().unwrap_or_default();
        if method.starts_with("wait") && kind.contains("Cond") {
            return (LockKind::ConditionVariable, Some(function.to_owned()));
        }
        let locks = method == "lock" || LOCKING.iter().any(|begin| method.starts_with(begin));
        if locks && ["Lock", "Mutex"].iter().any(|part| kind.contains(part)) {
            return (LockKind::NamelessLock, Some(function.to_owned()));
        }
    }
    (LockKind::Unknown, None)
}

/// A function's path without parameters and the arguments of templates: types that stand there are
/// not whose method it is.
fn without_arguments(function: &str) -> String {
    // `<Type as Trait>::method`: the type's name, then the method's.
    let (of_type, rest) = function
        .strip_prefix('<')
        .and_then(|inner| inner.rsplit_once(">::"))
        .map_or((None, function), |(inner, method)| (inner.split(" as ").next(), method));
    let mut plain = of_type.map_or_else(String::new, |name| without_arguments(name) + "::");
    let mut depth = 0_u32;
    for letter in rest.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => break,
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}

/// CPython's, which runs a program's functions.
fn is_interpreters_loop(function: &str) -> bool {
    bare(function).starts_with("PyEval_EvalFrame")
}

fn bare(function: &str) -> &str {
    let name = function.trim_start_matches('_');
    let name = name.strip_prefix("GI_").unwrap_or(name).trim_start_matches('_');
    name.split('(').next().unwrap_or(name)
}

fn kind_of(location: &Location) -> Option<LockKind> {
    let module = location.module.rsplit('/').next().unwrap_or_default();
    let Some(function) = location.function.as_deref() else {
        return BY_MODULE
            .iter()
            .find(|(begin, _)| module.starts_with(begin))
            .map(|(_, kind)| *kind);
    };
    let name = bare(function);
    let by_beginning = BY_BEGINNING.iter().find(|(begin, _)| name.starts_with(begin));
    let by_part = || BY_PART.iter().find(|(part, _)| function.contains(part));
    by_beginning.or_else(by_part).map(|(_, kind)| *kind)
}

fn stands_between(location: &Location) -> bool {
    let module = location.module.rsplit('/').next().unwrap_or_default();
    match location.function.as_deref() {
        None => RUNTIMES.iter().any(|runtime| module.starts_with(runtime)),
        Some(function) => {
            let name = bare(function);
            let of_standard_library = ["std::", "<std::", "core::", "<core::"]
                .iter()
                .any(|space| function.starts_with(space));
            of_standard_library || BETWEEN.iter().any(|begin| name.starts_with(begin))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const BASE: u64 = 0x1000;

    /// Words of four bytes from `BASE` on.
    struct Words(Vec<u32>);

    impl Memory for Words {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            let Some(start) = address.checked_sub(BASE) else { return 0 };
            let there = bytes.get(start as usize..).unwrap_or_default();
            let length = there.len().min(buffer.len());
            buffer[..length].copy_from_slice(&there[..length]);
            length
        }
    }

    fn waiting(address: u64, functions: &[(&str, Option<&str>)]) -> Thread {
        let frame = |(module, function): &(&str, Option<&str>)| {
            let place = json!({"pc": 1, "module": module, "offset": 1, "function": function});
            json!({"pc": 1, "found_by": "unwind-info", "location": {"known": place}})
        };
        let frames: Vec<_> = functions.iter().map(frame).collect();
        from_value(json!({
            "pid": 7, "tid": 8, "name": "", "state": "S",
            "wait": {"futex": {"address": address, "untimed": true, "private": true}},
            "stack": {"known": {"frames": frames, "end": ""}},
        }))
        .unwrap()
    }

    /// Kind, owner and owner that is gone.
    fn seen(
        address: u64,
        functions: &[(&str, Option<&str>)],
        words: &[u32],
    ) -> (LockKind, Option<i32>, Option<i32>) {
        let mut thread = waiting(address, functions);
        add_lock(&mut thread, &mut Words(words.to_vec()), &[7, 8, 9]);
        let Wait::Futex { owner, lock: Some(lock), .. } = thread.wait else { unreachable!() };
        (lock.kind, owner, lock.owner_gone)
    }

    const LIBC: &str = "/lib/libc.so.6";
    const OWN: (&str, Option<&str>) = ("/opt/libengine.so", Some("engine::swap"));

    fn through(function: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
        vec![(LIBC, None), (LIBC, Some(function)), OWN]
    }

    #[test]
    fn a_mutex_names_its_owner_living_or_not() {
        let lock = through("pthread_mutex_lock");
        assert_eq!(seen(BASE, &lock, &[2, 0, 9]), (LockKind::Mutex, Some(9), None));
        assert_eq!(seen(BASE, &lock, &[2, 0, 6]), (LockKind::Mutex, None, Some(6)));
        assert_eq!(seen(BASE, &lock, &[0x8000_0009, 1, 0]), (LockKind::Mutex, Some(9), None));
        // The same words, waited for by others.
        let event = through("pthread_cond_wait");
        assert_eq!(seen(BASE, &event, &[2, 0, 9]), (LockKind::ConditionVariable, None, None));
    }

    #[test]
    fn a_writer_is_found_from_either_word() {
        let words = [0, 1, 3, 1, 0, 0, 9, 0];
        let lock = through("pthread_rwlock_rdlock");
        assert_eq!(seen(BASE + 8, &lock, &words), (LockKind::ReadWriteLock, Some(9), None));
        assert_eq!(seen(BASE + 12, &lock, &words), (LockKind::ReadWriteLock, Some(9), None));
        let read = [8, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!(seen(BASE + 12, &lock, &read), (LockKind::ReadWriteLock, None, None));
    }

    #[test]
    fn a_join_is_told_by_its_word_where_no_name_tells() {
        let nameless = [(LIBC, None), (LIBC, None), OWN];
        assert_eq!(seen(BASE, &nameless, &[9, 0, 0]), (LockKind::Join, Some(9), None));
        assert_eq!(seen(BASE, &nameless, &[8, 0, 0]).0, LockKind::Unknown, "its own number");
        assert_eq!(seen(BASE, &nameless, &[2, 0, 9]), (LockKind::Mutex, Some(9), None));
    }

    #[test]
    fn runtimes_are_told_from_what_they_are_made_of() {
        let kind = |functions: &[(&str, Option<&str>)]| seen(BASE, functions, &[0, 0, 0]).0;
        let python = "/usr/lib/libpython3.11.so.1.0";
        let wait = (LIBC, Some("pthread_cond_timedwait"));
        let restores = [wait, (python, None), (python, Some("PyEval_RestoreThread"))];
        let mut thread = waiting(BASE, &restores);
        add_lock(&mut thread, &mut Words(Vec::new()), &[7]);
        assert_eq!(thread.wait, Wait::InterpreterLock);
        assert_eq!(kind(&[wait, (python, Some("time_sleep"))]), LockKind::ConditionVariable);
        let sem = (LIBC, Some("sem_wait"));
        assert_eq!(
            kind(&[sem, (python, Some("PyThread_acquire_lock_timed"))]),
            LockKind::LanguageLock
        );
        assert_eq!(kind(&[sem, OWN]), LockKind::Semaphore);
        let rust = |function| [(LIBC, Some("syscall")), ("/opt/x.so", Some(function)), OWN];
        assert_eq!(
            kind(&rust("<std[c29f]::sys::sync::condvar::futex::Condvar>::wait")),
            LockKind::ConditionVariable
        );
        assert_eq!(
            kind(&rust("std::sys::sync::mutex::futex::Mutex::lock_contended")),
            LockKind::NamelessLock
        );
        assert_eq!(kind(&[("/x/libgomp-a34b.so.1", None), OWN]), LockKind::Pool);
        let method = |function| {
            [
                (LIBC, Some("syscall")),
                ("/opt/x", Some("x::Parker::park")),
                ("/opt/x", Some(function)),
                OWN,
            ]
        };
        assert_eq!(kind(&method("x::RawRwLock::lock_exclusive_slow")), LockKind::NamelessLock);
        assert_eq!(kind(&method("x::Condvar::wait_until")), LockKind::ConditionVariable);
        assert_eq!(kind(&method("x::Channel::lock_and_receive")), LockKind::Unknown);
        assert_eq!(kind(&method("x::LockTable::receive")), LockKind::Unknown);
        assert_eq!(kind(&method("x::Mutex<std::vec::Vec<u8>>::lock")), LockKind::NamelessLock);
        assert_eq!(kind(&method("x::Mutex::lock(std::chrono::seconds)")), LockKind::NamelessLock);
        assert_eq!(
            kind(&method("<x::RawLock as y::Raw<z::Z>>::lock_slow")),
            LockKind::NamelessLock
        );
        assert_eq!(kind(&method("x::worker(x::Lock::lock_mode)")), LockKind::Unknown);
        assert_eq!(kind(&method("x::Lock::lock_free_push")), LockKind::Unknown);
        // A call of the program's own stands before it.
        assert_eq!(kind(&[OWN, (LIBC, Some("pthread_mutex_lock"))]), LockKind::Unknown);
    }
}
