//! Places in a process's code, by its mappings, with the names of their functions.
//!
//! All places that are asked for together cost one pass over each file's symbols.
//! Deliberately absent: what is read of files (`modules`, `names`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hotfire_sys::Deadline;
use hotfire_sys::procfs::MapLine;

use super::debug_file::DebugFolder;
use super::demangle::demangle;
use super::exports::{Exports, MAPPINGS_MAX};
use super::mapped::{Mapped, resolve};
use super::modules::{ModuleId, Modules, hex};
use super::names::{Place, Search, Table};
use crate::observe::Location;
use crate::unwind::{Frame, Memory, Sections, Shifted};

/// What is said of a file whose names were not all looked at.
const CUT: &str = "has more symbols than are looked at";
const LATE: &str = "was not looked through to its end: out of time";

/// Names places; knows the files that it has met, and names that it has found.
#[derive(Debug, Default)]
pub struct Symbolizer {
    modules: Modules,
    notes: BTreeSet<String>,
}

/// A place that is asked for: where to look, and where its function begins in the process.
type Wanted = (u64, Option<u64>);

impl Symbolizer {
    /// One that looks for separate debug files below this folder instead of `/usr/lib/debug`.
    #[must_use]
    pub fn with_debug_folder(folder: PathBuf) -> Self {
        let mut symbolizer = Self::default();
        symbolizer.modules.debug_folder = DebugFolder::new(folder);
        symbolizer
    }

    /// Whatever is asked from now on has an answer by then, with names or without.
    pub fn end_by(&mut self, deadline: Deadline) {
        self.modules.deadline = deadline;
    }

    /// How often symbols of a file were looked through.
    #[cfg(test)]
    pub(super) fn passes(&self) -> u64 {
        self.modules.passes
    }

    /// Why names are missing, by file: lowercase fragments, each once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes).into_iter().collect()
    }

    /// The place of a program counter of a process with these mappings and this memory.
    ///
    /// # Errors
    /// A lowercase fragment: the address lies in no file.
    pub fn locate(
        &mut self,
        maps: &[MapLine],
        memory: &mut dyn Memory,
        pc: u64,
    ) -> Result<Location, String> {
        let located = self.locate_all(maps, memory, &[(pc, None)]).pop();
        located.unwrap_or_else(|| Err(unmapped(pc)))
    }

    /// The places of frames, in their order.
    ///
    /// # Errors
    /// Of each, a lowercase fragment: its address lies in no file.
    pub fn locate_frames(
        &mut self,
        maps: &[MapLine],
        memory: &mut dyn Memory,
        frames: &[Frame],
    ) -> Vec<Result<Location, String>> {
        let wanted: Vec<Wanted> =
            frames.iter().map(|frame| (frame.lookup_address(), frame.function_start)).collect();
        let located = self.locate_all(maps, memory, &wanted);
        let at_frame = |(frame, place): (&Frame, Result<Location, String>)| {
            let behind = frame.pc.wrapping_sub(frame.lookup_address());
            let place = place?;
            Ok(Location { pc: frame.pc, offset: place.offset.wrapping_add(behind), ..place })
        };
        frames.iter().zip(located).map(at_frame).collect()
    }

    /// Of the files that a process runs code of, those that export `first`, with where that and
    /// the others of `names` lie in the process.
    pub(crate) fn exporting(
        &mut self,
        maps: &[MapLine],
        memory: &mut dyn Memory,
        (first, names): (&'static str, &[&'static str]),
    ) -> Vec<Exports> {
        self.modules.trim();
        let mut order: Vec<&MapLine> = maps.iter().collect();
        order.sort_by_key(|map| map.start);
        let is_code = |map: &&&MapLine| map.inode != 0 && map.permissions.contains('x');
        let mut found = Vec::new();
        for map in order.iter().filter(is_code).take(MAPPINGS_MAX) {
            if self.modules.deadline.has_passed() {
                self.notes
                    .insert(format!("not all files were searched for `{first}`: out of time"));
                break;
            }
            let mapped = resolve(&mut self.modules, &order, memory, map);
            let Some((id, file)) = &mapped.module else { continue };
            let mut export = |name| {
                let linked = self.modules.export(*id, file, name)?;
                Some((name, linked.wrapping_add(mapped.bias)))
            };
            let Some(first) = export(first) else { continue };
            let others = names.iter().filter_map(|name| export(name));
            found.push(Exports { addresses: std::iter::once(first).chain(others).collect() });
        }
        found
    }

    fn locate_all(
        &mut self,
        maps: &[MapLine],
        memory: &mut dyn Memory,
        wanted: &[Wanted],
    ) -> Vec<Result<Location, String>> {
        self.modules.trim();
        let mut order: Vec<&MapLine> = maps.iter().collect();
        order.sort_by_key(|map| map.start);
        let at = |address: u64| {
            let behind = order.partition_point(|map| map.start <= address);
            order.get(behind.checked_sub(1)?).copied().filter(|map| address < map.end)
        };
        // By where a mapping begins.
        let mut mapped: BTreeMap<u64, Mapped> = BTreeMap::new();
        let mut asked: BTreeMap<ModuleId, BTreeSet<Place>> = BTreeMap::new();
        for (address, function_start) in wanted {
            let Some(map) = at(*address) else { continue };
            if self.modules.deadline.has_passed() && !mapped.contains_key(&map.start) {
                self.notes.insert(OUT_OF_TIME.to_owned());
                continue;
            }
            let found = mapped
                .entry(map.start)
                .or_insert_with(|| resolve(&mut self.modules, &order, memory, map));
            if let Some((id, _)) = &found.module {
                let place = found.place(*address, *function_start);
                asked.entry(*id).or_default().insert(place);
            }
        }
        let names = self.names(&mapped, asked);
        for found in mapped.values() {
            self.notes.extend(found.note.clone());
        }
        let locate = |(address, function_start): &Wanted| {
            let map = at(*address).ok_or_else(|| unmapped(*address))?;
            let found = mapped.get(&map.start).ok_or_else(|| OUT_OF_TIME.to_owned())?;
            let place = found.place(*address, *function_start);
            let named = |(id, _): &(ModuleId, _)| names.get(&(*id, place)).cloned().flatten();
            let function = match &found.module {
                Some(module) => named(module),
                None if found.path == VDSO => vdso_name(memory, found.bias, place),
                None => None,
            };
            found.location(map, place, *address, function)
        };
        wanted.iter().map(locate).collect()
    }

    /// The names of all places that are asked for, a pass for each file at most.
    fn names(
        &mut self,
        mapped: &BTreeMap<u64, Mapped>,
        asked: BTreeMap<ModuleId, BTreeSet<Place>>,
    ) -> BTreeMap<(ModuleId, Place), Option<String>> {
        let mut names = BTreeMap::new();
        for (id, places) in asked {
            let of_module = |found: &&Mapped| found.module.as_ref().is_some_and(|it| it.0 == id);
            let Some(found) = mapped.values().find(of_module) else { continue };
            let Some((_, file)) = &found.module else { continue };
            let places: Vec<Place> = places.into_iter().collect();
            let (found_names, is_whole) = self.modules.names(id, file, &places);
            if !is_whole {
                let why = if self.modules.deadline.has_passed() { LATE } else { CUT };
                self.notes.insert(format!("{} {why}", found.path));
            }
            names.extend(places.into_iter().map(|place| (id, place)).zip(found_names));
        }
        names
    }
}

/// What is said of a place whose file was not looked at any more.
const OUT_OF_TIME: &str = "out of time";

fn unmapped(address: u64) -> String {
    format!("no mapping holds {address:#x}")
}

/// The kernel's own library has no file; all of it is in memory.
pub(super) const VDSO: &str = "[vdso]";

fn vdso_name(memory: &mut dyn Memory, bias: u64, place: Place) -> Option<String> {
    let mut source = Shifted { memory, by: bias };
    let sections = Sections::read(&mut source)?;
    let places = [place];
    let mut search = Search::new(&places, Deadline::default());
    for table in Table::of(&sections) {
        search.table(&mut source, &table, 0);
    }
    let names = search.finish(&mut |_, place, buffer| source.read(place, buffer));
    names.into_iter().next().flatten().as_deref().map(demangle)
}

impl Mapped {
    fn place(&self, address: u64, function_start: Option<u64>) -> Place {
        let linked = |address: u64| address.wrapping_sub(self.bias);
        Place { address: linked(address), function_start: function_start.map(linked) }
    }

    fn location(
        &self,
        map: &MapLine,
        place: Place,
        address: u64,
        function: Option<String>,
    ) -> Result<Location, String> {
        if !map.path.starts_with('/') && map.path != VDSO {
            let what = if map.path.is_empty() { "anonymous memory" } else { &map.path };
            return Err(format!("{address:#x} lies in {what}"));
        }
        Ok(Location {
            pc: address,
            module: map.path.clone(),
            build_id: self.build_id.as_deref().map(hex),
            offset: place.address,
            function,
            function_start: place.function_start,
            file: self.file,
        })
    }
}
