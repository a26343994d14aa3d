//! What is needed of an ELF file: build-id, load segments, function symbols.

use hotfire_sys::open_regular;
use object::read::ReadCache;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

/// The longest file that is read, in bytes: GPU libraries have a few GiB.
const FILE_BYTES_MAX: u64 = 4 << 30;
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
    /// Reads a file; `None` when it is no ELF file, too long, or cannot be read.
    pub(super) fn read(path: &str) -> Option<Self> {
        let file = open_regular(path).ok()?;
        if file.metadata().ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        let cache = ReadCache::new(file);
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

/// The build-id of an ELF file in hex; `None` when it has none or cannot be read.
#[must_use]
pub fn file_build_id(path: &str) -> Option<String> {
    Elf::read(path)?.build_id
}

fn build_id<'data>(file: &impl Object<'data>) -> Option<String> {
    let bytes = file.build_id().ok()??;
    Some(bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_length() {
        let own = std::env::current_exe().unwrap();
        let copy = std::env::temp_dir().join(format!("hotfire-elf-{}", std::process::id()));
        std::fs::copy(own, &copy).unwrap();
        let path = copy.display().to_string();
        let whole = Elf::read(&path);
        // The hole behind the file's bytes takes no space.
        let file = std::fs::File::options().write(true).open(&copy).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        let long = Elf::read(&path);
        std::fs::remove_file(&copy).unwrap();
        assert!(whole.is_some_and(|elf| !elf.functions.is_empty()));
        assert!(long.is_none());
    }

    #[test]
    fn a_device_is_no_elf_file() {
        assert!(Elf::read("/dev/zero").is_none());
    }
}
