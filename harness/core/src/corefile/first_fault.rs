//! The fault that a handler of the program's own saw before the process died of it: the cause. Its
//! signal frame, with registers and siginfo of that time, stands on the stack while the handler is
//! at work. One that has let the signal through returned to the same place, and its frame is still
//! below the stack pointer.
//!
//! Deliberately absent: frames of such handlers on stacks of their own, for nothing tells where.

use hotfire_sys::{TraceRegisters, signal};

use super::files::Files;
use super::notes::{ThreadNote, signal_info};
use crate::observe::SignalInfo;
use crate::unwind::{Memory, Stack, u64_at};

/// What stands at the stack pointer of a signal trampoline (arch/x86/include/asm/sigframe.h,
/// `struct rt_sigframe`): the context with its registers (uapi/asm/sigcontext.h), then siginfo, but
/// only for handlers that asked for it.
const REGISTERS_AT: usize = 40;
const INFO_AT: usize = 304;
const FRAME_BYTES: usize = INFO_AT + 128;
/// In the context: rsp, and rip behind it.
const STACK_POINTER_AT: u64 = REGISTERS_AT as u64 + 8 * 15;
/// Words of the registers' part: the fault's error code, its trap's number, its address.
const ERROR: usize = 19;
const TRAP: usize = 20;
const ADDRESS: usize = 22;
/// Traps (Intel's manual, volume 3, 6.3.1), and bits of a page fault's error code (4.7).
const DIVIDE: u64 = 0;
const INVALID_OPCODE: u64 = 6;
const PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;
const WAS_WRITE: u64 = 2;
const WAS_EXECUTION: u64 = 16;
/// So much of the stack below its pointer is searched: the state of all vector registers stands
/// between it and the frame.
const BELOW_BYTES: usize = 64 * 1024;
/// `SI_KERNEL`, of a signal that the kernel forces because it finds no room for a frame.
const SI_KERNEL: i32 = 128;

/// The thread as it was at that fault; `None` where its last signal is one of its own.
pub(super) fn first_fault(
    last: &ThreadNote,
    stack: &Stack,
    files: &Files,
    memory: &mut dyn Memory,
) -> Option<ThreadNote> {
    let info = last.signal_info.as_ref()?;
    let is_forced =
        info.code <= 0 || (info.code == SI_KERNEL && info.address.is_none_or(|at| at == 0));
    if !is_forced {
        return None;
    }
    // The innermost is the newest: those further out were at work when it came.
    let at_work = stack.frames.iter().find(|frame| frame.signal_trampoline && !frame.doubtful);
    let fault = at_work.and_then(|frame| fault_at(memory, files, frame.sp)).filter(|(_, fault)| {
        // The handler of another signal shows what the thread's fault before it left.
        fault.signal == last.signal || last.blocked & signal::mask_bit(fault.signal) != 0
    });
    let (registers, fault) = fault.or_else(|| let_through(last, files, memory))?;
    Some(ThreadNote { registers, call: -1, signal_info: Some(fault), ..last.clone() })
}

/// The fault of a signal frame.
fn fault_at(
    memory: &mut dyn Memory,
    files: &Files,
    place: u64,
) -> Option<(TraceRegisters, SignalInfo)> {
    let mut bytes = [0; FRAME_BYTES];
    if memory.read(place, &mut bytes) < bytes.len() {
        return None;
    }
    let context = bytes.get(REGISTERS_AT..INFO_AT)?;
    let registers = registers(context)?;
    let fault = by_trap(context, registers.rip, files)?;
    let told = signal_info(bytes.get(INFO_AT..)?)?;
    let is_told = (told.signal, told.address) == (fault.signal, fault.address) && told.code > 0;
    Some((registers, if is_told { told } else { fault }))
}

/// What the kernel makes of a trap (arch/x86/mm/fault.c, arch/x86/kernel/traps.c).
fn by_trap(context: &[u8], pc: u64, files: &Files) -> Option<SignalInfo> {
    let word = |number: usize| u64_at(context, 8 * number);
    let (error, address) = (word(ERROR)?, word(ADDRESS)?);
    let (number, code, address) = match word(TRAP)? {
        DIVIDE => (signal::SIGFPE, 1, pc),
        INVALID_OPCODE => (signal::SIGILL, 2, pc),
        PROTECTION => (signal::SIGSEGV, SI_KERNEL, 0),
        PAGE_FAULT => {
            let needs = match error {
                error if error & WAS_EXECUTION != 0 => 'x',
                error if error & WAS_WRITE != 0 => 'w',
                _ => 'r',
            };
            match files.at(address) {
                None => (signal::SIGSEGV, 1, address),
                // The access was allowed, but nothing stands behind it.
                Some(line) if line.permissions.contains(needs) => (signal::SIGBUS, 2, address),
                Some(_) => (signal::SIGSEGV, 2, address),
            }
        }
        _ => return None,
    };
    Some(SignalInfo { signal: number, code, address: Some(address), sender: None })
}

/// The fault by the same signal at the very place where the sent one met the thread.
fn let_through(
    last: &ThreadNote,
    files: &Files,
    memory: &mut dyn Memory,
) -> Option<(TraceRegisters, SignalInfo)> {
    let (rsp, rip) = (last.registers.rsp, last.registers.rip);
    let top = rsp & !7;
    // The stack may be shorter than that.
    let begin = files.at(top)?.start.next_multiple_of(8);
    let start = top.saturating_sub(BELOW_BYTES as u64).max(begin);
    let mut bytes = vec![0; usize::try_from(top.checked_sub(start)?).ok()?];
    let length = memory.read(start, &mut bytes);
    let (words, _) = bytes.get(..length)?.as_chunks::<8>();
    let is_pair = |pair: &[[u8; 8]]| pair == [rsp.to_le_bytes(), rip.to_le_bytes()];
    // The nearest is the newest.
    let place = words.windows(2).rposition(is_pair)? as u64 * 8;
    let frame = (start + place).checked_sub(STACK_POINTER_AT)?;
    let same = |fault: &(TraceRegisters, SignalInfo)| fault.1.signal == last.signal;
    fault_at(memory, files, frame).filter(same)
}

/// `struct sigcontext`: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
fn registers(context: &[u8]) -> Option<TraceRegisters> {
    let word = |number: usize| u64_at(context, 8 * number);
    let [rdi, rsi, rbp, rbx] = [word(8)?, word(9)?, word(10)?, word(11)?];
    let [rdx, rax, rcx, rsp, rip] = [word(12)?, word(13)?, word(14)?, word(15)?, word(16)?];
    let mut general = [rax, rbx, rcx, rdx, rsi, rdi, 0, 0, 0, 0, 0, 0, 0, 0];
    for (place, number) in general.iter_mut().skip(6).zip(0..) {
        *place = word(number)?;
    }
    Some(TraceRegisters { rip, rsp, rbp, general })
}
