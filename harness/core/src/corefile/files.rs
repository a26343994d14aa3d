//! What was mapped where, in the form of `/proc/PID/maps`.
//!
//! The stages that look at code open files by the paths of the mappings. A file that is not there
//! any more, or is another one now, has the kernel's mark of a deleted file behind its path, and one
//! in whose place another is read has that one's; [`Files::restore`] gives a place its own name back.

use std::collections::BTreeMap;

use hotfire_sys::procfs::{DELETED, MapLine};

use super::layout::Layout;
use super::notes::Notes;
use super::programs::{NamedFile, Place, mapping_at};
use crate::observe::{Fact, Location};

/// Where the kernel maps what became of the first vDSO.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
/// Bytes from the program to its heap: up to 1 GiB, and what the program has of zeros.
const HEAP_DISTANCE_MAX: u64 = 5 << 28;
/// Bytes of paths in all mappings together. Each has its own, and a forged core may have a million
/// mappings of one file with a long path.
const PATH_BYTES_MAX: usize = 64 << 20;
/// No file has it: a mapped file with it is looked for in memory alone.
const NO_INODE: u64 = u64::MAX;

/// The mappings, and the names of what is in them.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// In order, without overlaps.
    pub(super) lines: Vec<MapLine>,
    /// By the path of a line: the file as the core names it.
    names: BTreeMap<String, String>,
    named: BTreeMap<String, NamedFile>,
    path_bytes: usize,
    /// Mappings of files that are told without their file, for want of room.
    unnamed: usize,
}

impl Files {
    pub(super) fn new(layout: &Layout, notes: &Notes, named: BTreeMap<String, NamedFile>) -> Self {
        let mut files = Self { named, ..Self::default() };
        for segment in &layout.segments {
            let mut start = segment.start;
            // One mapping of one file is one segment, unless somebody forged the core.
            while start < segment.end {
                let note = mapping_at(&notes.files, start);
                let next = notes.files.partition_point(|file| file.start <= start);
                let border = match note {
                    Some(note) => note.end,
                    None => notes.files.get(next).map_or(u64::MAX, |file| file.start),
                };
                let end = border.min(segment.end);
                let line = MapLine {
                    start,
                    end,
                    permissions: segment.permissions(note.is_some()),
                    offset: note.map_or(0, |note| note.offset.saturating_add(start - note.start)),
                    device: (0, 0),
                    inode: 0,
                    path: String::new(),
                };
                let line = match note {
                    Some(_) if files.path_bytes > PATH_BYTES_MAX => {
                        files.unnamed += 1;
                        line
                    }
                    Some(note) => files.of_file(line, &note.path),
                    None => of_none(line, notes),
                };
                files.lines.push(line);
                start = end;
            }
        }
        files.name_heap(notes);
        files
    }

    /// The kernel puts the heap behind the program, up to 1 GiB away (arch/x86/kernel/process.c,
    /// `arch_randomize_brk`); between them is at most what the program has of zeros.
    fn name_heap(&mut self, notes: &Notes) {
        let program = notes.in_program.and_then(|address| mapping_at(&notes.files, address));
        let Some(path) = program.map(|program| &program.path) else { return };
        let of_program = notes.files.iter().rfind(|file| file.path == *path);
        let Some(end) = of_program.map(|file| file.end) else { return };
        let is_near = |line: &&mut MapLine| {
            let is_plain = line.path.is_empty() && line.permissions == "rw-p";
            is_plain && line.start >= end && line.start - end <= HEAP_DISTANCE_MAX
        };
        if let Some(heap) = self.lines.iter_mut().filter(is_near).last() {
            heap.path = "[heap]".to_owned();
        }
    }

    fn of_file(&mut self, mut line: MapLine, name: &str) -> MapLine {
        match self.named.get(name).map(|file| &file.place) {
            Some(Place::At(path, identity)) => {
                line.path.clone_from(path);
                (line.device, line.inode) = (identity.device, identity.inode);
            }
            _ => {
                line.path = format!("{}{DELETED}", name.trim_end_matches(DELETED));
                line.inode = NO_INODE;
            }
        }
        self.path_bytes = self.path_bytes.saturating_add(line.path.len());
        self.names.insert(line.path.clone(), name.to_owned());
        line
    }

    /// What was left out.
    pub(super) fn cut_line(&self) -> Option<String> {
        let text = || {
            format!(
                "{} mappings of files are told as of no file: their paths are too long",
                self.unnamed
            )
        };
        (self.unnamed > 0).then(text)
    }

    /// The line that holds an address.
    pub(super) fn at(&self, address: u64) -> Option<&MapLine> {
        let behind = self.lines.partition_point(|line| line.start <= address);
        self.lines.get(behind.checked_sub(1)?).filter(|line| address < line.end)
    }

    /// Where the bytes of a mapped file are read now, and from which byte on, for an address.
    pub(super) fn source(&self, address: u64) -> Option<(&str, u64)> {
        let line = self.at(address)?;
        let has_file = line.inode != 0 && line.inode != NO_INODE;
        let offset = line.offset.checked_add(address - line.start)?;
        has_file.then_some((line.path.as_str(), offset))
    }

    /// A path of a line, as the core has it.
    pub(super) fn name<'a>(&'a self, path: &'a str) -> &'a str {
        self.names.get(path).map_or(path, String::as_str)
    }

    /// Gives a place the name that its module had.
    pub(super) fn restore(&self, place: &mut Fact<Location>) {
        if let Fact::Known(place) = place {
            place.module = self.name(&place.module).to_owned();
        }
    }

    /// Whether what a note begins with is a file that is not there: that is told anyway.
    pub(super) fn is_told(&self, note: &str) -> bool {
        let absent = self.named.iter().filter(|(_, file)| !matches!(file.place, Place::At(..)));
        absent.into_iter().any(|(path, _)| note.starts_with(path.trim_end_matches(DELETED)))
    }
}

fn of_none(mut line: MapLine, notes: &Notes) -> MapLine {
    let holds = |address: Option<u64>| {
        address.is_some_and(|address| (line.start..line.end).contains(&address))
    };
    let name = match () {
        () if notes.vdso == Some(line.start) => "[vdso]",
        () if line.start == VSYSCALL => "[vsyscall]",
        () if holds(notes.on_stack) => "[stack]",
        () => "",
    };
    line.path = name.to_owned();
    line
}
