//! The memory of what is unwound.

use std::collections::BTreeMap;

use hotfire_sys::read_memory;

/// Bytes that are read at once.
const PAGE_BYTES: u64 = 4_096;
/// Pages that are kept; 16 MiB hold an overflown stack of the usual size.
const PAGES_MAX: usize = 4_096;

/// Something with bytes at addresses. It does not change while it is unwound.
pub trait Memory {
    /// Reads up to `buffer.len()` bytes from `address` on and returns how many there are before
    /// the first that is missing.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize;
}

impl<M: Memory + ?Sized> Memory for &mut M {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        (**self).read(address, buffer)
    }
}

/// The memory of a stopped process.
#[derive(Debug, Clone, Copy)]
pub struct LiveMemory {
    tid: i32,
}

impl LiveMemory {
    /// The memory of the process that holds this thread. The thread must still have its memory:
    /// a leader that ended before the others (a zombie) has not.
    #[must_use]
    pub fn new(tid: i32) -> Self {
        Self { tid }
    }
}

impl Memory for LiveMemory {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        read_memory(self.tid, address, buffer).unwrap_or(0)
    }
}

/// Reads whole pages and keeps them: a stack is read word by word. What is as long as a page is read
/// at once, and not kept.
#[derive(Debug)]
pub(crate) struct Paged<M> {
    inner: M,
    /// By address; a page may be short or empty where nothing is mapped.
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl<M: Memory> Paged<M> {
    pub(crate) fn new(inner: M) -> Self {
        Self { inner, pages: BTreeMap::new() }
    }

    fn page(&mut self, start: u64) -> &[u8] {
        if self.pages.len() >= PAGES_MAX && !self.pages.contains_key(&start) {
            self.pages.clear();
        }
        let inner = &mut self.inner;
        self.pages.entry(start).or_insert_with(|| {
            let mut page = vec![0; PAGE_BYTES as usize];
            let length = inner.read(start, &mut page);
            page.truncate(length);
            page.into_boxed_slice()
        })
    }
}

impl<M: Memory> Memory for Paged<M> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        if buffer.len() as u64 >= PAGE_BYTES {
            return self.inner.read(address, buffer);
        }
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(place) = address.checked_add(done as u64) else { break };
            let inside = (place % PAGE_BYTES) as usize;
            let page = self.page(place - place % PAGE_BYTES);
            let there = page.get(inside..).unwrap_or_default();
            let length = there.len().min(rest.len());
            if length == 0 {
                break;
            }
            rest.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
            done += length;
        }
        done
    }
}

/// Fills the buffer, or nothing.
pub(super) fn read_exact(memory: &mut dyn Memory, address: u64, buffer: &mut [u8]) -> Option<()> {
    (memory.read(address, buffer) == buffer.len()).then_some(())
}

/// A word of 8 bytes.
pub(super) fn read_word(memory: &mut dyn Memory, address: u64) -> Option<u64> {
    let mut word = [0; 8];
    read_exact(memory, address, &mut word)?;
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6,000 bytes at 0x1000, counted.
    struct Counted(usize);

    impl Memory for Counted {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            self.0 += 1;
            let there = (0x1000..0x1000 + 6_000_u64).skip_while(|place| *place < address);
            let there = if address < 0x1000 { 0..0 } else { 0..there.count() };
            let length = there.end.min(buffer.len());
            buffer[..length].fill(7);
            length
        }
    }

    #[test]
    fn pages_are_read_once_and_end_where_memory_ends() {
        let mut memory = Paged::new(Counted(0));
        let mut buffer = [0; 8];
        for address in [0x1000, 0x1010, 0x1ffc, 0x1ffe] {
            assert_eq!(memory.read(address, &mut buffer), 8);
        }
        assert_eq!(memory.inner.0, 2);
        assert_eq!(memory.read(0x1000 + 5_998, &mut buffer), 2);
        assert_eq!(memory.read(0, &mut buffer), 0);
        assert_eq!(memory.read(u64::MAX - 3, &mut buffer), 0);
        let before = memory.inner.0;
        assert_eq!(memory.read(0x1000, &mut [0; 8_192]), 6_000);
        assert_eq!(memory.inner.0, before + 1);
        assert_eq!(read_word(&mut memory, 0x1000), Some(0x0707_0707_0707_0707));
    }
}
