//! Which fault was the first: of one that the program's own handler saw before the process died.
//!
//! Document folklore: the first fault of a thread stays the cause when the program's own handler
//! sees it and then dies. A handler that resets the disposition and re-raises is met again at
//! the same pc (with the code of a sent signal); one that returns after that faults again; one
//! that aborts is met while the fault's signal is still blocked, or (SA_NODEFER) while the
//! fault's signal frame still stands on the stack; and where the kernel finds no room for that
//! frame, it forces SIGSEGV with the code SI_KERNEL. A fault that a handler has mended is none
//! of these.

use hotfire_sys::procfs::SignalMasks;
use hotfire_sys::{read_memory, signal};

use crate::observe::{Crash, SignalInfo};

/// `SI_KERNEL`: the kernel sends a signal without a cause of its own.
const SI_KERNEL: i32 = 128;
/// So much of the stack is searched for a signal frame.
const STACK_BYTES: usize = 64 * 1024;

/// The crash with the facts of the first fault whose handling had not ended, if there is one.
pub(super) fn with_first_chance(crash: Crash, chances: Vec<Crash>, masks: SignalMasks) -> Crash {
    if chances.is_empty() {
        return crash;
    }
    let frame = SignalFrames::above(&crash);
    let open = chances.into_iter().find(|chance| {
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
            Crash { signal: crash.signal, through_handler: true, time_ns: first.time_ns, ..first }
        }
        None => crash,
    }
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
