//! What an x86-64 instruction accesses and through which registers: the kernel tells a tracer the
//! address of a fault, but not whether it was a read or a write.
//!
//! Deliberately absent: operands relative to fs and gs, whose bases are not among the registers
//! that are kept; an encoding not known gives `None`.

use iced_x86::{
    Decoder, DecoderOptions, EncodingKind, FlowControl, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

use crate::observe::Registers;

/// Where `Registers::general` (rax rbx rcx rdx rsi rdi r8 … r15) keeps each register by its number
/// in the encoding; 4 and 5 are apart.
const GENERAL_INDEX: [usize; 16] = [0, 2, 3, 1, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

/// A register of an operand with what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) value: u64,
}

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// One access to memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) kind: Kind,
    pub(crate) address: u64,
    /// Its length in bytes; 0: not fixed.
    pub(crate) bytes: u64,
    pub(crate) base: Option<Held>,
    pub(crate) index: Option<Held>,
    pub(crate) scale: u32,
}

impl Access {
    /// Whether the access touches this address.
    pub(crate) fn covers(&self, address: u64) -> bool {
        address.wrapping_sub(self.address) < self.bytes.max(1)
    }
}

/// An instruction with the values of its operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) accesses: Vec<Access>,
    /// The register that a call or jump goes through.
    pub(crate) target: Option<Held>,
    /// It returns to the address on top of the stack.
    pub(crate) is_return: bool,
    /// Its operand in memory must lie at a multiple of so many bytes.
    pub(crate) alignment: Option<u64>,
}

/// Reads the instruction at the program counter.
pub(crate) fn decode(bytes: &[u8], registers: &Registers) -> Option<Decoded> {
    let mut decoder = Decoder::with_ip(64, bytes, registers.rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(&instruction).used_memory();
    let accesses = used.iter().filter_map(|memory| access(memory, registers)).collect();
    let indirect = matches!(
        instruction.flow_control(),
        FlowControl::IndirectBranch | FlowControl::IndirectCall
    );
    let through_register = indirect && instruction.op0_kind() == OpKind::Register;
    Some(Decoded {
        accesses,
        target: through_register.then(|| held(instruction.op0_register(), registers)).flatten(),
        is_return: instruction.flow_control() == FlowControl::Return,
        alignment: alignment(&instruction),
    })
}

fn access(memory: &UsedMemory, registers: &Registers) -> Option<Access> {
    let kind = match memory.access() {
        OpAccess::Read | OpAccess::CondRead => Kind::Read,
        OpAccess::None | OpAccess::NoMemAccess => return None,
        // One that reads and writes asks for a writable page at once.
        _ => Kind::Write,
    };
    let address = memory.virtual_address(0, |register, _, _| match register {
        // Flat segments; fs and gs are not known.
        Register::CS | Register::DS | Register::ES | Register::SS => Some(0),
        other => value(other, registers),
    })?;
    Some(Access {
        kind,
        address,
        bytes: u64::try_from(memory.memory_size().size()).unwrap_or(0),
        base: held(memory.base(), registers),
        index: held(memory.index(), registers),
        scale: memory.scale(),
    })
}

fn held(register: Register, registers: &Registers) -> Option<Held> {
    let value = value(register, registers)?;
    Some(Held { name: format!("{register:?}").to_ascii_lowercase(), value })
}

fn value(register: Register, registers: &Registers) -> Option<u64> {
    if !register.is_gpr64() {
        return None;
    }
    match register {
        Register::RSP => Some(registers.rsp),
        Register::RBP => Some(registers.rbp),
        other => registers.general.get(*GENERAL_INDEX.get(other.number())?).copied(),
    }
}

/// SSE instructions fault on a misaligned operand of 16 bytes, but for those made for it; of the
/// later encodings only the moves that say so do (Intel SDM volume 2, 2.4 and 2.8).
fn alignment(instruction: &Instruction) -> Option<u64> {
    const LENIENT: [Mnemonic; 8] = [
        Mnemonic::Movups,
        Mnemonic::Movupd,
        Mnemonic::Movdqu,
        Mnemonic::Lddqu,
        Mnemonic::Pcmpestri,
        Mnemonic::Pcmpestrm,
        Mnemonic::Pcmpistri,
        Mnemonic::Pcmpistrm,
    ];
    const STRICT: [Mnemonic; 9] = [
        Mnemonic::Vmovaps,
        Mnemonic::Vmovapd,
        Mnemonic::Vmovdqa,
        Mnemonic::Vmovdqa32,
        Mnemonic::Vmovdqa64,
        Mnemonic::Vmovntps,
        Mnemonic::Vmovntpd,
        Mnemonic::Vmovntdq,
        Mnemonic::Vmovntdqa,
    ];
    let bytes = u64::try_from(instruction.memory_size().size()).ok()?;
    let mnemonic = instruction.mnemonic();
    let strict = match instruction.encoding() {
        EncodingKind::Legacy => bytes == 16 && !LENIENT.contains(&mnemonic),
        _ => bytes >= 16 && STRICT.contains(&mnemonic),
    };
    strict.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> Registers {
        Registers { rip: 0x1000, rsp: 2, rbp: 3, general: (100..114).collect() }
    }

    fn decoded(bytes: &[u8]) -> Decoded {
        decode(bytes, &registers()).unwrap()
    }

    /// Kind, base and index of each access.
    fn words(bytes: &[u8]) -> Vec<String> {
        let name = |held: &Option<Held>| held.as_ref().map_or("-".to_owned(), |h| h.name.clone());
        let one = |access: &Access| {
            format!("{:?} {} {}", access.kind, name(&access.base), name(&access.index))
        };
        decoded(bytes).accesses.iter().map(one).collect()
    }

    // The encodings are those of GNU as 2.40.
    #[test]
    fn operands_are_found_behind_every_prefix() {
        assert_eq!(words(&[0x8b, 0x03]), ["Read rbx -"]); // mov (%rbx),%eax
        assert_eq!(words(&[0x89, 0x03]), ["Write rbx -"]); // mov %eax,(%rbx)
        assert_eq!(words(&[0x01, 0x03]), ["Write rbx -"]); // add %eax,(%rbx)
        assert_eq!(words(&[0x41, 0x8b, 0x04, 0x24]), ["Read r12 -"]); // mov (%r12),%eax
        assert_eq!(words(&[0x43, 0x8b, 0x04, 0x8e]), ["Read r14 r9"]); // mov (%r14,%r9,4),%eax
        assert_eq!(words(&[0xf3, 0x48, 0xa5]), ["Write rdi -", "Read rsi -"]); // rep movsq
        assert_eq!(words(&[0xc5, 0xfc, 0x10, 0x07]), ["Read rdi -"]); // vmovups (%rdi),%ymm0
        // vmovdqu64 (%rsi),%ymm16
        assert_eq!(words(&[0x62, 0xe1, 0xfe, 0x28, 0x6f, 0x06]), ["Read rsi -"]);
    }

    #[test]
    fn instructions_without_an_operand_in_memory_have_no_access() {
        assert!(words(&[0x89, 0xd8]).is_empty()); // mov %ebx,%eax
        assert!(words(&[0x48, 0x8d, 0x03]).is_empty()); // lea (%rbx),%rax
        assert!(words(&[0x64, 0x8b, 0x03]).is_empty(), "fs is not known"); // mov %fs:(%rbx),%eax
        assert_eq!(decode(&[], &registers()), None);
        assert_eq!(decode(&[0x48], &registers()), None);
    }

    #[test]
    fn addresses_follow_from_the_registers() {
        // mov 0x10(%rax,%rcx,8),%rdx; rcx is the third of the general ones.
        let access = &decoded(&[0x48, 0x8b, 0x54, 0xc8, 0x10]).accesses[0];
        assert_eq!((access.address, access.bytes, access.scale), (100 + 102 * 8 + 16, 8, 8));
        assert!(access.covers(100 + 102 * 8 + 23) && !access.covers(100 + 102 * 8 + 24));
        // mov 0x20(%rip),%eax: from the next instruction on.
        assert_eq!(decoded(&[0x8b, 0x05, 0x20, 0, 0, 0]).accesses[0].address, 0x1026);
    }

    #[test]
    fn jumps_go_through_a_register_or_the_stack() {
        let call = decoded(&[0xff, 0xd0]); // call *%rax
        assert_eq!(call.target.unwrap().name, "rax");
        assert_eq!(decoded(&[0xff, 0x50, 0x18]).target, None); // call *0x18(%rax)
        assert!(decoded(&[0xc3]).is_return && !call.is_return);
    }

    #[test]
    fn aligned_moves_are_told_from_unaligned_ones() {
        assert_eq!(decoded(&[0x0f, 0x29, 0x00]).alignment, Some(16)); // movaps %xmm0,(%rax)
        assert_eq!(decoded(&[0x0f, 0x11, 0x00]).alignment, None); // movups %xmm0,(%rax)
        assert_eq!(decoded(&[0x0f, 0x58, 0x00]).alignment, Some(16)); // addps (%rax),%xmm0
        assert_eq!(decoded(&[0xc5, 0xf8, 0x58, 0x00]).alignment, None); // vaddps (%rax),%xmm0,%xmm0
        assert_eq!(decoded(&[0xc5, 0xfc, 0x28, 0x00]).alignment, Some(32)); // vmovaps (%rax),%ymm0
    }
}
