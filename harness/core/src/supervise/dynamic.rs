//! Where a loaded library keeps one of its symbols, by the tables that the loader itself uses.
//! (System V ABI, chapter 5; "GNU hash" of the DT_GNU_HASH section.)
//!
//! Deliberately absent: names of functions (`symbolize`), libraries with the old hash table alone.

use crate::unwind::Memory;

/// The longest tables that are believed.
const HEADERS_MAX: u64 = 64;
const ENTRIES_MAX: u64 = 256;
const CHAIN_MAX: u64 = 4096;

const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// A library in memory, with its tables.
struct Tables {
    base: u64,
    hash: u64,
    symbols: u64,
    names: u64,
}

/// Where the symbol of the library whose first page is mapped at `base` stands.
pub(super) fn symbol(memory: &mut dyn Memory, base: u64, name: &str) -> Option<u64> {
    let tables = tables(memory, base)?;
    let wanted = hash(name);
    let buckets = half(memory, tables.hash)?;
    let first = half(memory, tables.hash.checked_add(4)?)?;
    let filter = u64::from(half(memory, tables.hash.checked_add(8)?)?).checked_mul(8)?;
    let bucket_table = tables.hash.checked_add(16)?.checked_add(filter)?;
    let chains = bucket_table.checked_add(u64::from(buckets) * 4)?;
    let bucket = u64::from(wanted.checked_rem(buckets)?);
    let start = half(memory, bucket_table.checked_add(bucket * 4)?)?;
    for index in (u64::from(start)..).take(usize::try_from(CHAIN_MAX).ok()?) {
        let place = chains.checked_add(index.checked_sub(u64::from(first))? * 4)?;
        let chain = half(memory, place)?;
        let entry = tables.symbols.checked_add(index * 24)?;
        let offset = half(memory, entry)?;
        if chain | 1 == wanted | 1 && is_named(memory, tables.names, offset, name) {
            let value = memory_word(memory, entry.checked_add(8)?)?;
            return tables.base.checked_add(value);
        }
        if chain & 1 == 1 {
            return None;
        }
    }
    None
}

fn tables(memory: &mut dyn Memory, base: u64) -> Option<Tables> {
    let headers = base.checked_add(memory_word(memory, base.checked_add(32)?)?)?;
    let count = u64::from(half(memory, base.checked_add(56)?)? & 0xffff).min(HEADERS_MAX);
    let mut places = (0..count).map(|index| headers.saturating_add(index * 56));
    let header = places.find(|place| half(memory, *place) == Some(PT_DYNAMIC))?;
    let dynamic = base.checked_add(memory_word(memory, header.checked_add(16)?)?)?;
    let mut tables = Tables { base, hash: 0, symbols: 0, names: 0 };
    for index in 0..ENTRIES_MAX {
        let place = dynamic.checked_add(index * 16)?;
        let (tag, value) =
            (memory_word(memory, place)?, memory_word(memory, place.checked_add(8)?)?);
        // glibc's loader has made addresses of the offsets; others leave them.
        let address = if value < base { base.checked_add(value)? } else { value };
        match tag {
            0 => break,
            DT_STRTAB => tables.names = address,
            DT_SYMTAB => tables.symbols = address,
            DT_GNU_HASH => tables.hash = address,
            _ => {}
        }
    }
    let complete = tables.hash != 0 && tables.symbols != 0 && tables.names != 0;
    complete.then_some(tables)
}

fn is_named(memory: &mut dyn Memory, names: u64, offset: u32, name: &str) -> bool {
    let mut bytes = vec![0; name.len() + 1];
    let place = names.saturating_add(u64::from(offset));
    let read = memory.read(place, &mut bytes) == bytes.len();
    read && bytes.strip_suffix(&[0]) == Some(name.as_bytes())
}

fn hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

fn half(memory: &mut dyn Memory, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    (memory.read(address, &mut bytes) == 4).then(|| u32::from_le_bytes(bytes))
}

fn memory_word(memory: &mut dyn Memory, address: u64) -> Option<u64> {
    super::words::word(memory, address)
}

#[cfg(test)]
mod tests {
    use hotfire_sys::procfs;

    use proptest::prelude::*;

    use super::*;
    use crate::unwind::LiveMemory;

    /// The same few words all over the address space.
    struct Everywhere(Vec<u64>);

    impl Memory for Everywhere {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let words = self.0.iter().flat_map(|word| word.to_le_bytes());
            let there = words.cycle().skip((address % (8 * self.0.len() as u64)) as usize);
            buffer.iter_mut().zip(there).for_each(|(to, from)| *to = from);
            buffer.len()
        }
    }

    fn edges() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..16_u64, (0..64_u64).prop_map(|less| u64::MAX - less)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_lies_at_the_end_of_all_addresses_ends_the_search(
            base in edges(), words in proptest::collection::vec(edges(), 7), kind in 0..8_usize,
        ) {
            let mut words = words;
            words.extend([u64::from(PT_DYNAMIC), DT_STRTAB, DT_SYMTAB, DT_GNU_HASH]);
            words.rotate_left(kind);
            // Whatever it says: it must neither overflow nor go on for ever.
            let _ = symbol(&mut Everywhere(words), base, "__abort_msg");
        }
    }

    #[test]
    fn symbols_of_this_very_process_are_found() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let maps = procfs::maps(pid).unwrap();
        let is_library = |map: &&procfs::MapLine| map.offset == 0 && map.path.contains("/libc.so");
        let library = maps.iter().find(is_library).unwrap();
        let memory = &mut LiveMemory::new(pid);
        let found = symbol(memory, library.start, "abort").unwrap();
        let end = maps.iter().rfind(|map| map.path == library.path).unwrap().end;
        assert!((library.start..end).contains(&found));
        assert!(symbol(memory, library.start, "__abort_msg").is_some());
        assert_eq!(symbol(memory, library.start, "no such symbol"), None);
        // What is no library has no tables.
        assert_eq!(symbol(memory, library.end, "abort"), None);
    }
}
