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
