//! The rules by which a function's caller is found, for one program counter.
//!
//! Sources: DWARF 5, 6.4; LSB Core 5.0, 10.6.1 (`.eh_frame`).

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, LittleEndian, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection,
};

use super::bytes::u32_at;
use super::memory::{Memory, read_exact};
use super::x86_64::RETURN_ADDRESS;

/// The longest entry that is read, in bytes.
const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// The longest expression that is kept, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1_024;
/// The length that says that a 64-bit length follows; nobody writes such entries.
const LONG_FORM: u32 = 0xffff_ffff;

/// The rules of one program counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Where the function begins, as linked.
    pub(super) function_start: u64,
    /// The function is a trampoline to which signal handlers return.
    pub(super) signal_trampoline: bool,
    /// The canonical frame address.
    pub(super) frame: FrameRule,
    /// How registers of the caller are found; what is not listed has not changed.
    pub(super) registers: Vec<(u16, Rule)>,
}

/// How the canonical frame address is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameRule {
    /// A register and a distance.
    Register(u16, i64),
    /// The value of an expression.
    Expression(Box<[u8]>),
}

/// How a register of the caller is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is lost.
    Undefined,
    /// It has not changed.
    Same,
    /// It lies in memory at this distance from the frame address.
    SavedAt(i64),
    /// It is the frame address plus this.
    FrameAddress(i64),
    /// It lies in another register.
    Register(u16),
    /// It lies in memory where the expression says.
    SavedAtExpression(Box<[u8]>),
    /// It is the expression's value.
    Expression(Box<[u8]>),
}

impl Row {
    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let of_expressions: usize = self.registers.iter().map(|(_, rule)| rule.bytes()).sum();
        let of_frame = match &self.frame {
            FrameRule::Register(..) => 0,
            FrameRule::Expression(code) => code.len(),
        };
        size_of::<Self>() + of_frame + of_expressions
    }

    /// The rules for `address` in the function whose entry (FDE) lies at `entry`. `source` has
    /// the file's bytes at their addresses as linked.
    pub(super) fn read(source: &mut dyn Memory, entry: u64, address: u64) -> Option<Self> {
        let (section, base, place) = small_section(source, entry)?;
        let mut frame = EhFrame::new(&section, LittleEndian);
        frame.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(base);
        let offset = EhFrameOffset(place);
        let entry = frame.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
        if !entry.contains(address) || entry.cie().return_address_register().0 != RETURN_ADDRESS {
            return None;
        }
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&frame, &bases, &mut context, address).ok()?;
        let code = |expression: &UnwindExpression<usize>| {
            let code = expression.get(&frame).ok()?.0;
            (code.len() <= EXPRESSION_BYTES_MAX).then(|| Box::from(code.slice()))
        };
        let registers = row.registers().map(|(register, rule)| {
            let rule = match rule {
                RegisterRule::Undefined => Rule::Undefined,
                RegisterRule::SameValue => Rule::Same,
                RegisterRule::Offset(distance) => Rule::SavedAt(*distance),
                RegisterRule::ValOffset(distance) => Rule::FrameAddress(*distance),
                RegisterRule::Register(other) => Rule::Register(other.0),
                RegisterRule::Expression(expression) => Rule::SavedAtExpression(code(expression)?),
                RegisterRule::ValExpression(expression) => Rule::Expression(code(expression)?),
                _ => return None,
            };
            Some((register.0, rule))
        });
        Some(Self {
            function_start: entry.initial_address(),
            signal_trampoline: entry.is_signal_trampoline(),
            registers: registers.collect::<Option<_>>()?,
            frame: match row.cfa() {
                CfaRule::RegisterAndOffset { register, offset } => {
                    FrameRule::Register(register.0, *offset)
                }
                CfaRule::Expression(expression) => FrameRule::Expression(code(expression)?),
            },
        })
    }
}

impl Rule {
    fn bytes(&self) -> usize {
        let code = match self {
            Self::SavedAtExpression(code) | Self::Expression(code) => code.len(),
            _ => 0,
        };
        size_of::<(u16, Self)>() + code
    }
}

/// A section of two entries, the common one (CIE) and the function's, with its base address and
/// the place of the function's. The two may lie far apart in the file, whose section may have
/// tens of megabytes; here the function's keeps its address, so that what it says relative to
/// itself holds, and only its distance to the common one is new.
fn small_section(source: &mut dyn Memory, address: u64) -> Option<(Vec<u8>, u64, usize)> {
    let mut function = entry(source, address)?;
    let distance = u32_at(&function, 4).filter(|distance| *distance != 0)?;
    let mut section = entry(source, address.checked_add(4)?.checked_sub(u64::from(distance))?)?;
    if u32_at(&section, 4)? != 0 {
        return None;
    }
    let place = section.len();
    let distance = u32::try_from(place.checked_add(4)?).ok()?;
    function.get_mut(4..8)?.copy_from_slice(&distance.to_le_bytes());
    section.append(&mut function);
    Some((section, address.wrapping_sub(place as u64), place))
}

/// An entry of `.eh_frame` with its length.
fn entry(source: &mut dyn Memory, address: u64) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    read_exact(source, address, &mut length)?;
    let length = u32::from_le_bytes(length);
    if length == LONG_FORM || length < 4 {
        return None;
    }
    let bytes = usize::try_from(length).ok()?.checked_add(4)?;
    if bytes > ENTRY_BYTES_MAX {
        return None;
    }
    let mut entry = vec![0; bytes];
    read_exact(source, address, &mut entry)?;
    Some(entry)
}
