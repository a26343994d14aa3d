//! Where in a core file lies what: its ELF header and program headers, checked.
//!
//! Deliberately absent: what the notes say (`notes`).

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::CoreError;
use crate::unwind::{u16_at, u32_at, u64_at};

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
/// A process may have `vm.max_map_count` mappings, usually 65,530 and hardly ever a million.
const SEGMENTS_MAX: u32 = 1_000_000;
/// Headers that are read at once.
const HEADERS_AT_ONCE: u32 = 4_096;
/// `PN_XNUM`: the number stands in the first section header's `sh_info`.
const COUNT_ELSEWHERE: u16 = 0xffff;
const SECTION_INFO: u64 = 44;

const MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];
const BITS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const CORE: u16 = 4;
const MACHINE: u16 = 62;
const LOAD: u32 = 1;
const NOTE: u32 = 4;

const EXECUTABLE: u32 = 1;
const WRITABLE: u32 = 2;
const READABLE: u32 = 4;

/// How packed files begin, and what unpacks them.
const PACKED: [(&[u8], &str); 5] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd -d FILE"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4 -d FILE"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz -dk FILE"),
    (&[0x1f, 0x8b], "gzip -dk FILE"),
    (b"BZh", "bzip2 -dk FILE"),
];

/// What lies where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The process's memory, in order and without overlaps.
    pub(super) segments: Vec<Segment>,
    /// The notes: offset and length in the file.
    pub(super) notes: Vec<(u64, u64)>,
    /// Bytes that the headers promise.
    pub(super) whole_bytes: u64,
    /// Bytes of the file.
    pub(super) there_bytes: u64,
}

/// A mapping of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where its bytes lie in the core.
    pub(super) offset: u64,
    /// How many of them do, from its start on.
    pub(super) file_bytes: u64,
    flags: u32,
}

impl Segment {
    pub(super) fn is_writable(&self) -> bool {
        self.flags & WRITABLE != 0
    }

    /// As in `/proc/PID/maps`. Whether a file is mapped shared, a core does not tell; memory of no
    /// file is not, for what is shared has one, if without a name.
    pub(super) fn permissions(&self, has_file: bool) -> String {
        let letter = |flag, letter| if self.flags & flag != 0 { letter } else { '-' };
        [
            letter(READABLE, 'r'),
            letter(WRITABLE, 'w'),
            letter(EXECUTABLE, 'x'),
            if has_file { '?' } else { 'p' },
        ]
        .iter()
        .collect()
    }
}

impl Layout {
    /// Reads the headers.
    pub(super) fn read(file: &File) -> Result<Self, CoreError> {
        let unreadable = |error: std::io::Error| CoreError::Unreadable(error.to_string());
        let there_bytes = file.metadata().map_err(unreadable)?.len();
        let mut header = [0; HEADER_BYTES];
        let length = read_from(file, 0, &mut header);
        let header = header.get(..length).unwrap_or_default();
        check_kind(header)?;
        let mut layout = Self { there_bytes, ..Self::default() };
        layout.read_segments(file, header)?;
        layout.segments.sort_by_key(|segment| segment.start);
        let mut end = 0;
        layout.segments.retain(|segment| {
            let apart = segment.start >= end;
            if apart {
                end = segment.end;
            }
            apart
        });
        Ok(layout)
    }

    fn read_segments(&mut self, file: &File, header: &[u8]) -> Result<(), CoreError> {
        let there = self.there_bytes;
        let what = "the table of what is in it";
        let cut = |whole| CoreError::Truncated { there, whole, what };
        let word = |at| u64_at(header, at).ok_or_else(|| cut(HEADER_BYTES as u64));
        let half = |at| u16_at(header, at).ok_or_else(|| cut(HEADER_BYTES as u64));
        let (table, sections) = (word(32)?, word(40)?);
        if usize::from(half(54)?) != PROGRAM_HEADER_BYTES {
            return Err(CoreError::Damaged("its program headers have another size"));
        }
        let count = match half(56)? {
            COUNT_ELSEWHERE => {
                let mut info = [0; 4];
                let place = sections.saturating_add(SECTION_INFO);
                if read_from(file, place, &mut info) < info.len() {
                    return Err(cut(place.saturating_add(4)));
                }
                u32::from_le_bytes(info)
            }
            count => count.into(),
        };
        if count > SEGMENTS_MAX {
            return Err(CoreError::Damaged("it has more than a million segments"));
        }
        let end = table.saturating_add(u64::from(count) * PROGRAM_HEADER_BYTES as u64);
        if end > self.there_bytes {
            return Err(cut(end));
        }
        self.whole_bytes = end;
        let mut done = 0;
        while done < count {
            let now = HEADERS_AT_ONCE.min(count - done);
            let mut bytes = vec![0; now as usize * PROGRAM_HEADER_BYTES];
            let place = table + u64::from(done) * PROGRAM_HEADER_BYTES as u64;
            if read_from(file, place, &mut bytes) < bytes.len() {
                return Err(cut(end));
            }
            for entry in bytes.chunks_exact(PROGRAM_HEADER_BYTES) {
                self.add(entry);
            }
            done += now;
        }
        Ok(())
    }

    /// Takes in a program header; one that cannot be is left out.
    fn add(&mut self, entry: &[u8]) -> Option<()> {
        let (kind, flags) = (u32_at(entry, 0)?, u32_at(entry, 4)?);
        let (offset, start) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
        let (file_bytes, bytes) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
        let in_file_to = offset.checked_add(file_bytes)?;
        match kind {
            NOTE => self.notes.push((offset, file_bytes)),
            LOAD => {
                let end = start.checked_add(bytes).filter(|end| *end > start)?;
                let file_bytes = file_bytes.min(bytes);
                self.segments.push(Segment { start, end, offset, file_bytes, flags });
            }
            _ => return None,
        }
        self.whole_bytes = self.whole_bytes.max(in_file_to);
        Some(())
    }

    /// Adds mappings of which the core has no byte and says nothing (start, end, whether it is
    /// code), where no other is.
    pub(super) fn add_unkept(&mut self, mappings: impl Iterator<Item = (u64, u64, bool)>) {
        let mut added = Vec::new();
        let mut free = 0;
        for (start, end, is_code) in mappings {
            let behind = self.segments.partition_point(|segment| segment.end <= start);
            let is_free = self.segments.get(behind).is_none_or(|next| next.start >= end);
            if is_free && start >= free && start < end {
                let flags = READABLE | if is_code { EXECUTABLE } else { 0 };
                added.push(Segment { start, end, offset: 0, file_bytes: 0, flags });
                free = end;
            }
        }
        self.segments.extend(added);
        self.segments.sort_by_key(|segment| segment.start);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.there_bytes < self.whole_bytes
    }

    /// The segment that holds an address.
    pub(super) fn at(&self, address: u64) -> Option<&Segment> {
        let behind = self.segments.partition_point(|segment| segment.start <= address);
        self.segments.get(behind.checked_sub(1)?).filter(|segment| address < segment.end)
    }
}

fn check_kind(header: &[u8]) -> Result<(), CoreError> {
    if let Some((_, tool)) = PACKED.iter().find(|(magic, _)| header.starts_with(magic)) {
        return Err(CoreError::Compressed { tool });
    }
    if !header.starts_with(&MAGIC) {
        let what = if header.is_empty() { "an empty file" } else { "a file of another format" };
        return Err(CoreError::NotACore(what.to_owned()));
    }
    let (class, order) = (header.get(4).copied(), header.get(5).copied());
    let (Some(kind), Some(machine)) = (u16_at(header, 16), u16_at(header, 18)) else {
        return Err(CoreError::NotACore("the first bytes of an ELF file".to_owned()));
    };
    if order != Some(LITTLE_ENDIAN) {
        return Err(CoreError::OtherMachine("a big-endian machine".to_owned()));
    }
    let other = match kind {
        CORE => None,
        1 => Some("an ELF object file".to_owned()),
        2 => Some("an ELF program".to_owned()),
        3 => Some("an ELF program or library".to_owned()),
        kind => Some(format!("an ELF file of type {kind}")),
    };
    if let Some(other) = other {
        return Err(CoreError::NotACore(other));
    }
    if class != Some(BITS_64) || machine != MACHINE {
        return Err(CoreError::OtherMachine(machine_name(machine)));
    }
    Ok(())
}

/// Numbers of the System V ABI's `e_machine`.
fn machine_name(machine: u16) -> String {
    match machine {
        3 => "x86 of 32 bits".to_owned(),
        21 => "PowerPC of 64 bits".to_owned(),
        22 => "s390".to_owned(),
        40 => "ARM of 32 bits".to_owned(),
        MACHINE => "x86-64 in its form of 32 bits (x32)".to_owned(),
        183 => "AArch64".to_owned(),
        243 => "RISC-V".to_owned(),
        258 => "LoongArch".to_owned(),
        other => format!("machine number {other}"),
    }
}

/// Reads as much as there is of what was asked for.
pub(super) fn read_from(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let place = offset.checked_add(done as u64);
        match place.map(|place| file.read_at(rest, place)) {
            Some(Ok(length)) if length > 0 => done += length,
            Some(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    done
}
