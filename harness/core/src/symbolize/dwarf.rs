//! Lines and inlined functions out of a file's debug information.
//!
//! Runs in a helper process alone: debug information is untrusted, large, and read by a library;
//! what goes wrong here must not take a run with it. Deliberately absent: `.dwo` and `.dwp` files
//! (there, lines are found, and inlined functions are not), sections compressed with zstd, and what
//! `dwz` moved to a file of its own.

use std::fs::File;
use std::path::Path;

use addr2line::Context;
use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use hotfire_sys::{Deadline, file_identity, open_regular};
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::debug_file::DebugFolder;
use super::demangle::demangle;
use super::line_helper::Build;
use super::mapped::file_state;
use super::modules::hex;
use crate::observe::SourceRecord;
use crate::unwind::{Headers, Memory, Sections, WholeFile, u32_at, u64_at};

/// Bytes of debug information that are read of one file.
const BYTES_MAX: u64 = 512 << 20;
/// Functions that are inlined at one place.
const INLINED_MAX: usize = 64;
/// Bytes of a source file's path.
const PATH_BYTES_MAX: usize = 1_024;

const NOBITS: u32 = 8;
const COMPRESSED: u64 = 0x800;
const ZLIB: u32 = 1;

type Slice = EndianSlice<'static, LittleEndian>;

/// What is known of each place, innermost function first; `None`: the file has no debug
/// information. Or why it cannot be read.
pub(super) type Source = Result<Option<Vec<Vec<SourceRecord>>>, String>;

/// A file's debug information; its bytes are kept for as long as this process lives.
pub(super) struct DebugInformation {
    context: Context<Slice>,
    /// How many they are.
    pub(super) bytes: u64,
}

impl DebugInformation {
    /// Reads that of a program, or of its debug file; `None`: it has none.
    ///
    /// # Errors
    /// A lowercase fragment: it is another build, cannot be read, or is too large.
    pub(super) fn read(
        path: &str,
        build: &Build,
        folder: &DebugFolder,
    ) -> Result<Option<Self>, String> {
        let file = open_regular(path).map_err(|error| error.to_string())?;
        let headers = Headers::of_file(&file).ok_or("is no ELF file")?;
        let is_it = match (build, &headers.build_id) {
            (Build::Id(id), Some(own)) => *id == hex(own),
            (Build::File(state), None) => {
                file_identity(&file).ok().and_then(|it| file_state(&it)).as_ref() == Some(state)
            }
            _ => false,
        };
        if !is_it {
            return Err("is another build by now".to_owned());
        }
        let own = Sections::read(&mut WholeFile(&file)).unwrap_or_default();
        if has_debug_information(&own) {
            return Self::of(&file, &own).map(Some);
        }
        let found =
            folder.find((Path::new(path), &file), headers.build_id.as_deref(), Deadline::default());
        let Some((_, file)) = found else { return Ok(None) };
        let sections = Sections::read(&mut WholeFile(&file)).unwrap_or_default();
        let has_some = has_debug_information(&sections);
        if has_some { Self::of(&file, &sections).map(Some) } else { Ok(None) }
    }

    fn of(file: &File, sections: &Sections) -> Result<Self, String> {
        let mut left = BYTES_MAX;
        let mut load = |id: SectionId| section(file, sections, id, &mut left);
        // What refers to bytes can be kept beside them only when they stay for ever.
        let bytes = DwarfSections::load(|id| load(id).map(|bytes| &*bytes.leak()))?;
        let dwarf = bytes.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
        let context = Context::from_dwarf(dwarf).map_err(|error| error.to_string())?;
        Ok(Self { context, bytes: BYTES_MAX - left })
    }

    /// What is known of each address, as linked, in their order.
    pub(super) fn sources(&self, addresses: &[u64]) -> Vec<Vec<SourceRecord>> {
        addresses.iter().map(|address| source_at(&self.context, *address)).collect()
    }
}

fn has_debug_information(sections: &Sections) -> bool {
    sections.named(b".debug_info").is_some_and(|section| section.kind != NOBITS)
}

fn section(
    file: &File,
    sections: &Sections,
    id: SectionId,
    left: &mut u64,
) -> Result<Vec<u8>, String> {
    let Some(section) = sections.named(id.name().as_bytes()) else { return Ok(Vec::new()) };
    if section.kind == NOBITS {
        return Ok(Vec::new());
    }
    let mut take = |bytes: u64| {
        *left = left
            .checked_sub(bytes)
            .ok_or_else(|| format!("has more than {} MiB of debug information", BYTES_MAX >> 20))?;
        usize::try_from(bytes).map_err(|error| error.to_string())
    };
    let mut bytes = Vec::new();
    let length = take(section.bytes)?;
    bytes.try_reserve_exact(length).map_err(|error| error.to_string())?;
    bytes.resize(length, 0);
    let length = WholeFile(file).read(section.offset, &mut bytes);
    bytes.truncate(length);
    if section.flags & COMPRESSED == 0 {
        return Ok(bytes);
    }
    // System V ABI, "Section Compression": kind, 4 unused bytes, length, alignment, data.
    let (kind, length) = u32_at(&bytes, 0).zip(u64_at(&bytes, 8)).ok_or("is cut")?;
    if kind != ZLIB {
        return Err("has debug information that is compressed in an unknown way".to_owned());
    }
    let length = take(length)?;
    let mut whole = Vec::new();
    whole.try_reserve_exact(length).map_err(|error| error.to_string())?;
    whole.resize(length, 0);
    let packed = bytes.get(24..).unwrap_or_default();
    // Into a place of its own length: a vector that grows would take twice as much.
    match decompress_slice_iter_to_slice(&mut whole, std::iter::once(packed), true, false) {
        Ok(unpacked) if unpacked == length => Ok(whole),
        _ => Err("has debug information that cannot be unpacked".to_owned()),
    }
}

fn source_at(context: &Context<Slice>, address: u64) -> Vec<SourceRecord> {
    let mut records = Vec::new();
    // Without files of split debug information: what the program itself has is told.
    if let Ok(mut frames) = context.find_frames(address).skip_all_loads() {
        while let Ok(Some(frame)) = frames.next() {
            if records.len() > INLINED_MAX {
                return Vec::new();
            }
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            records.push(SourceRecord {
                function: name.map(|name| demangle(&name)),
                inlined: true,
                ..place(frame.location)
            });
        }
    }
    if records.is_empty()
        && let Ok(Some(location)) = context.find_location(address)
    {
        records.push(place(Some(location)));
    }
    if let Some(last) = records.last_mut() {
        last.inlined = false;
    }
    // Names alone are known better from the symbols.
    if records.iter().any(|record| record.file.is_some()) { records } else { Vec::new() }
}

fn place(location: Option<addr2line::Location<'_>>) -> SourceRecord {
    let file = location.as_ref().and_then(|location| location.file);
    SourceRecord {
        function: None,
        file: file.map(|file| {
            file.get(..file.floor_char_boundary(PATH_BYTES_MAX)).unwrap_or(file).to_owned()
        }),
        line: location.and_then(|location| location.line).filter(|line| *line > 0),
        inlined: false,
    }
}
