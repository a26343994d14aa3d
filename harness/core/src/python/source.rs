//! Checked reading: a number is there, or there is a reason why not.
//!
//! Deliberately absent: what the numbers mean.

use crate::unwind::{Memory, Paged};

/// What was read, or why it was not: a lowercase fragment.
pub(super) type Read<T> = Result<T, String>;

/// Addresses of processes are below this; what is above is no pointer.
const ADDRESS_MAX: u64 = 1 << 47;
/// Bytes that all reading may cost together.
const WORK_BYTES_MAX: u64 = 1 << 28;
/// Nothing that is read at once is longer.
const BYTES_MAX: u64 = 1 << 20;

/// The memory of a process, a page at a time.
pub(super) struct Source<'a> {
    memory: Paged<&'a mut dyn Memory>,
    work: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(memory: &'a mut dyn Memory) -> Self {
        Self { memory: Paged::new(memory), work: 0 }
    }

    /// Counts bytes that are looked at.
    pub(super) fn spend(&mut self, bytes: usize) -> Read<()> {
        self.work += bytes as u64;
        let is_left = self.work <= WORK_BYTES_MAX;
        is_left.then_some(()).ok_or_else(|| "the interpreter holds more than is read".to_owned())
    }

    /// Fills the buffer from `base + offset` on.
    fn fill(&mut self, base: u64, offset: u64, buffer: &mut [u8]) -> Read<()> {
        self.spend(buffer.len())?;
        let address = base.checked_add(offset).filter(|at| *at < ADDRESS_MAX && base != 0);
        let Some(address) = address else { return Err(format!("{base:#x} is no address")) };
        if self.memory.read(address, buffer) == buffer.len() {
            return Ok(());
        }
        Err(format!("the memory at {address:#x} could not be read"))
    }

    /// A word of 8 bytes.
    pub(super) fn word(&mut self, base: u64, offset: u64) -> Read<u64> {
        let mut bytes = [0; 8];
        self.fill(base, offset, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A C `int`.
    pub(super) fn int(&mut self, base: u64, offset: u64) -> Read<i32> {
        let mut bytes = [0; 4];
        self.fill(base, offset, &mut bytes)?;
        Ok(i32::from_le_bytes(bytes))
    }

    pub(super) fn byte(&mut self, base: u64, offset: u64) -> Read<u8> {
        let mut bytes = [0];
        self.fill(base, offset, &mut bytes)?;
        let [byte] = bytes;
        Ok(byte)
    }

    /// As many bytes as asked for, within a limit.
    pub(super) fn bytes(&mut self, base: u64, offset: u64, length: u64) -> Read<Vec<u8>> {
        let length = usize::try_from(length.min(BYTES_MAX + 1)).unwrap_or(usize::MAX);
        if length as u64 > BYTES_MAX {
            return Err(format!("what lies at {base:#x} is longer than anything that is read"));
        }
        let mut bytes = vec![0; length];
        self.fill(base, offset, &mut bytes)?;
        Ok(bytes)
    }
}
