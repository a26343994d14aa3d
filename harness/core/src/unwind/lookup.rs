//! Which entry of `.eh_frame` covers an address.
//!
//! Source: LSB Core 5.0, 10.6.2 (`.eh_frame_hdr`).

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};

use super::bytes::{array, u32_at};
use super::image::Extent;
use super::memory::{Memory, read_exact};

/// Version 1; `.eh_frame`'s address relative to itself in 4 bytes; the number of entries in 4
/// bytes; a table of pairs of 4 bytes relative to the section. All linkers write this form.
const FORM: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
/// The same without a table: no number and no pairs (DW_EH_PE_omit).
const FORM_WITHOUT_TABLE: [u8; 4] = [1, 0x1b, 0xff, 0xff];
const HEADER_BYTES: usize = 12;
const PAIR_BYTES: u64 = 8;
/// Pairs that are read at once.
const PAIRS_READ: u64 = 512;
/// The longest section that is read whole, in bytes, and the most functions taken from it.
const SECTION_BYTES_MAX: usize = 32 << 20;
const FUNCTIONS_MAX: usize = 1_000_000;

/// A function in a section without a search table: first address, the one behind its last, and
/// where its entry lies.
pub(super) type IndexEntry = (u64, u64, u64);

/// What `.eh_frame_hdr` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// Pairs in order, from this address on.
    Table { base: u64, first: u64, pairs: u64 },
    /// None: the section begins here, and its length is not known.
    Entries(u64),
}

impl Search {
    pub(super) fn read(source: &mut dyn Memory, header: Extent) -> Option<Self> {
        let mut bytes = [0; HEADER_BYTES];
        read_exact(source, header.address, &mut bytes)?;
        match array(&bytes, 0)? {
            FORM => Some(Self::Table {
                base: header.address,
                first: header.address.checked_add(HEADER_BYTES as u64)?,
                pairs: u64::from(u32_at(&bytes, 8)?)
                    .min(header.bytes.checked_sub(HEADER_BYTES as u64)? / PAIR_BYTES),
            }),
            FORM_WITHOUT_TABLE => {
                let distance = i32::from_le_bytes(array(&bytes, 4)?);
                let field = header.address.checked_add(4)?;
                Some(Self::Entries(field.checked_add_signed(i64::from(distance))?))
            }
            _ => None,
        }
    }

    /// Where the entry of the last function at or below `address` lies.
    pub(super) fn entry(self, source: &mut dyn Memory, address: u64) -> Option<u64> {
        let Self::Table { base, first, pairs } = self else { return None };
        let place = |index: u64| index.checked_mul(PAIR_BYTES)?.checked_add(first);
        let relative = |bytes: &[u8], at: usize| {
            let distance = i32::from_le_bytes(array(bytes, at)?);
            base.checked_add_signed(i64::from(distance))
        };
        let (mut low, mut high) = (0, pairs);
        while high - low > PAIRS_READ {
            let middle = low + (high - low) / 2;
            let mut pair = [0; PAIR_BYTES as usize];
            read_exact(source, place(middle)?, &mut pair)?;
            if relative(&pair, 0)? <= address { low = middle } else { high = middle }
        }
        let mut part = vec![0; usize::try_from((high - low) * PAIR_BYTES).ok()?];
        read_exact(source, place(low)?, &mut part)?;
        let below = |pair: &&[u8]| relative(pair, 0).is_some_and(|start| start <= address);
        let found = part.chunks_exact(PAIR_BYTES as usize).take_while(below).last()?;
        relative(found, 4)
    }
}

/// All functions of a section, in order, and whether all of it could be read.
pub(super) fn index(source: &mut dyn Memory, section: Extent) -> (Vec<IndexEntry>, bool) {
    let length = usize::try_from(section.bytes).unwrap_or(usize::MAX).min(SECTION_BYTES_MAX);
    let mut bytes = vec![0; length];
    let read = source.read(section.address, &mut bytes);
    bytes.truncate(read);
    let mut frame = EhFrame::new(&bytes, LittleEndian);
    frame.set_address_size(8);
    let bases = BaseAddresses::default().set_eh_frame(section.address);
    let mut entries = frame.entries(&bases);
    let mut index = Vec::new();
    // What comes behind a broken entry cannot be found.
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(function) = entry else { continue };
        let Ok(function) = function.parse(EhFrame::cie_from_offset) else { continue };
        let place = section.address.wrapping_add(function.offset() as u64);
        index.push((function.initial_address(), function.end_address(), place));
        if index.len() >= FUNCTIONS_MAX {
            break;
        }
    }
    index.sort_unstable();
    (index, read == length)
}

/// Where the entry of the function that covers `address` lies.
pub(super) fn in_index(index: &[IndexEntry], address: u64) -> Option<u64> {
    let behind = index.partition_point(|(start, ..)| *start <= address);
    let (_, end, place) = index.get(behind.checked_sub(1)?)?;
    (address < *end).then_some(*place)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Memory for Bytes {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let there = usize::try_from(address).ok().and_then(|at| self.0.get(at..));
            let there = there.unwrap_or_default();
            buffer.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
            buffer.len().min(there.len())
        }
    }

    #[test]
    fn each_function_of_a_long_table_is_found() {
        // Functions at 1,000,000, 1,000,016, …, their entries at 4,000,000, 4,000,001, ….
        let pairs = 3_000_u32;
        let mut bytes = FORM.to_vec();
        bytes.extend([0; 4]);
        bytes.extend(pairs.to_le_bytes());
        for index in 0..pairs {
            bytes.extend((1_000_000 + index * 16).to_le_bytes());
            bytes.extend((4_000_000 + index).to_le_bytes());
        }
        let extent = Extent { address: 0, bytes: bytes.len() as u64 };
        let mut source = Bytes(bytes);
        let search = Search::read(&mut source, extent).unwrap();
        for index in 0..u64::from(pairs) {
            for place in [0, 15] {
                let found = search.entry(&mut source, 1_000_000 + index * 16 + place);
                assert_eq!(found, Some(4_000_000 + index));
            }
        }
        assert_eq!(search.entry(&mut source, 999_999), None);
        // A section that says it is shorter has fewer.
        let short = Extent { bytes: 12 + 8 * 5, ..extent };
        let search = Search::read(&mut source, short).unwrap();
        assert_eq!(search.entry(&mut source, u64::MAX), Some(4_000_004));
    }
}
