//! Which fault was the first: of one that the program's own handler saw before the process died.
//!
//! Document folklore: the first fault of a thread stays the cause when the program's own handler
//! sees it and then dies. A handler that resets the disposition and re-raises is met again at
//! the same pc (with the code of a sent signal); one that returns after that faults again; one
//! that aborts is met while the fault's signal is still blocked, or (SA_NODEFER) while the
//! fault's signal frame still stands on the stack; one that faults itself is met on a stack of
//! its own that has the frame; and where the kernel finds no room for that
//! frame, it forces SIGSEGV with the code SI_KERNEL. A fault that a handler has mended is none
//! of these, and one that is still open is newer than those mended before it.
//!
//! A program may live on faults that it mends, thousands a second, at any number of places: of each
//! only what would be lost is read. Its callers, mappings and names are still there when it turns
//! out that the process dies of it. Deliberately absent: those of a fault that is over.

use hotfire_sys::procfs::{self, SignalMasks};
use hotfire_sys::{SysError, TraceRegisters, Tracee, monotonic_ns, read_memory, signal};

use super::capture::{INSTRUCTION_BYTES, kept};
use crate::observe::{Crash, Fact, SignalInfo};
use crate::unwind::Memory;

/// `SI_KERNEL`: the kernel sends a signal without a cause of its own.
const SI_KERNEL: i32 = 128;
/// Places of faults with a handler that are kept per thread.
const KEPT_MAX: usize = 8;
/// So much of the stack is searched for a signal frame.
const STACK_BYTES: usize = 64 * 1024;
/// So much of the stack is kept of each fault: a handler that jumps out of it lets the program write
/// there again.
const STACK_KEPT_BYTES: usize = 2048;

/// A fault that the program's own handler is about to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chance {
    pub(super) siginfo: SignalInfo,
    pub(super) registers: TraceRegisters,
    instruction: Vec<u8>,
    /// The innermost bytes of the stack.
    stack: Vec<u8>,
    time_ns: u64,
}

impl Chance {
    /// The fault that the thread stands at.
    pub(super) fn of(tid: i32, signal: i32) -> Result<Self, SysError> {
        let time_ns = monotonic_ns();
        let (siginfo, registers) = cause(tid, signal)?;
        let bytes = |address: u64, length: usize| {
            let mut bytes = vec![0; length];
            let read = read_memory(tid, address, &mut bytes).unwrap_or(0);
            bytes.truncate(read);
            bytes
        };
        let instruction = bytes(registers.rip, INSTRUCTION_BYTES);
        let stack = bytes(registers.rsp, STACK_KEPT_BYTES);
        Ok(Self { siginfo, registers, instruction, stack, time_ns })
    }

    fn is_at(&self, signal: i32, place: u64) -> bool {
        self.siginfo.signal == signal && self.registers.rip == place
    }
}

/// What a thread's stop tells.
pub(super) fn cause(tid: i32, signal: i32) -> Result<(SignalInfo, TraceRegisters), SysError> {
    let tracee = Tracee::new(tid);
    let (code, address, sender) = signal::details(&tracee.signal_info()?);
    Ok((SignalInfo { signal, code, address, sender }, tracee.registers()?))
}

/// Keeps a fault as the newest, in place of the one before by the same signal at the same place,
/// or of the oldest.
pub(super) fn keep(chances: &mut Vec<Chance>, chance: Chance) {
    chances.retain(|kept| !kept.is_at(chance.siginfo.signal, chance.registers.rip));
    if chances.len() >= KEPT_MAX {
        chances.remove(0);
    }
    chances.push(chance);
}

/// The first fault whose handling had not ended when the thread came to die, if there is one.
pub(super) fn first_chance(
    crash: &Crash,
    chances: Vec<Chance>,
    masks: SignalMasks,
) -> Option<Chance> {
    if chances.is_empty() {
        return None;
    }
    let frame = SignalFrames::above(crash);
    chances.into_iter().rev().find(|chance| {
        let same_place = chance.is_at(crash.signal, pc(crash));
        if is_forced(crash) {
            let handling = masks.blocked & signal::mask_bit(chance.siginfo.signal) != 0;
            handling || same_place || frame.holds(chance)
        } else {
            // A handler that faults itself. On the interrupted stack the words above may be what a
            // handler left there that has ended long since; on a stack of its own, the frame of the
            // fault in hand has taken their place.
            let same_fault = same_place && chance.siginfo.address == address(crash);
            same_fault || (frame.holds(chance) && is_on_another_stack(crash, chance))
        }
    })
}

/// Whether the thread runs on another stack than when the fault came: in a handler on its own stack.
fn is_on_another_stack(crash: &Crash, chance: &Chance) -> bool {
    let sp = crash.registers.known().map_or(0, |registers| registers.rsp);
    let maps = procfs::maps(crash.victim.tid).unwrap_or_default();
    let own = maps.iter().find(|line| (line.start..line.end).contains(&sp));
    own.is_some_and(|own| !(own.start..own.end).contains(&chance.registers.rsp))
}

/// The death with the facts of that fault.
pub(super) fn caused_by(crash: Crash, chance: &Chance) -> Crash {
    Crash {
        siginfo: Fact::Known(chance.siginfo.clone()),
        registers: Fact::Known(kept(&chance.registers)),
        instruction: chance.instruction.clone(),
        time_ns: chance.time_ns,
        through_handler: true,
        ..crash
    }
}

/// Memory with a thread's stack as it was at a fault.
#[derive(Debug)]
pub(super) struct MemoryThen<'a, M> {
    pub(super) memory: M,
    pub(super) chance: Option<&'a Chance>,
}

impl<M: Memory> Memory for MemoryThen<'_, M> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let length = self.memory.read(address, buffer);
        if let Some(Chance { registers, stack, .. }) = self.chance {
            let behind = address.saturating_sub(registers.rsp);
            let before = registers.rsp.saturating_sub(address);
            let [behind, before] = [behind, before].map(|at| usize::try_from(at).ok());
            let then = behind.and_then(|at| stack.get(at..)).unwrap_or_default();
            let there = before.and_then(|at| buffer.get_mut(at..length)).unwrap_or_default();
            there.iter_mut().zip(then).for_each(|(to, from)| *to = *from);
        }
        length
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

    fn holds(&self, chance: &Chance) -> bool {
        let Chance { registers, .. } = chance;
        self.words.windows(2).any(|pair| *pair == [registers.rsp, registers.rip])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Fact, Registers, bare_crash};

    fn fault(rip: u64, address: u64) -> Crash {
        let siginfo =
            SignalInfo { signal: signal::SIGSEGV, code: 1, address: Some(address), sender: None };
        let registers = Registers { rip, rsp: 0, rbp: 0, general: Vec::new() };
        Crash {
            siginfo: Fact::Known(siginfo),
            registers: Fact::Known(registers),
            ..bare_crash(signal::SIGSEGV)
        }
    }

    fn chance(rip: u64, address: u64) -> Chance {
        let siginfo =
            SignalInfo { signal: signal::SIGSEGV, code: 1, address: Some(address), sender: None };
        let registers = TraceRegisters { rip, rsp: 0x1000, rbp: 0, general: [0; 14] };
        let (instruction, stack) = (Vec::new(), vec![7; 64]);
        Chance { siginfo, registers, instruction, stack, time_ns: address }
    }

    fn places(chances: &[Chance]) -> Vec<u64> {
        chances.iter().map(|chance| chance.registers.rip).collect()
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let mut chances = Vec::new();
        (1..=10).for_each(|rip| keep(&mut chances, chance(rip, rip)));
        assert_eq!(places(&chances), [3, 4, 5, 6, 7, 8, 9, 10]);
        keep(&mut chances, chance(4, 40));
        assert_eq!(places(&chances), [3, 5, 6, 7, 8, 9, 10, 4]);
        assert_eq!(chances.last().map(|chance| chance.time_ns), Some(40));
        let mut other = chance(5, 5);
        other.siginfo.signal = signal::SIGBUS;
        keep(&mut chances, other);
        assert_eq!(places(&chances), [5, 6, 7, 8, 9, 10, 4, 5], "another signal's fault");
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
        let first = first_chance(&abort, vec![chance(1, 0x18), chance(2, 0x28)], masks);
        let blamed = caused_by(abort, &first.unwrap());
        assert_eq!((pc(&blamed), address(&blamed)), (2, Some(0x28)));
        assert_eq!((blamed.signal, blamed.through_handler), (signal::SIGABRT, true));
    }

    /// Memory that is all ones, up to an address.
    struct Ones(u64);

    impl Memory for Ones {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            buffer.fill(1);
            buffer.len().min(usize::try_from(self.0.saturating_sub(address)).unwrap())
        }
    }

    #[test]
    fn what_was_written_to_the_stack_since_is_not_seen() {
        let chance = chance(1, 1);
        let mut then = MemoryThen { memory: Ones(0x1050), chance: Some(&chance) };
        let mut read = |address: u64| {
            let mut buffer = [0; 4];
            let length = then.read(address, &mut buffer);
            buffer[..length].to_vec()
        };
        assert_eq!(read(0xffc), [1; 4]);
        assert_eq!(read(0xffe), [1, 1, 7, 7]);
        assert_eq!(read(0x1000), [7; 4]);
        assert_eq!(read(0x103e), [7, 7, 1, 1]);
        assert_eq!(read(0x1040), [1; 4]);
        assert_eq!(read(0x104e), [1, 1]);
        let mut now = MemoryThen { memory: Ones(u64::MAX), chance: None };
        let mut buffer = [0; 4];
        assert_eq!((now.read(0x1000, &mut buffer), buffer), (4, [1; 4]));
    }
}
