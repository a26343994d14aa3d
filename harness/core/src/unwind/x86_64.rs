//! What is particular to x86-64: registers, call instructions, signal frames.
//!
//! Numbers of registers are those of the System V ABI, AMD64 supplement, figure 3.36; in the same
//! document stand which registers a callee preserves (3.2.1).

use hotfire_sys::TraceRegisters;

use super::memory::{Memory, read_exact, read_word};

/// The frame pointer's number.
pub(super) const RBP: u16 = 6;
/// The stack pointer's number.
pub(super) const RSP: u16 = 7;
/// The return address's number.
pub(super) const RETURN_ADDRESS: u16 = 16;
/// Bytes of the longest call instruction that compilers write: `call *disp32(base,index)`.
pub(super) const CALL_BYTES_MAX: usize = 7;
/// The instruction of a system call.
pub(super) const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Bytes of a word.
pub(super) const WORD: u64 = 8;
/// No code lies in the first pages (`vm.mmap_min_addr`).
const CODE_MIN: u64 = 0x1000;

/// rbx, rbp, rsp, r12 to r15 and the return address: what a call leaves as it was.
const PRESERVED: u32 = 1 << 3 | 1 << RBP | 1 << RSP | 0xf << 12 | 1 << RETURN_ADDRESS;

/// The registers of a frame, each known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    values: [u64; 17],
    known: u32,
}

impl From<&TraceRegisters> for Registers {
    fn from(traced: &TraceRegisters) -> Self {
        let [rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = traced.general;
        let (rbp, rsp, rip) = (traced.rbp, traced.rsp, traced.rip);
        Self {
            values: [
                rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip,
            ],
            known: (1 << 17) - 1,
        }
    }
}

impl Registers {
    /// A register by its number in DWARF (16: the program counter); `None` when its value in this
    /// frame is lost.
    #[must_use]
    pub fn get(&self, number: u16) -> Option<u64> {
        let value = self.values.get(usize::from(number))?;
        (self.known & (1 << number) != 0).then_some(*value)
    }

    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> u64 {
        let [.., pc] = self.values;
        pc
    }

    /// The stack pointer.
    #[must_use]
    pub fn sp(&self) -> u64 {
        let [_, _, _, _, _, _, _, sp, ..] = self.values;
        sp
    }

    /// The values, as far as they are known, of registers that a callee preserves, but the stack
    /// pointer.
    pub(super) fn preserved(&self) -> impl Iterator<Item = u64> {
        (0..RETURN_ADDRESS)
            .filter(|number| *number != RSP && PRESERVED & (1 << number) != 0)
            .filter_map(|number| self.get(number))
    }

    pub(super) fn set(&mut self, number: u16, value: Option<u64>) {
        if let Some(place) = self.values.get_mut(usize::from(number)) {
            *place = value.unwrap_or_default();
            let bit = 1 << number;
            self.known = if value.is_some() { self.known | bit } else { self.known & !bit };
        }
    }

    /// The same in the caller, before the callee's rules are applied: what a callee need not
    /// preserve is lost.
    pub(super) fn across_call(self) -> Self {
        Self { known: self.known & PRESERVED, ..self }
    }

    /// The caller's registers, where its return address and stack pointer are known and nothing
    /// else of its callee.
    pub(super) fn returned(self, pc: u64, sp: u64) -> Self {
        let mut caller = self.across_call();
        caller.set(RETURN_ADDRESS, Some(pc));
        caller.set(RSP, Some(sp));
        caller
    }
}

/// How the bytes before an address read as a call. Instructions have no fixed length, so that they
/// may read both ways: nothing tells where the last one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// The target that stands in the instruction.
    pub(super) direct: Option<u64>,
    /// A call whose target stood in a register or in memory.
    pub(super) indirect: bool,
}

/// The call that ends at `address`, if the bytes before it can be one.
pub(super) fn call_before(memory: &mut dyn Memory, address: u64) -> Option<Call> {
    let mut code = [0; CALL_BYTES_MAX];
    let start = address.checked_sub(CALL_BYTES_MAX as u64).filter(|start| *start >= CODE_MIN)?;
    read_exact(memory, start, &mut code)?;
    decode_call(&code, address)
}

/// Intel's manual, volume 2, CALL: E8 with a 32-bit distance, or FF with 2 in the middle of the
/// ModR/M byte and as many bytes behind it as that tells.
fn decode_call(code: &[u8; CALL_BYTES_MAX], end: u64) -> Option<Call> {
    let indirect = (2..=CALL_BYTES_MAX).any(|length| match code.get(CALL_BYTES_MAX - length..) {
        Some([0xff, modrm, rest @ ..]) if modrm >> 3 & 7 == 2 => {
            indirect_bytes(*modrm, rest.first().copied()) == length
        }
        _ => false,
    });
    let direct = match code {
        [_, _, 0xe8, distance @ ..] => {
            Some(end.wrapping_add_signed(i64::from(i32::from_le_bytes(*distance))))
        }
        _ => None,
    };
    (direct.is_some() || indirect).then_some(Call { direct, indirect })
}

/// Bytes of a call through a register or memory, by its ModR/M and SIB bytes.
fn indirect_bytes(modrm: u8, sib: Option<u8>) -> usize {
    let (mode, operand) = (modrm >> 6, modrm & 7);
    let has_sib = mode != 3 && operand == 4;
    let displacement = match mode {
        0 if operand == 5 || (has_sib && sib.is_some_and(|sib| sib & 7 == 5)) => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    2 + usize::from(has_sib) + displacement
}

/// `endbr64`, which marks where indirect jumps may lead.
const END_BRANCH: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// Bytes of the mark that the code begins with: 4 or 0.
pub(super) fn end_branch_bytes(code: &[u8]) -> u64 {
    if code.starts_with(&END_BRANCH) { END_BRANCH.len() as u64 } else { 0 }
}

fn behind_end_branch(code: &[u8]) -> &[u8] {
    code.strip_prefix(&END_BRANCH).unwrap_or(code)
}

/// Whether a function that begins with this code keeps a frame pointer, and in how many bytes it
/// has set it up: `push %rbp; mov %rsp,%rbp`.
pub(super) fn frame_pointer_prologue(code: &[u8]) -> Option<u64> {
    match behind_end_branch(code) {
        [0x55, 0x48, 0x89, 0xe5, ..] | [0x55, 0x48, 0x8b, 0xec, ..] => {
            Some(end_branch_bytes(code) + 4)
        }
        _ => None,
    }
}

/// Whether the code is a jump through memory, as the entries of a PLT are.
pub(super) fn is_jump_stub(code: &[u8]) -> bool {
    matches!(
        behind_end_branch(code),
        [0xff, 0x25, ..]
            | [0xf2, 0xff, 0x25, ..]
            | [0x68, _, _, _, _, 0xe9, ..]
            | [0x68, _, _, _, _, 0xf2, 0xe9, ..]
    )
}

/// `mov $15,%rax; syscall`: sigreturn, as libcs without unwind information for it have.
const SIGNAL_TRAMPOLINE: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
/// Where in `ucontext_t` the general registers stand (arch/x86/include/uapi/asm/sigcontext.h).
const CONTEXT_REGISTERS: u64 = 40;
/// Their order there, by their numbers in DWARF.
const CONTEXT_ORDER: [u16; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];

/// Whether the code at `pc` is a signal trampoline.
pub(super) fn is_signal_trampoline(memory: &mut dyn Memory, pc: u64) -> bool {
    let mut code = [0; SIGNAL_TRAMPOLINE.len()];
    read_exact(memory, pc, &mut code).is_some() && code == SIGNAL_TRAMPOLINE
}

/// What a signal interrupted, from the `ucontext_t` at the trampoline's stack pointer.
pub(super) fn interrupted(memory: &mut dyn Memory, sp: u64) -> Option<Registers> {
    let mut registers = Registers { values: [0; 17], known: 0 };
    let start = sp.checked_add(CONTEXT_REGISTERS)?;
    for (place, number) in (0..).zip(CONTEXT_ORDER) {
        registers.set(number, Some(read_word(memory, start.checked_add(place * WORD)?)?));
    }
    Some(registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(code: &[u8]) -> Option<Call> {
        let mut window = [0x90; CALL_BYTES_MAX];
        window[CALL_BYTES_MAX - code.len()..].copy_from_slice(code);
        decode_call(&window, 0x2000)
    }

    #[test]
    fn calls_are_told_from_other_code() {
        let direct = |target| Call { direct: Some(target), indirect: false };
        assert_eq!(call(&[0xe8, 0x00, 0xf0, 0xff, 0xff]), Some(direct(0x1000)));
        let indirect: [&[u8]; 8] = [
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd3],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x14, 0xc8],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x90, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
            &[0xff, 0x14, 0x25, 1, 2, 3, 4],
        ];
        for code in indirect {
            assert_eq!(call(code), Some(Call { direct: None, indirect: true }), "{code:x?}");
        }
        // mov -0x18(%rbp),%edx; mov %edx,%edi; call *%rax: the end of the first begins with E8.
        let both = call(&[0x8b, 0x55, 0xe8, 0x89, 0xd7, 0xff, 0xd0]);
        assert_eq!(both, Some(Call { direct: Some(0xffff_ffff_d0ff_f789_u64), indirect: true }));
        // jmp *%rax; call *%rax one byte too early; a return.
        for code in [&[0xff, 0xe0][..], &[0xff, 0xd0, 0x90], &[0xc3]] {
            assert_eq!(call(code), None, "{code:x?}");
        }
    }

    #[test]
    fn what_a_callee_need_not_preserve_is_lost() {
        let traced = TraceRegisters { rip: 1, rsp: 2, rbp: 3, general: [7; 14] };
        let caller = Registers::from(&traced).returned(0x1000, 0x2000);
        assert_eq!((caller.pc(), caller.sp(), caller.get(RBP)), (0x1000, 0x2000, Some(3)));
        assert_eq!((caller.get(3), caller.get(15), caller.get(99)), (Some(7), Some(7), None));
        assert!([0, 1, 2, 4, 5, 8, 11].iter().all(|lost| caller.get(*lost).is_none()));
    }
}
