//! The sections of an ELF file, as its section headers tell them. Untrusted: the headers are read
//! up to a limit, and what they say is checked by whoever uses it.
//!
//! Source: System V ABI, chapter 4. Deliberately absent: what is in the sections.

use super::bytes::{u16_at, u32_at, u64_at};
use super::image::header;
use super::memory::{Memory, read_exact};

const HEADER_BYTES: usize = 64;
/// Sections, and bytes of their names, that are looked at.
const SECTIONS_MAX: usize = 4_096;
const NAMES_BYTES_MAX: usize = 256 * 1024;

/// The sections of a file, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    sections: Vec<Section>,
    names: Vec<u8>,
}

/// One section. Offsets are those of the file, addresses as linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    name: u32,
    /// `sh_type`.
    pub(crate) kind: u32,
    /// `sh_flags`.
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// `sh_link`: of a symbol table, the section of its names.
    pub(crate) link: u32,
}

impl Sections {
    /// Reads the headers; `source` has the file's bytes at their offsets. `None` where there are
    /// none, or it is no ELF file that this reader knows.
    pub(crate) fn read(source: &mut dyn Memory) -> Option<Self> {
        let header = header(source)?;
        let (table, count) = (u64_at(&header, 40)?, usize::from(u16_at(&header, 60)?));
        if usize::from(u16_at(&header, 58)?) != HEADER_BYTES {
            return None;
        }
        let mut bytes = vec![0; count.min(SECTIONS_MAX) * HEADER_BYTES];
        read_exact(source, table, &mut bytes)?;
        let sections: Vec<Section> = bytes.chunks_exact(HEADER_BYTES).filter_map(section).collect();
        let of_names = sections.get(usize::from(u16_at(&header, 62)?))?;
        let length = usize::try_from(of_names.bytes).ok()?.min(NAMES_BYTES_MAX);
        let mut names = vec![0; length];
        read_exact(source, of_names.offset, &mut names)?;
        Some(Self { sections, names })
    }

    /// The first section of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<&Section> {
        self.sections.iter().find(|section| {
            let rest = self.names.get(section.name as usize..);
            rest.is_some_and(|rest| {
                rest.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
            })
        })
    }

    /// The section with this number.
    pub(crate) fn get(&self, number: usize) -> Option<&Section> {
        self.sections.get(number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }
}

fn section(header: &[u8]) -> Option<Section> {
    Some(Section {
        name: u32_at(header, 0)?,
        kind: u32_at(header, 4)?,
        flags: u64_at(header, 8)?,
        address: u64_at(header, 16)?,
        offset: u64_at(header, 24)?,
        bytes: u64_at(header, 32)?,
        link: u32_at(header, 40)?,
    })
}
