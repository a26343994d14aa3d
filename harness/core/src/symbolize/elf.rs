//! What is needed of an ELF file: build-id, load segments, function symbols.

use std::fs::File;

use object::read::ReadCache;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

/// The largest number of symbols taken from one file.
const SYMBOLS_MAX: usize = 2_000_000;

/// An ELF file, read once.
#[derive(Debug, Default)]
pub(super) struct Elf {
    /// The build-id in hex.
    pub(super) build_id: Option<String>,
    /// Load segments: (file offset, bytes in the file, virtual address).
    segments: Vec<(u64, u64, u64)>,
    /// Functions by address: (address, length, mangled name).
    functions: Vec<(u64, u64, String)>,
}

impl Elf {
    /// Reads a file; `None` when it is no ELF file or cannot be read.
    pub(super) fn read(path: &str) -> Option<Self> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let file = object::File::parse(&cache).ok()?;
        let segments = file
            .segments()
            .map(|segment| {
                let (offset, bytes) = segment.file_range();
                (offset, bytes, segment.address())
            })
            .collect();
        let mut functions: Vec<(u64, u64, String)> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() != 0)
            .filter_map(|symbol| {
                Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned()))
            })
            .take(SYMBOLS_MAX)
            .collect();
        functions.sort();
        functions.dedup();
        Some(Self { build_id: build_id(&file), segments, functions })
    }

    /// The virtual address of a file offset.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let (start, _, address) = self
            .segments
            .iter()
            .find(|(start, bytes, _)| (*start..start.saturating_add(*bytes)).contains(&offset))?;
        Some(address + (offset - start))
    }

    /// The mangled name of the function that covers a virtual address.
    pub(super) fn function_at(&self, address: u64) -> Option<&str> {
        let behind = self.functions.partition_point(|(start, ..)| *start <= address);
        // Aliases share a start; a few steps back are enough to meet one that covers the place.
        let candidates = self.functions.get(behind.saturating_sub(8)..behind)?;
        candidates
            .iter()
            .rev()
            .find(|(start, length, _)| address - start < (*length).max(1))
            .map(|(.., name)| name.as_str())
    }
}

fn build_id<'data>(file: &impl Object<'data>) -> Option<String> {
    let bytes = file.build_id().ok()??;
    Some(bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect())
}
