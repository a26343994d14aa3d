//! Functions of Python, as their code objects tell of them.
//!
//! Source: CPython's Include/cpython/code.h. Deliberately absent: how a table of lines is read
//! (`lines`).

use super::conventions::Instruction;
use super::lines::line;
use super::runtime::Runtime;
use super::source::{Read, Source};
use super::strings::text;
use crate::observe::PythonFrame;

/// Bytes of instructions and of tables of lines that a function may have.
const INSTRUCTIONS_BYTES_MAX: i64 = 1 << 28;

/// A code object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    address: u64,
    name: String,
    file: String,
    first_line: i32,
    lines: Vec<u8>,
    /// Where its instructions begin, and their bytes.
    instructions: Option<(u64, i64)>,
}

impl Code {
    /// Reads the object; its type must be the interpreter's own.
    pub(super) fn read(source: &mut Source<'_>, runtime: &Runtime, address: u64) -> Read<Self> {
        let layout = &runtime.layout;
        if source.word(address, layout.object_type)? != runtime.types.code {
            return Err(format!("a frame's code at {address:#x} is no code object"));
        }
        let name = layout.code_qualified_name.unwrap_or(layout.code_name);
        let name = source.word(address, name)?;
        let file = source.word(address, layout.code_file)?;
        let lines = source.word(address, layout.code_lines)?;
        if source.word(lines, layout.object_type)? != runtime.types.bytes {
            return Err(format!("the lines of the code at {address:#x} are no bytes"));
        }
        let length = source.word(lines, layout.bytes_length)?;
        let instructions = match layout.code_instructions {
            Some(offset) => {
                let units = source.word(address, layout.bytes_length)?.cast_signed();
                let bytes = units.checked_mul(2);
                let bytes = bytes.filter(|bytes| (0..=INSTRUCTIONS_BYTES_MAX).contains(bytes));
                let bytes = bytes.ok_or_else(|| format!("the code at {address:#x} has no end"))?;
                Some((address.wrapping_add(offset), bytes))
            }
            None => None,
        };
        // No function is called as its file: one of them would be read at the other's place.
        if source.word(address, layout.code_name)? == file || name == file {
            return Err(format!("the code at {address:#x} has one text as name and as file"));
        }
        Ok(Self {
            address,
            name: text(source, runtime, name)?,
            file: text(source, runtime, file)?,
            first_line: source.int(address, layout.code_first_line)?,
            lines: source.bytes(lines, layout.bytes_data, length)?,
            instructions,
        })
    }

    /// A frame of it that is at this instruction, as the frame tells it.
    pub(super) fn frame(
        &self,
        source: &mut Source<'_>,
        runtime: &Runtime,
        instruction: u64,
    ) -> Read<PythonFrame> {
        source.spend(self.lines.len())?;
        let outside = || format!("a frame of the code at {:#x} is outside of it", self.address);
        let number = || i64::from((instruction as u32).cast_signed());
        let offset = match (runtime.conventions.instruction, self.instructions) {
            (Instruction::Offset, _) => number(),
            (Instruction::Number, _) => 2 * number(),
            (Instruction::Address, Some((begin, bytes))) => {
                let offset = instruction.wrapping_sub(begin).cast_signed();
                if offset >= bytes || offset % 2 != 0 {
                    return Err(outside());
                }
                offset
            }
            (Instruction::Address, None) => return Err(outside()),
        };
        if !(-2..=INSTRUCTIONS_BYTES_MAX).contains(&offset) {
            return Err(outside());
        }
        Ok(PythonFrame {
            function: self.name.clone(),
            file: self.file.clone(),
            line: line(runtime.conventions.lines, &self.lines, self.first_line, offset),
        })
    }
}
