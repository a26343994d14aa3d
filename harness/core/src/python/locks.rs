//! Who holds an interpreter's lock, and who holds one of its recursive locks (`threading.RLock`), by
//! the interpreter's own data.
//!
//! Sources: CPython's Python/ceval_gil.c (ceval_gil.h before 3.12), Modules/_threadmodule.c.
//! Deliberately absent: `threading.Lock`, which keeps no owner in any version, and the recursive locks
//! of 3.14, which are waited for in another way.

use std::collections::{BTreeMap, BTreeSet};

use super::runtime::Runtime;
use super::source::{Read, Source};
use super::walk::interpreters;

/// The name of the type of recursive locks, with its end, and where a type has the address of its
/// name (`PyTypeObject.tp_name`).
const RECURSIVE: &[u8] = b"_thread.RLock\0";
const TYPE_NAME: u64 = 24;
/// `rlockobject`: the lock, the owner as `pthread_self` gives it, how often it has it.
const RECURSIVE_LOCK: u64 = 16;
const RECURSIVE_OWNER: u64 = 24;
const RECURSIVE_COUNT: u64 = 32;
/// Words of a waiting thread's stack, from its innermost frame on, among which the lock it waits for
/// is looked for: the functions between the system call and the one of the lock.
const STACK_WORDS_MAX: u64 = 512;
const WORD_BYTES: u64 = 8;

/// A recursive lock that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecursiveLock {
    /// The object's address.
    pub object: u64,
    /// The pointer of the thread that holds it to its own block of memory.
    pub owner: u64,
}

/// The pointer of the thread that has the interpreter's lock; `None`: nobody has it just now.
pub(super) fn lock_holder(
    source: &mut Source<'_>,
    runtime: &Runtime,
    states: &BTreeMap<u64, Vec<u64>>,
) -> Read<Option<u64>> {
    let record = record(source, runtime)?;
    let layout = &runtime.layout;
    match source.int(record, layout.lock_taken)? {
        0 => return Ok(None),
        1 => {}
        other => return Err(format!("{other} is no state of the interpreter's lock")),
    }
    let holder = source.word(record, layout.lock_holder)?;
    let of_holder = states.iter().find(|(_, states)| states.contains(&holder));
    let unknown = || format!("{holder:#x}, which has the interpreter's lock, is no thread state");
    of_holder.map(|(pointer, _)| Some(*pointer)).ok_or_else(unknown)
}

/// The lock: one of the whole runtime up to 3.11, one of each interpreter that wants its own since.
fn record(source: &mut Source<'_>, runtime: &Runtime) -> Read<u64> {
    if let Some(offset) = runtime.layout.runtime_lock {
        return Ok(runtime.address.saturating_add(offset));
    }
    let offset = runtime.layout.interpreter_lock.ok_or("the lock's place is not known")?;
    let mut records = BTreeSet::new();
    for interpreter in interpreters(source, runtime)? {
        records.insert(source.word(interpreter, offset)?);
    }
    match Vec::from_iter(records).as_slice() {
        [only] => Ok(*only),
        all => Err(format!("the process has {} locks of interpreters", all.len())),
    }
}

/// The recursive lock for whose inner lock at `word` a thread waits whose stack begins at `stack`.
///
/// The function that takes it keeps the object's address in its frame. An object there is one only
/// if its type says so by name, and if the inner lock is the one that is waited for.
pub(super) fn recursive_lock(
    source: &mut Source<'_>,
    runtime: &Runtime,
    (stack, word): (u64, u64),
) -> Option<RecursiveLock> {
    let mut seen = BTreeSet::new();
    for at in 0..STACK_WORDS_MAX {
        // Beyond the end of the stack is nothing.
        let object = source.word(stack, at * WORD_BYTES).ok()?;
        let is_new = object % WORD_BYTES == 0 && seen.insert(object);
        if is_new && source.word(object, RECURSIVE_LOCK) == Ok(word) {
            let read = read_recursive(source, runtime, object);
            if let Ok(Some(owner)) = read {
                return Some(RecursiveLock { object, owner });
            }
        }
    }
    None
}

/// The owner, if the object is a recursive lock that somebody holds.
fn read_recursive(source: &mut Source<'_>, runtime: &Runtime, object: u64) -> Read<Option<u64>> {
    let kind = source.word(object, runtime.layout.object_type)?;
    let name = source.word(kind, TYPE_NAME)?;
    if source.bytes(name, 0, RECURSIVE.len() as u64)? != RECURSIVE {
        return Ok(None);
    }
    let owner = source.word(object, RECURSIVE_OWNER)?;
    let is_held = owner != 0 && source.word(object, RECURSIVE_COUNT)? > 0;
    Ok(is_held.then_some(owner))
}
