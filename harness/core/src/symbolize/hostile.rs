//! Symbol tables that lie: whatever a file says, names come or do not come, within the limits.

use std::cell::Cell;

use hotfire_sys::Deadline;
use proptest::prelude::*;

use super::Symbolizer;
use super::names::{Place, Search, Table};
use crate::unwind::{Memory, Sections};

/// Bytes at their places, with what was read counted.
struct Bytes<'a> {
    bytes: &'a [u8],
    read: &'a Cell<u64>,
}

impl Memory for Bytes<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let place = usize::try_from(address).unwrap_or(usize::MAX);
        let there = self.bytes.get(place..).unwrap_or_default();
        buffer.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        let length = buffer.len().min(there.len());
        self.read.set(self.read.get() + length as u64);
        length
    }
}

const HEADER: usize = 64;
const SECTIONS: usize = 6;
const TEXT: u64 = 0x1000;

/// A symbol: name, `st_info`, section, address, length.
type Symbol = (u32, u8, u16, u64, u64);

/// An ELF file of no more than section headers, two symbol tables and their names.
fn file(symbols: &[Symbol], names: &[u8], kinds: [u32; SECTIONS]) -> Vec<u8> {
    let table: Vec<u8> = symbols
        .iter()
        .flat_map(|(name, info, section, address, bytes)| {
            let mut symbol = name.to_le_bytes().to_vec();
            symbol.extend([*info, 0]);
            symbol.extend(section.to_le_bytes());
            symbol.extend(address.to_le_bytes());
            symbol.extend(bytes.to_le_bytes());
            symbol
        })
        .collect();
    let (at_table, at_names) =
        (HEADER + SECTIONS * HEADER, HEADER + SECTIONS * HEADER + table.len());
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0];
    bytes.resize(HEADER, 0);
    bytes[40..48].copy_from_slice(&(HEADER as u64).to_le_bytes());
    bytes[58..60].copy_from_slice(&64_u16.to_le_bytes());
    bytes[60..62].copy_from_slice(&6_u16.to_le_bytes());
    bytes[62..64].copy_from_slice(&3_u16.to_le_bytes());
    for (number, kind) in (0_u64..).zip(kinds) {
        let (offset, length) = match number {
            2 | 4 => (at_table, table.len()),
            3 => (at_names, names.len()),
            _ => (0, 0),
        };
        let mut header = vec![0; HEADER];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&(if number == 1 { 6_u64 } else { 0 }).to_le_bytes());
        let (address, length) = if number == 1 { (TEXT, 0x9000) } else { (0, length as u64) };
        header[16..24].copy_from_slice(&address.to_le_bytes());
        header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        header[32..40].copy_from_slice(&length.to_le_bytes());
        header[40..44].copy_from_slice(&3_u32.to_le_bytes());
        bytes.extend(header);
    }
    [bytes, table, names.to_vec()].concat()
}

const KINDS: [u32; SECTIONS] = [0, 1, 2, 3, 11, 0];

fn search(bytes: &[u8], places: &[u64]) -> (Vec<Option<String>>, bool, u64) {
    let read = Cell::new(0);
    let mut source = Bytes { bytes, read: &read };
    let sections = Sections::read(&mut source).unwrap_or_default();
    let place = |address: &u64| Place { address: *address, function_start: None };
    let places: Vec<Place> = places.iter().map(place).collect();
    let mut search = Search::new(&places, Deadline::default());
    let mut is_whole = true;
    for table in Table::of(&sections) {
        is_whole &= search.table(&mut source, &table, 0);
    }
    let names = search.finish(&mut |_, place, buffer| source.read(place, buffer));
    (names, is_whole, read.get())
}

#[test]
fn the_innermost_and_best_bound_name_wins() {
    let names = b"\0outer\0inner\0__inner\0weak\0label\0data\0";
    let symbols = [
        (1, 0x12, 1, 0x1000, 0x100),
        (7, 0x12, 1, 0x1040, 0x10),
        (13, 0x12, 1, 0x1040, 0x10),
        (21, 0x22, 1, 0x1000, 0x100),
        (26, 0x10, 1, 0x2000, 0),
        (32, 0x11, 1, 0x1000, 0x9000),
        (26, 0x10, 0, 0x1000, 0x100),
    ];
    let places = [0x0fff, 0x1000, 0x1048, 0x1050, 0x1100, 0x2008, 0xa000];
    let (found, is_whole, _) = search(&file(&symbols, names, KINDS), &places);
    let found: Vec<&str> = found.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
    assert_eq!(found, ["-", "outer", "inner", "outer", "-", "label", "-"]);
    assert!(is_whole);
}

#[test]
fn symbols_that_cover_all_end_at_the_limit() {
    let symbols: Vec<Symbol> = (0..200_000).map(|number| (1, 2, 1, 1 + number, u64::MAX)).collect();
    let places: Vec<u64> = (0..1_000).map(|number| 0x100_0000 + number).collect();
    let (found, is_whole, _) = search(&file(&symbols, b"\0name\0", KINDS), &places);
    assert!(!is_whole, "the work is bounded");
    assert!(found.iter().all(|name| name.as_deref() == Some("name")));
}

#[test]
fn a_table_that_is_longer_than_its_file_ends_with_it() {
    let mut bytes = file(&[(1, 0x12, 1, 0x1000, 8)], b"\0name\0", KINDS);
    for number in [2, 4] {
        let at = HEADER + number * HEADER + 32;
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    }
    let length = bytes.len() as u64;
    let (found, is_whole, read) = search(&bytes, &[0x1000]);
    assert_eq!((found[0].as_deref(), is_whole), (Some("name"), true));
    assert!(read < 4 * length, "{read}");
    // Names without an end, longer than any: cut.
    let long = [b"\0".to_vec(), vec![b'x'; 1 << 20]].concat();
    let (found, ..) = search(&file(&[(1, 0x12, 1, 0x1000, 8)], &long, KINDS), &[0x1000]);
    assert_eq!(found[0].as_ref().map(String::len), Some(8_192));
}

fn symbol() -> impl Strategy<Value = Symbol> {
    let address = prop_oneof![3 => 0x1000..0x9000_u64, 1 => any::<u64>()];
    let bytes = prop_oneof![3 => 0..0x400_u64, 1 => any::<u64>()];
    (any::<u32>(), any::<u8>(), 0..8_u16, address, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn tables_that_lie_end(
        symbols in prop::collection::vec(symbol(), 0..60),
        names in prop::collection::vec(any::<u8>(), 0..200),
        kinds in prop::array::uniform6(0..16_u32),
        changes in prop::collection::vec((0..HEADER * 7, any::<u8>()), 0..12),
        cut in prop::option::of(0..2_000_usize),
        places in prop::collection::btree_set(prop_oneof![0x1000..0x9000_u64, any::<u64>()], 1..20),
    ) {
        let mut bytes = file(&symbols, &names, kinds);
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let places: Vec<u64> = places.into_iter().collect();
        let (found, _, read) = search(&bytes, &places);
        prop_assert_eq!(found.len(), places.len());
        // Headers, tables and names, and a few long names for each place.
        prop_assert!(read <= 40 * (bytes.len() as u64 + 1) + places.len() as u64 * 8 * 9_000);
    }

    #[test]
    fn files_that_lie_end(
        changes in prop::collection::vec((0..20_000_usize, any::<u8>()), 1..40),
        cut in prop::option::of(0..40_000_usize),
        behind in 0..0x4000_u64,
    ) {
        let mut bytes = super::tests::small_program().to_vec();
        for (place, byte) in changes {
            // The first bytes say that it is an ELF file.
            let place = 20 + place % (bytes.len() - 20);
            bytes[place] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX).max(64));
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let map = super::tests::whole_map(&path);
        // An endless loop ends by the test's own limit.
        let place = Symbolizer::default().locate(std::slice::from_ref(&map), &mut super::tests::Nothing, map.start + behind);
        prop_assert!(place.is_ok());
    }
}
