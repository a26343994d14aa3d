//! Which registers an x86-64 instruction addresses memory through (or jumps through): enough of
//! the encoding (Intel SDM volume 2, chapter 2) to find the ModRM and SIB bytes.
//!
//! Deliberately absent: what the instruction does; an encoding not known gives `None`.

use crate::observe::Registers;

/// A general register by its number in the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Register(u8);

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// Where `Registers::general` (rax rbx rcx rdx rsi rdi r8 … r15) keeps each; 4 and 5 are apart.
const GENERAL_INDEX: [usize; 16] = [0, 2, 3, 1, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

const SP: u8 = 4;
const BP: u8 = 5;

impl Register {
    pub(crate) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }

    pub(crate) fn value(self, registers: &Registers) -> Option<u64> {
        match self.0 {
            SP => Some(registers.rsp),
            BP => Some(registers.rbp),
            number => {
                let index = GENERAL_INDEX.get(usize::from(number))?;
                registers.general.get(*index).copied()
            }
        }
    }
}

/// How the bytes up to the opcode read.
struct Opcode {
    /// 0: one-byte opcodes; 1: 0F; 2: 0F 38; 3: 0F 3A.
    map: u8,
    byte: u8,
    /// The prefix's extension bits of the base (or register) and of the index, worth 8 each.
    base: u8,
    index: u8,
    /// Where the byte behind the opcode stands.
    next: usize,
}

/// The base and index registers of the memory operand, or the register that a jump goes through.
pub(crate) fn address_registers(bytes: &[u8]) -> Option<Vec<Register>> {
    let opcode = read_opcode(bytes)?;
    if opcode.map == 0 {
        match opcode.byte {
            // movs, cmps: from rsi to rdi.
            0xa4..=0xa7 => return Some(vec![Register(6), Register(7)]),
            // stos, scas: rdi. lods: rsi.
            0xaa | 0xab | 0xae | 0xaf => return Some(vec![Register(7)]),
            0xac | 0xad => return Some(vec![Register(6)]),
            byte if !one_byte_has_modrm(byte) => return None,
            _ => {}
        }
    }
    let modrm = *bytes.get(opcode.next)?;
    let (mode, low) = (modrm >> 6, modrm & 7);
    let is_indirect_jump =
        opcode.map == 0 && opcode.byte == 0xff && matches!((modrm >> 3) & 7, 2..=5);
    match (mode, low) {
        (3, _) if is_indirect_jump => Some(vec![Register(low + opcode.base)]),
        // Registers only: no address. With mode 0, 5 means relative to the program counter.
        (3, _) | (0, 5) => None,
        (_, 4) => Some(sib_registers(*bytes.get(opcode.next + 1)?, mode, &opcode)),
        _ => Some(vec![Register(low + opcode.base)]),
    }
}

fn sib_registers(sib: u8, mode: u8, opcode: &Opcode) -> Vec<Register> {
    let (base, index) = (sib & 7, ((sib >> 3) & 7) + opcode.index);
    let mut registers = Vec::new();
    if !(mode == 0 && base == 5) {
        registers.push(Register(base + opcode.base));
    }
    if index != SP {
        registers.push(Register(index));
    }
    registers
}

fn read_opcode(bytes: &[u8]) -> Option<Opcode> {
    const LEGACY: [u8; 11] = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
    let start = bytes.iter().position(|byte| !LEGACY.contains(byte))?;
    let at = |offset: usize| bytes.get(start + offset).copied();
    let first = at(0)?;
    let vex = |bits: u8| if bits == 0 { 8 } else { 0 };
    match first {
        // Two-byte VEX has no base and index extension; three-byte VEX keeps them inverted.
        0xc5 => Some(Opcode { map: 1, byte: at(2)?, base: 0, index: 0, next: start + 3 }),
        0xc4 => Some(Opcode {
            map: at(1)? & 0x1f,
            byte: at(3)?,
            base: vex(at(1)? & 0x20),
            index: vex(at(1)? & 0x40),
            next: start + 4,
        }),
        // EVEX: other meanings of index for gathers; not read.
        0x62 => None,
        _ => {
            let (rex, skip) = if first & 0xf0 == 0x40 { (first, 1) } else { (0, 0) };
            let (base, index) = ((rex & 1) << 3, (rex & 2) << 2);
            let (map, length) = match (at(skip)?, at(skip + 1)) {
                (0x0f, Some(0x38)) => (2, 2),
                (0x0f, Some(0x3a)) => (3, 2),
                (0x0f, _) => (1, 1),
                _ => (0, 0),
            };
            let byte = at(skip + length)?;
            Some(Opcode { map, byte, base, index, next: start + skip + length + 1 })
        }
    }
}

/// SDM volume 2, appendix A, table A-2.
fn one_byte_has_modrm(byte: u8) -> bool {
    match byte {
        0x00..=0x3f => byte & 7 < 4,
        0x63 | 0x69 | 0x6b | 0x80..=0x8f | 0xc0 | 0xc1 | 0xc6 | 0xc7 => true,
        0xd0..=0xd3 | 0xd8..=0xdf | 0xf6 | 0xf7 | 0xfe | 0xff => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Option<Vec<&'static str>> {
        Some(address_registers(bytes)?.into_iter().map(Register::name).collect())
    }

    // The encodings are those of GNU as 2.40.
    #[test]
    fn operands_are_found_behind_every_prefix() {
        assert_eq!(names(&[0x8b, 0x03]), Some(vec!["rbx"])); // mov (%rbx),%eax
        assert_eq!(names(&[0x48, 0x8b, 0x00]), Some(vec!["rax"])); // mov (%rax),%rax
        assert_eq!(names(&[0x41, 0x8b, 0x04, 0x24]), Some(vec!["r12"])); // mov (%r12),%eax
        assert_eq!(names(&[0x43, 0x8b, 0x04, 0x8e]), Some(vec!["r14", "r9"])); // (%r14,%r9,4)
        assert_eq!(names(&[0xff, 0xd0]), Some(vec!["rax"])); // call *%rax
        assert_eq!(names(&[0xff, 0x50, 0x18]), Some(vec!["rax"])); // call *0x18(%rax)
        assert_eq!(names(&[0xf3, 0x48, 0xa5]), Some(vec!["rsi", "rdi"])); // rep movsq
        assert_eq!(names(&[0xf3, 0x0f, 0x10, 0x07]), Some(vec!["rdi"])); // movss (%rdi),%xmm0
        assert_eq!(names(&[0xc5, 0xfc, 0x10, 0x07]), Some(vec!["rdi"])); // vmovups (%rdi),%ymm0
        assert_eq!(names(&[0xc4, 0xc1, 0x7c, 0x10, 0x07]), Some(vec!["r15"])); // vmovups (%r15)
    }

    #[test]
    fn instructions_without_such_an_operand_have_none() {
        assert_eq!(names(&[0x89, 0xd8]), None); // mov %ebx,%eax
        assert_eq!(names(&[0x8b, 0x05, 0, 0, 0, 0]), None); // mov 0(%rip),%eax
        assert_eq!(names(&[0xc3]), None); // ret
        assert_eq!(names(&[]), None);
        assert_eq!(names(&[0x48]), None);
    }

    #[test]
    fn values_come_from_the_right_place() {
        let registers =
            Registers { rip: 1, rsp: 2, rbp: 3, general: (100..114).collect::<Vec<u64>>() };
        let value = |number| Register(number).value(&registers);
        assert_eq!(value(0), Some(100)); // rax
        assert_eq!(value(1), Some(102)); // rcx
        assert_eq!(value(3), Some(101)); // rbx
        assert_eq!(value(4), Some(2));
        assert_eq!(value(5), Some(3));
        assert_eq!(value(15), Some(113)); // r15
    }
}
