//! What is needed of an ELF file to find its unwind tables: load segments, where the tables lie,
//! and the build-id. The same reader takes files and images in memory.
//!
//! Sources: System V ABI, chapters 4 and 5; LSB Core 5.0, 10.6 (`.eh_frame_hdr`).

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::bytes::{array, u16_at, u32_at, u64_at};
use super::lookup::Search;
use super::memory::{Memory, read_exact};
use super::sections::Sections;

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
/// Program headers, and bytes of notes, that are looked at.
const PROGRAM_HEADERS_MAX: usize = 512;
const NOTES_BYTES_MAX: usize = 4_096;
const BUILD_ID_BYTES_MAX: usize = 64;

/// 64 bits, little-endian; x86-64.
const IDENT: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const MACHINE: u16 = 62;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
const EH_FRAME_HDR: u32 = 0x6474_e550;
const EXECUTABLE: u32 = 1;
const NOTE_BUILD_ID: u32 = 3;

/// What an ELF file says of itself. Addresses are as linked, without the bias of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) segments: Vec<Segment>,
    /// `.eh_frame_hdr`.
    pub(super) search_table: Option<Extent>,
    /// `.eh_frame`; known only where it has no search table.
    pub(super) entries: Option<Extent>,
    pub(crate) build_id: Option<Vec<u8>>,
}

/// A part of the file that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) file_bytes: u64,
    pub(crate) address: u64,
    pub(crate) executable: bool,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(super) address: u64,
    pub(super) bytes: u64,
}

impl Headers {
    /// Of a file.
    pub(crate) fn of_file(file: &File) -> Option<Self> {
        let mut whole = WholeFile(file);
        let (mut headers, notes) = Self::parse(&mut whole)?;
        headers.build_id = build_id(&mut FileImage { file, segments: &headers.segments }, &notes);
        if headers.search_table.is_none() {
            let sections = Sections::read(&mut whole);
            headers.entries = sections
                .as_ref()
                .and_then(|all| all.named(b".eh_frame"))
                .map(|section| Extent { address: section.address, bytes: section.bytes });
        }
        Some(headers)
    }

    /// Of an image in memory that begins at `start`. Returns its bias, too: what to add to an
    /// address as linked.
    pub(crate) fn of_memory(memory: &mut dyn Memory, start: u64) -> Option<(Self, u64)> {
        let mut shifted = Shifted { memory: &mut *memory, by: start };
        let (mut headers, notes) = Self::parse(&mut shifted)?;
        let first = headers.segments.iter().find(|segment| segment.offset == 0)?;
        let bias = start.wrapping_sub(first.address);
        headers.build_id = build_id(&mut Shifted { memory, by: bias }, &notes);
        Some((headers, bias))
    }

    /// `source` has the file's bytes at their offsets.
    fn parse(source: &mut dyn Memory) -> Option<(Self, Vec<Extent>)> {
        let header = header(source)?;
        let size = usize::from(u16_at(&header, 54)?);
        let count = usize::from(u16_at(&header, 56)?).min(PROGRAM_HEADERS_MAX);
        if size != PROGRAM_HEADER_BYTES {
            return None;
        }
        let mut table = vec![0; count * size];
        read_exact(source, u64_at(&header, 32)?, &mut table)?;
        let (mut headers, mut notes) = (Self::default(), Vec::new());
        for entry in table.chunks_exact(size) {
            let (kind, flags) = (u32_at(entry, 0)?, u32_at(entry, 4)?);
            let (offset, address) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
            let (file_bytes, bytes) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
            match kind {
                LOAD => headers.segments.push(Segment {
                    offset,
                    file_bytes,
                    address,
                    executable: flags & EXECUTABLE != 0,
                }),
                NOTE => notes.push(Extent { address, bytes: file_bytes }),
                EH_FRAME_HDR => headers.search_table = Some(Extent { address, bytes }),
                _ => {}
            }
        }
        Some((headers, notes))
    }

    /// `.eh_frame`, where a search for a function must read all of it. Without section headers,
    /// as in memory, its end is not known: it ends with an empty entry.
    pub(super) fn entries_of(&self, search: Option<Search>) -> Option<Extent> {
        match search {
            Some(Search::Entries(address)) => {
                let segment = self.segments.iter().find(|segment| {
                    address.checked_sub(segment.address).is_some_and(|at| at < segment.file_bytes)
                })?;
                let bytes = segment.file_bytes - (address - segment.address);
                Some(Extent { address, bytes })
            }
            _ => self.entries,
        }
    }

    /// What to add to addresses as linked where the file's byte `offset` is mapped at `address`.
    pub(crate) fn bias(&self, offset: u64, address: u64, executable: bool) -> Option<u64> {
        // A page at the seam of two segments is mapped twice; permissions tell which it is.
        let covers = |segment: &&Segment| {
            let first = segment.offset & !0xfff;
            let end = segment.offset.saturating_add(segment.file_bytes).checked_add(0xfff);
            end.is_some_and(|end| (first..end & !0xfff).contains(&offset))
        };
        let same = |segment: &&Segment| covers(segment) && segment.executable == executable;
        let segment = self.segments.iter().find(same);
        let segment = segment.or_else(|| self.segments.iter().find(covers))?;
        let linked = segment.address.wrapping_add(offset.wrapping_sub(segment.offset));
        Some(address.wrapping_sub(linked))
    }
}

/// The first bytes of a file that this reader knows.
pub(super) fn header(source: &mut dyn Memory) -> Option<[u8; HEADER_BYTES]> {
    let mut header = [0; HEADER_BYTES];
    read_exact(source, 0, &mut header)?;
    let known = header.starts_with(&IDENT) && u16_at(&header, 18)? == MACHINE;
    known.then_some(header)
}

/// The build-id among notes; `source` has bytes at their addresses as linked.
fn build_id(source: &mut dyn Memory, notes: &[Extent]) -> Option<Vec<u8>> {
    notes.iter().find_map(|extent| {
        let mut bytes = vec![0; usize::try_from(extent.bytes).ok()?.min(NOTES_BYTES_MAX)];
        let length = source.read(extent.address, &mut bytes);
        note(bytes.get(..length)?)
    })
}

fn note(mut rest: &[u8]) -> Option<Vec<u8>> {
    loop {
        let (name_bytes, bytes) = (u32_at(rest, 0)? as usize, u32_at(rest, 4)? as usize);
        let data = 12_usize.checked_add(name_bytes.checked_next_multiple_of(4)?)?;
        let end = data.checked_add(bytes)?;
        if u32_at(rest, 8)? == NOTE_BUILD_ID && array(rest, 12) == Some(*b"GNU\0") {
            let id = rest.get(data..end)?;
            return (1..=BUILD_ID_BYTES_MAX).contains(&id.len()).then(|| id.to_vec());
        }
        rest = rest.get(end.checked_next_multiple_of(4)?..)?;
    }
}

/// A file's bytes at their offsets.
#[derive(Debug)]
pub(crate) struct WholeFile<'a>(pub(crate) &'a File);

impl Memory for WholeFile<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let place = address.checked_add(done as u64);
            match place.map(|place| self.0.read_at(rest, place)) {
                Some(Ok(length)) if length > 0 => done += length,
                _ => break,
            }
        }
        done
    }
}

/// A file's bytes at the addresses that they are linked for.
pub(super) struct FileImage<'a> {
    pub(super) file: &'a File,
    pub(super) segments: &'a [Segment],
}

impl Memory for FileImage<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let inside = |segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|there| there < segment.file_bytes)
        };
        let Some(segment) = self.segments.iter().find(inside) else { return 0 };
        let there = address - segment.address;
        let length = buffer.len().min(usize::try_from(segment.file_bytes - there).unwrap_or(0));
        match (segment.offset.checked_add(there), buffer.get_mut(..length)) {
            (Some(offset), Some(part)) => WholeFile(self.file).read(offset, part),
            _ => 0,
        }
    }
}

/// Memory whose addresses begin elsewhere.
pub(crate) struct Shifted<'a> {
    pub(crate) memory: &'a mut dyn Memory,
    pub(crate) by: u64,
}

impl Memory for Shifted<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        self.memory.read(address.wrapping_add(self.by), buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_at_a_seam_belongs_to_the_segment_with_its_permissions() {
        let segment = |offset, address, executable| Segment {
            offset,
            file_bytes: 0x1800,
            address,
            executable,
        };
        let segments = vec![segment(0, 0, false), segment(0x1800, 0x2800, true)];
        let headers = Headers { segments, ..Headers::default() };
        // The file's page at 0x1000 is mapped twice, at 0x1000 and 0x2000 from the start.
        assert_eq!(headers.bias(0x1000, 0x5_1000, false), Some(0x5_0000));
        assert_eq!(headers.bias(0x1000, 0x5_2000, true), Some(0x5_0000));
        assert_eq!(headers.bias(0x9000, 0x5_2000, true), None);
    }

    #[test]
    fn a_build_id_is_found_among_notes_and_a_cut_one_is_none() {
        let other = [4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', b'c', 0, 7, 7, 0, 0];
        let ours = [4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, b'G', b'N', b'U', 0, 1, 2, 3];
        let notes = [&other[..], &ours].concat();
        assert_eq!(note(&notes), Some(vec![1, 2, 3]));
        assert_eq!(note(&notes[..notes.len() - 1]), None);
        assert_eq!(note(&other), None);
    }
}
