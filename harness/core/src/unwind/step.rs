//! One step outward by unwind information.

use super::expression::evaluate;
use super::memory::{Memory, read_word};
use super::rows::{FrameRule, Row, Rule};
use super::x86_64::{RETURN_ADDRESS, RSP, Registers};

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The caller's registers.
    Caller(Registers),
    /// The function has no caller.
    Outermost,
}

/// Applies a row; `None` where memory or a register that it needs is not there.
pub(super) fn step(row: &Row, registers: &Registers, memory: &mut dyn Memory) -> Option<Step> {
    let frame = match &row.frame {
        FrameRule::Register(register, distance) => {
            registers.get(*register)?.wrapping_add_signed(*distance)
        }
        FrameRule::Expression(code) => evaluate(code, registers, memory, None)?,
    };
    // A signal's trampoline gives back all registers; a call only those that must be preserved.
    let mut caller = if row.signal_trampoline { *registers } else { registers.across_call() };
    caller.set(RSP, Some(frame));
    // What no rule names has not changed, but the return address must be somewhere.
    caller.set(RETURN_ADDRESS, None);
    for (register, rule) in &row.registers {
        let value = match rule {
            Rule::Undefined if *register == RETURN_ADDRESS => return Some(Step::Outermost),
            Rule::Undefined => None,
            Rule::Same => registers.get(*register),
            Rule::SavedAt(distance) => read_word(memory, frame.wrapping_add_signed(*distance)),
            Rule::FrameAddress(distance) => Some(frame.wrapping_add_signed(*distance)),
            Rule::Register(other) => registers.get(*other),
            Rule::SavedAtExpression(code) => {
                let place = evaluate(code, registers, memory, Some(frame));
                place.and_then(|place| read_word(memory, place))
            }
            Rule::Expression(code) => evaluate(code, registers, memory, Some(frame)),
        };
        caller.set(*register, value);
    }
    caller.get(RETURN_ADDRESS)?;
    caller.get(RSP)?;
    Some(Step::Caller(caller))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotfire_sys::TraceRegisters;

    /// Every word holds its address plus 1.
    struct Echo;

    impl Memory for Echo {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let word = (address + 1).to_le_bytes();
            buffer.iter_mut().zip(word).for_each(|(to, from)| *to = from);
            buffer.len()
        }
    }

    fn stepped(registers: Vec<(u16, Rule)>) -> Option<Step> {
        let traced = TraceRegisters { rip: 0x1000, rsp: 0x7000, rbp: 0x7100, general: [5; 14] };
        let row = Row {
            function_start: 0x1000,
            signal_trampoline: false,
            frame: FrameRule::Register(RSP, 16),
            registers,
        };
        step(&row, &Registers::from(&traced), &mut Echo)
    }

    fn caller(registers: Vec<(u16, Rule)>) -> Registers {
        match stepped(registers) {
            Some(Step::Caller(caller)) => caller,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn each_rule_finds_its_register() {
        // DW_OP_plus_uconst 32: the frame's address is there before.
        let code: Box<[u8]> = Box::from([0x23, 32]);
        let caller = caller(vec![
            (RETURN_ADDRESS, Rule::SavedAt(-8)),
            (3, Rule::SavedAtExpression(code.clone())),
            (6, Rule::Expression(code)),
            (12, Rule::FrameAddress(-24)),
            (13, Rule::Register(6)),
            (14, Rule::Undefined),
        ]);
        assert_eq!((caller.pc(), caller.sp()), (0x7009, 0x7010));
        assert_eq!((caller.get(3), caller.get(6)), (Some(0x7031), Some(0x7030)));
        assert_eq!((caller.get(12), caller.get(13)), (Some(0x6ff8), Some(0x7100)));
        // Lost; not changed; not preserved by a call.
        assert_eq!((caller.get(14), caller.get(15), caller.get(0)), (None, Some(5), None));
    }

    #[test]
    fn an_undefined_return_address_ends_the_stack_and_a_missing_one_is_none() {
        assert_eq!(stepped(vec![(RETURN_ADDRESS, Rule::Undefined)]), Some(Step::Outermost));
        assert_eq!(stepped(Vec::new()), None);
    }
}
