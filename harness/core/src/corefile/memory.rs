//! The memory of a process that died, as far as its core and the files that it had mapped have it.

use std::collections::BTreeMap;
use std::fs::File;

use hotfire_sys::open_regular;

use super::files::Files;
use super::layout::{Layout, Segment, read_from};
use crate::unwind::Memory;

/// Files that are open at once; a process may have mapped more than we may open.
const OPEN_MAX: usize = 64;

/// What the core itself has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segments<'a> {
    pub(super) core: &'a File,
    pub(super) layout: &'a Layout,
}

impl Memory for Segments<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        pieces(self.layout, address, buffer, |segment, place, piece| {
            read_kept(self.core, segment, place, piece)
        })
    }
}

/// What the core has, and of mappings that nobody could write to, their files.
#[derive(Debug)]
pub(super) struct CoreMemory<'a> {
    segments: Segments<'a>,
    files: &'a Files,
    open: BTreeMap<String, Option<File>>,
}

impl<'a> CoreMemory<'a> {
    pub(super) fn new(segments: Segments<'a>, files: &'a Files) -> Self {
        Self { segments, files, open: BTreeMap::new() }
    }

    fn read_file(&mut self, address: u64, piece: &mut [u8]) -> usize {
        let Some((path, offset)) = self.files.source(address) else { return 0 };
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(path) {
            self.open.clear();
        }
        let file =
            self.open.entry(path.to_owned()).or_insert_with(|| open_regular(path).ok()).as_ref();
        file.map_or(0, |file| read_from(file, offset, piece))
    }
}

impl Memory for CoreMemory<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let Segments { core, layout } = self.segments;
        pieces(layout, address, buffer, |segment, place, piece| {
            match read_kept(core, segment, place, piece) {
                // What was written to is in the core, or nowhere.
                0 if place >= segment.kept_to() && !segment.is_writable() => {
                    let room = self.files.at(place).map_or(0, |line| line.end - place);
                    let room = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
                    piece.get_mut(..room).map_or(0, |piece| self.read_file(place, piece))
                }
                length => length,
            }
        })
    }
}

impl Segment {
    /// The address behind what the core has of it.
    fn kept_to(&self) -> u64 {
        self.start.saturating_add(self.file_bytes)
    }
}

/// Fills the buffer piece by piece until one is missing; a piece lies in one segment.
fn pieces(
    layout: &Layout,
    address: u64,
    buffer: &mut [u8],
    mut read: impl FnMut(&Segment, u64, &mut [u8]) -> usize,
) -> usize {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let Some(place) = address.checked_add(done as u64) else { break };
        let Some(segment) = layout.at(place) else { break };
        let room = usize::try_from(segment.end - place).unwrap_or(usize::MAX).min(rest.len());
        let length = rest.get_mut(..room).map_or(0, |piece| read(segment, place, piece));
        if length == 0 {
            break;
        }
        done += length;
    }
    done
}

/// Reads what the core has of a segment from an address in it on.
fn read_kept(core: &File, segment: &Segment, place: u64, piece: &mut [u8]) -> usize {
    let room = segment.kept_to().saturating_sub(place);
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
    let Some(offset) = segment.offset.checked_add(place - segment.start) else { return 0 };
    piece.get_mut(..room).map_or(0, |piece| read_from(core, offset, piece))
}
