//! What a file exports, by name: one look into its hash table instead of a pass over its symbols.
//!
//! Source: the GNU hash section (`DT_GNU_HASH`), as glibc's elf/dl-lookup.c reads it; every linker of
//! today writes one. Deliberately absent: files that have only the older `.hash`, symbol versions,
//! and what a file keeps to itself.

use std::collections::BTreeMap;

use crate::unwind::{Memory, Sections, u16_at, u32_at, u64_at};

/// Mappings of code that are looked at.
pub(super) const MAPPINGS_MAX: usize = 1_024;

/// `SHT_GNU_HASH`.
const GNU_HASH: u32 = 0x6fff_fff6;
const HEADER_BYTES: u64 = 16;
const SYMBOL_BYTES: u64 = 24;
/// Symbols of one chain that are looked at: chains of healthy tables have a few.
const CHAIN_MAX: u32 = 4_096;

/// Where names that a file exports lie in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exports {
    pub(super) addresses: BTreeMap<&'static str, u64>,
}

impl Exports {
    /// Names that are known to lie at these addresses.
    pub(crate) fn new(addresses: &[(&'static str, u64)]) -> Self {
        Self { addresses: addresses.iter().copied().collect() }
    }

    /// `None`: the file does not export it, or nobody asked for it.
    pub(crate) fn address(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }
}

/// The hash of a name.
fn hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

fn word(source: &mut dyn Memory, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    (source.read(address, &mut bytes) == bytes.len()).then(|| u32::from_le_bytes(bytes))
}

/// Where a name that is exported lies, as linked; `source` has the file's bytes at their offsets.
pub(super) fn address_of(source: &mut dyn Memory, name: &str) -> Option<u64> {
    let sections = Sections::read(source)?;
    let table = *sections.iter().find(|section| section.kind == GNU_HASH)?;
    let symbols = *sections.get(usize::try_from(table.link).ok()?)?;
    let strings = *sections.get(usize::try_from(symbols.link).ok()?)?;
    let mut header = [0; HEADER_BYTES as usize];
    if source.read(table.offset, &mut header) != header.len() {
        return None;
    }
    let (buckets, first) = (u32_at(&header, 0)?, u32_at(&header, 4)?);
    let bloom = u32_at(&header, 8)?;
    let wanted = hash(name);
    let bucket = u64::from(wanted.checked_rem(buckets)?);
    let at_buckets = table.offset.checked_add(HEADER_BYTES + 8 * u64::from(bloom))?;
    let at_chains = at_buckets.checked_add(4 * u64::from(buckets))?;
    let begins = word(source, at_buckets.checked_add(4 * bucket)?)?;
    for number in begins..begins.checked_add(CHAIN_MAX)? {
        let link = u64::from(number.checked_sub(first)?);
        let chained = word(source, at_chains.checked_add(4 * link)?)?;
        if chained | 1 == wanted | 1 {
            let offset = symbols.offset.checked_add(SYMBOL_BYTES * u64::from(number))?;
            let found = defined(source, offset, (strings.offset, name));
            if found.is_some() {
                return found;
            }
        }
        // The last of a chain has the lowest bit.
        if chained & 1 == 1 {
            return None;
        }
    }
    None
}

/// The value of a symbol, where it has this name and is defined here.
fn defined(source: &mut dyn Memory, offset: u64, (strings, name): (u64, &str)) -> Option<u64> {
    let mut symbol = [0; SYMBOL_BYTES as usize];
    if source.read(offset, &mut symbol) != symbol.len() {
        return None;
    }
    let mut own = vec![0; name.len() + 1];
    let place = strings.checked_add(u32_at(&symbol, 0)?.into())?;
    let is_named = source.read(place, &mut own) == own.len()
        && own.strip_suffix(&[0]) == Some(name.as_bytes());
    (is_named && u16_at(&symbol, 6)? != 0).then(|| u64_at(&symbol, 8)).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use object::{Object as _, ObjectSymbol as _};

    use super::*;
    use crate::unwind::WholeFile;

    #[test]
    fn the_hash_is_the_one_of_the_documentation() {
        // The samples of the section's first description.
        assert_eq!((hash(""), hash("printf"), hash("exit")), (0x1505, 0x156b_2bb8, 0x7c96_7e3f));
    }

    #[test]
    fn what_another_reader_finds_is_found() {
        let maps = hotfire_sys::procfs::maps(std::process::id().cast_signed()).unwrap();
        let libc = maps.iter().find(|map| map.path.contains("/libc.so")).unwrap();
        let bytes = std::fs::read(&libc.path).unwrap();
        let file = File::open(&libc.path).unwrap();
        let object = object::File::parse(&*bytes).unwrap();
        let mut seen = 0;
        for symbol in object.dynamic_symbols().filter(|symbol| symbol.is_definition()).take(400) {
            let name = symbol.name().unwrap();
            let same = |other: &object::Symbol<'_, '_>| other.name() == Ok(name);
            let values: Vec<u64> =
                object.dynamic_symbols().filter(same).map(|other| other.address()).collect();
            let found = address_of(&mut WholeFile(&file), name).unwrap();
            assert!(values.contains(&found), "{name}: {found:#x} of {values:x?}");
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
        for name in ["", "no_such_function", "_PyRuntime"] {
            assert_eq!(address_of(&mut WholeFile(&file), name), None, "{name}");
        }
    }
}
