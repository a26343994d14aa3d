//! What is mapped where, as far as unwinding needs it.

use std::collections::BTreeMap;

use hotfire_sys::procfs::MapLine;

/// The mappings of a process, in order and without overlaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mappings {
    regions: Vec<Region>,
    files: Vec<MappedFile>,
}

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    pub(super) executable: bool,
    /// What is mapped, as an index of [`Mappings::file`]; `None`: anonymous memory.
    pub(super) file: Option<usize>,
}

impl Region {
    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A file that is mapped, or the vDSO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) path: String,
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
}

/// What a mapped file is known by: inode, device, path.
type FileKey<'a> = (u64, (u32, u32), &'a str);

impl From<&[MapLine]> for Mappings {
    fn from(lines: &[MapLine]) -> Self {
        let mut mappings = Self::default();
        let mut known = BTreeMap::new();
        for line in lines.iter().filter(|line| line.start < line.end) {
            let is_one = line.inode != 0 || line.path == "[vdso]";
            let file = is_one.then(|| mappings.file_index(&mut known, line));
            let may = |letter| line.permissions.contains(letter);
            mappings.regions.push(Region {
                start: line.start,
                end: line.end,
                offset: line.offset,
                executable: may('x'),
                file,
            });
        }
        // The kernel writes them so; a file with its text need not.
        mappings.regions.sort_by_key(|region| region.start);
        let mut end = 0;
        mappings.regions.retain(|region| {
            let apart = region.start >= end;
            if apart {
                end = region.end;
            }
            apart
        });
        mappings
    }
}

impl Mappings {
    fn file_index<'a>(
        &mut self,
        known: &mut BTreeMap<FileKey<'a>, usize>,
        line: &'a MapLine,
    ) -> usize {
        *known.entry((line.inode, line.device, &line.path)).or_insert_with(|| {
            let (path, device, inode) = (line.path.clone(), line.device, line.inode);
            self.files.push(MappedFile { path, device, inode });
            self.files.len() - 1
        })
    }

    pub(super) fn at(&self, address: u64) -> Option<&Region> {
        let behind = self.regions.partition_point(|region| region.start <= address);
        self.regions.get(behind.checked_sub(1)?).filter(|region| region.contains(address))
    }

    pub(super) fn file(&self, index: usize) -> Option<&MappedFile> {
        self.files.get(index)
    }

    pub(super) fn executable(&self, address: u64) -> bool {
        self.at(address).is_some_and(|region| region.executable)
    }

    /// Where the beginning of a file is mapped, of the copy that `address` belongs to.
    pub(super) fn file_start(&self, index: usize, address: u64) -> Option<u64> {
        let begins = |region: &&Region| {
            region.file == Some(index) && region.offset == 0 && region.start <= address
        };
        self.regions.iter().rev().find(begins).map(|region| region.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start: u64, end: u64, inode: u64, offset: u64) -> MapLine {
        let (permissions, path) = ("r-xp".into(), if inode == 0 { "" } else { "/lib" }.into());
        MapLine { start, end, permissions, offset, device: (8, 1), inode, path }
    }

    #[test]
    fn as_many_files_as_a_process_can_map_cost_no_more_than_one_look_each() {
        let begun = std::time::Instant::now();
        let of_file = |file: u64| {
            let start = (file + 1) << 13;
            let path = format!("/{file}");
            [0, 0x1000].map(|offset| MapLine {
                path: path.clone(),
                ..line(start + offset, start + offset + 0x1000, file + 1, offset)
            })
        };
        let lines: Vec<MapLine> = (0..200_000).flat_map(of_file).collect();
        let mappings = Mappings::from(&lines[..]);
        assert_eq!(mappings.files.len(), 200_000);
        let last = mappings.at(200_000 << 13).and_then(|region| region.file);
        assert_eq!(mappings.file(last.unwrap()).map(|file| file.path.as_str()), Some("/199999"));
        // Each against all others takes minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn places_are_found_in_order() {
        let lines = [
            line(0x5000, 0x6000, 7, 0x1000),
            line(0x4000, 0x5000, 7, 0),
            line(0x9000, 0x8000, 0, 0),
            line(0x4800, 0x5800, 9, 0),
            line(0x7000, 0x8000, 0, 0),
        ];
        let mappings = Mappings::from(&lines[..]);
        let starts: Vec<u64> = mappings.regions.iter().map(|region| region.start).collect();
        assert_eq!(starts, [0x4000, 0x5000, 0x7000]);
        assert_eq!(mappings.at(0x5fff).map(|region| region.offset), Some(0x1000));
        assert!(mappings.at(0x6000).is_none() && mappings.at(0x3fff).is_none());
        assert_eq!(mappings.file_start(0, 0x5800), Some(0x4000));
        assert_eq!(mappings.at(0x7000).and_then(|region| region.file), None);
    }
}
