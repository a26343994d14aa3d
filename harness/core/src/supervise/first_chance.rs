//! Which fault was the first: of one that the program's own handler saw before the process died.
//!
//! Document folklore: the first fault of a thread stays the cause when the program's own handler
//! sees it and then dies. A handler that resets the disposition and re-raises is met again at
//! the same pc (with the code of a sent signal); one that returns after that faults again; one
//! that aborts is met while the fault's signal is still blocked, or (SA_NODEFER) while the
//! fault's signal frame still stands on the stack; and where the kernel finds no room for that
//! frame, it forces SIGSEGV with the code SI_KERNEL. A fault that a handler has mended is none
//! of these, and one that is still open is newer than those mended before it.

use hotfire_sys::procfs::SignalMasks;
use hotfire_sys::{read_memory, signal};

use crate::observe::{Crash, SignalInfo, Thread};

/// `SI_KERNEL`: the kernel sends a signal without a cause of its own.
const SI_KERNEL: i32 = 128;
/// Faults with a handler that are kept per thread.
const KEPT_MAX: usize = 8;
/// So much of the stack is searched for a signal frame.
const STACK_BYTES: usize = 64 * 1024;

/// Takes the fault that came by the same signal at the same place out of the kept ones.
pub(super) fn take_kept(chances: &mut Vec<Crash>, signal: i32, place: u64) -> Option<Crash> {
    let index = chances.iter().position(|kept| kept.signal == signal && pc(kept) == place)?;
    Some(chances.remove(index))
}

/// Keeps a fault as the newest, and lets go of the oldest for it.
pub(super) fn keep(chances: &mut Vec<Crash>, chance: Crash) {
    if chances.len() >= KEPT_MAX {
        chances.remove(0);
    }
    chances.push(chance);
}

/// The crash with the facts of the first fault whose handling had not ended, if there is one.
pub(super) fn with_first_chance(crash: Crash, chances: Vec<Crash>, masks: SignalMasks) -> Crash {
    if chances.is_empty() {
        return crash;
    }
    let frame = SignalFrames::above(&crash);
    let open = chances.into_iter().rev().find(|chance| {
        let same_place = chance.signal == crash.signal && pc(chance) == pc(&crash);
        if is_forced(&crash) {
            let handling = masks.blocked & signal::mask_bit(chance.signal) != 0;
            handling || same_place || frame.holds(chance)
        } else {
            same_place && address(chance) == address(&crash)
        }
    });
    match open {
        Some(first) => {
            let threads = with_first_stack(crash.threads, &first);
            Crash { signal: crash.signal, through_handler: true, threads, ..first }
        }
        None => crash,
    }
}

/// All threads as they are now, and the one that got the fault as it was then.
fn with_first_stack(mut threads: Vec<Thread>, first: &Crash) -> Vec<Thread> {
    let is_own = |thread: &&Thread| thread.tid == first.victim.tid;
    if let Some(own) = first.threads.iter().find(is_own)
        && let Some(place) = threads.iter_mut().find(|thread| thread.tid == own.tid)
    {
        place.clone_from(own);
    }
    threads
}

/// No fault of this very moment: sent, or forced by the kernel.
fn is_forced(crash: &Crash) -> bool {
    crash.siginfo.known().is_some_and(|info| {
        info.code <= 0 || (info.code == SI_KERNEL && info.address.is_none_or(|at| at == 0))
    })
}

fn pc(crash: &Crash) -> u64 {
    crash.registers.known().map_or(0, |registers| registers.rip)
}

fn address(crash: &Crash) -> Option<u64> {
    crash.siginfo.known().and_then(|info: &SignalInfo| info.address)
}

/// The words above the stack pointer, where a handler's signal frame keeps the registers of what
/// it interrupted. (x86-64 `struct sigcontext`: rsp stands right before rip.)
struct SignalFrames {
    words: Vec<u64>,
}

impl SignalFrames {
    fn above(crash: &Crash) -> Self {
        let sp = crash.registers.known().map_or(0, |registers| registers.rsp) & !7;
        let mut bytes = vec![0; STACK_BYTES];
        let read = read_memory(crash.victim.tid, sp, &mut bytes).unwrap_or(0);
        bytes.truncate(read);
        let (words, _) = bytes.as_chunks::<8>();
        Self { words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() }
    }

    fn holds(&self, chance: &Crash) -> bool {
        let Some(registers) = chance.registers.known() else { return false };
        self.words.windows(2).any(|pair| *pair == [registers.rsp, registers.rip])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Fact, HeapFacts, LastWords, Registers, Victim};

    fn fault(rip: u64, address: u64) -> Crash {
        let unknown = || "not asked for".to_owned();
        Crash {
            victim: Victim {
                // Nobody's memory: there is no stack to be searched.
                pid: i32::MAX,
                tid: i32::MAX,
                thread: String::new(),
                is_child: true,
                command: String::new(),
            },
            signal: signal::SIGSEGV,
            siginfo: Fact::Known(SignalInfo {
                signal: signal::SIGSEGV,
                code: 1,
                address: Some(address),
                sender: None,
            }),
            registers: Fact::Known(Registers { rip, rsp: 0, rbp: 0, general: Vec::new() }),
            instruction: Vec::new(),
            location: Fact::Unavailable(unknown()),
            address_map: Fact::Unavailable(unknown()),
            former: None,
            pointers: Vec::new(),
            heap: HeapFacts::default(),
            last_words: LastWords::default(),
            threads: Vec::new(),
            through_handler: false,
            time_ns: 0,
            held_ns: 0,
        }
    }

    fn places(chances: &[Crash]) -> Vec<u64> {
        chances.iter().map(pc).collect()
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let mut chances = Vec::new();
        (1..=10).for_each(|rip| keep(&mut chances, fault(rip, rip)));
        assert_eq!(places(&chances), [3, 4, 5, 6, 7, 8, 9, 10]);
        let again = take_kept(&mut chances, signal::SIGSEGV, 4);
        keep(&mut chances, again.unwrap());
        assert_eq!(places(&chances), [3, 5, 6, 7, 8, 9, 10, 4]);
        assert!(take_kept(&mut chances, signal::SIGBUS, 4).is_none(), "another signal's fault");
    }

    #[test]
    fn an_abort_in_a_handler_is_blamed_on_the_newest_fault() {
        let masks = SignalMasks {
            process: i32::MAX,
            blocked: signal::mask_bit(signal::SIGSEGV),
            ignored: 0,
            caught: 0,
        };
        let sent = SignalInfo { signal: signal::SIGABRT, code: -6, address: None, sender: None };
        let abort =
            Crash { signal: signal::SIGABRT, siginfo: Fact::Known(sent), ..fault(0x9000, 0) };
        let blamed = with_first_chance(abort, vec![fault(1, 0x18), fault(2, 0x28)], masks);
        assert_eq!((pc(&blamed), address(&blamed)), (2, Some(0x28)));
        assert!(blamed.through_handler);
    }
}
