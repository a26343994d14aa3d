//! Places in a process's code, by its mappings. What was read of a file is kept for the next run.

use std::collections::BTreeMap;
use std::rc::Rc;

use hotfire_sys::procfs::MapLine;

use super::elf::Elf;
use crate::observe::Location;
use crate::unwind::Frame;

/// The most files kept.
const FILES_MAX: usize = 256;

/// Knows the files that it has met, by path and inode.
#[derive(Debug, Default)]
pub struct Symbolizer {
    files: BTreeMap<(String, u64), Option<Rc<Elf>>>,
}

impl Symbolizer {
    /// The place of a program counter.
    ///
    /// # Errors
    /// A lowercase fragment: the address lies in no file.
    pub fn locate(&mut self, maps: &[MapLine], pc: u64) -> Result<Location, String> {
        let map = maps
            .iter()
            .find(|map| (map.start..map.end).contains(&pc))
            .ok_or_else(|| format!("no mapping holds {pc:#x}"))?;
        if !map.path.starts_with('/') {
            let what = if map.path.is_empty() { "anonymous memory" } else { &map.path };
            return Err(format!("{pc:#x} lies in {what}"));
        }
        let file_offset = pc - map.start + map.offset;
        let elf = self.file(map);
        let address = elf.as_ref().and_then(|elf| elf.address_of(file_offset));
        let function = address.and_then(|address| elf.as_ref()?.function_at(address)).map(demangle);
        Ok(Location {
            pc,
            module: map.path.clone(),
            build_id: elf.as_ref().and_then(|elf| elf.build_id.clone()),
            offset: address.unwrap_or(file_offset),
            function,
            function_start: None,
        })
    }

    /// The place of a frame.
    ///
    /// # Errors
    /// A lowercase fragment: the address lies in no file.
    pub fn locate_frame(&mut self, maps: &[MapLine], frame: &Frame) -> Result<Location, String> {
        let behind = frame.pc.wrapping_sub(frame.lookup_address());
        let location = self.locate(maps, frame.lookup_address())?;
        let offset = location.offset.wrapping_add(behind);
        let into = |start: u64| offset.wrapping_sub(frame.pc.wrapping_sub(start));
        let function_start = frame.function_start.map(into);
        Ok(Location { pc: frame.pc, offset, function_start, ..location })
    }

    fn file(&mut self, map: &MapLine) -> Option<Rc<Elf>> {
        if self.files.len() >= FILES_MAX {
            self.files.clear();
        }
        self.files
            .entry((map.path.clone(), map.inode))
            .or_insert_with(|| Elf::read(&map.path).map(Rc::new))
            .clone()
    }
}

/// A C++ or Rust name for people; other names stay as they are. Cut at 300 characters.
fn demangle(name: &str) -> String {
    let readable = rustc_demangle::try_demangle(name)
        .map(|symbol| format!("{symbol:#}"))
        .ok()
        .or_else(|| cpp_demangle::Symbol::new(name).ok()?.demangle().ok())
        .unwrap_or_else(|| name.to_owned());
    readable.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_function_and_build_id() {
        let maps = hotfire_sys::procfs::maps(i32::try_from(std::process::id()).unwrap()).unwrap();
        let pc = Symbolizer::locate as *const () as usize as u64 + 4;
        let place = Symbolizer::default().locate(&maps, pc).unwrap();
        assert!(place.function.unwrap().contains("Symbolizer"), "wrong function");
        assert!(place.build_id.is_none_or(|id| id.len() >= 16));
    }

    #[test]
    fn unmapped_and_anonymous_places_say_so() {
        let map = MapLine {
            start: 0x1000,
            end: 0x2000,
            permissions: "rw-p".into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: String::new(),
        };
        let mut symbolizer = Symbolizer::default();
        let maps = std::slice::from_ref(&map);
        assert!(symbolizer.locate(maps, 0x1800).unwrap_err().contains("anonymous"));
        assert!(symbolizer.locate(maps, 0x9000).unwrap_err().contains("no mapping"));
    }

    #[test]
    fn names_are_demangled() {
        assert_eq!(demangle("_ZN3foo3barEv"), "foo::bar()");
        assert_eq!(demangle("main"), "main");
    }
}
