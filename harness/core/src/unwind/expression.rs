//! Expressions that say where something lies: addresses and registers in, one number out.
//!
//! Source: DWARF 5, 2.5. gimli computes; here it gets what it asks for, up to a limit.

use gimli::{Encoding, EndianSlice, Evaluation, EvaluationResult, Format, LittleEndian, Value};

use super::memory::{Memory, read_exact};
use super::x86_64::Registers;

/// Operations, and questions for memory or registers, of one expression.
const OPERATIONS_MAX: u32 = 256;
const ENCODING: Encoding = Encoding { format: Format::Dwarf32, version: 5, address_size: 8 };

/// The value of an expression in a frame, with `initial` on its stack at first. `None`: it needs
/// what is not known, or is none.
pub(super) fn evaluate(
    code: &[u8],
    registers: &Registers,
    memory: &mut dyn Memory,
    initial: Option<u64>,
) -> Option<u64> {
    let mut evaluation = Evaluation::new(EndianSlice::new(code, LittleEndian), ENCODING);
    evaluation.set_max_iterations(OPERATIONS_MAX);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut result = evaluation.evaluate().ok()?;
    for _ in 0..OPERATIONS_MAX {
        result = match result {
            EvaluationResult::Complete => {
                return evaluation.value_result().and_then(number).or_else(|| {
                    match evaluation.as_result() {
                        [piece] => address(&piece.location),
                        _ => None,
                    }
                });
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(registers.get(register.0)?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size, space: None, .. } => {
                let mut bytes = [0; 8];
                read_exact(memory, address, bytes.get_mut(..usize::from(size))?)?;
                evaluation.resume_with_memory(Value::Generic(u64::from_le_bytes(bytes))).ok()?
            }
            _ => return None,
        };
    }
    None
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Generic(number) => Some(number),
        _ => None,
    }
}

fn address<R: gimli::Reader>(location: &gimli::Location<R>) -> Option<u64> {
    match location {
        gimli::Location::Address { address } => Some(*address),
        gimli::Location::Value { value } => number(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::memory::Memory;

    /// Every word holds its address plus 1.
    struct Echo;

    impl Memory for Echo {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let word = (address + 1).to_le_bytes();
            buffer.iter_mut().zip(word).for_each(|(to, from)| *to = from);
            buffer.len()
        }
    }

    fn registers() -> Registers {
        let traced = hotfire_sys::TraceRegisters { rip: 3, rsp: 2, rbp: 0x7000, general: [0; 14] };
        Registers::from(&traced)
    }

    #[test]
    fn an_over_aligned_frame_lies_where_its_pointer_says() {
        // DW_OP_breg6 -8; DW_OP_deref: gcc's, for a function that aligned its stack.
        let code = [0x76, 0x78, 0x06];
        assert_eq!(evaluate(&code, &registers(), &mut Echo, None), Some(0x6ff9));
    }

    #[test]
    fn the_frame_address_is_on_the_stack() {
        // DW_OP_plus_uconst 160
        let code = [0x23, 0xa0, 0x01];
        assert_eq!(evaluate(&code, &registers(), &mut Echo, Some(0x100)), Some(0x1a0));
        assert_eq!(evaluate(&code, &registers(), &mut Echo, None), None);
    }

    #[test]
    fn an_endless_expression_ends() {
        // DW_OP_skip to itself; DW_OP_lit0, then skip back to it.
        for code in [&[0x2f, 0xfd, 0xff][..], &[0x30, 0x2f, 0xfc, 0xff]] {
            assert_eq!(evaluate(code, &registers(), &mut Echo, None), None);
        }
        // Endless reads: DW_OP_lit0, DW_OP_deref, back to deref.
        assert_eq!(evaluate(&[0x30, 0x06, 0x2f, 0xfc, 0xff], &registers(), &mut Echo, None), None);
    }
}
