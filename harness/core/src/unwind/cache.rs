//! Unwind tables that were read, kept from run to run by build-id. Whoever crashes again at the
//! same place is unwound without a look into a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;

use hotfire_sys::{FileIdentity, file_identity, open_regular};

use super::image::{FileImage, Headers, Shifted};
use super::lookup::{IndexEntry, Search, in_index, index};
use super::mappings::MappedFile;
use super::memory::Memory;
use super::rows::Row;

/// Bytes that one may grow by before its rows are dropped.
const IMAGE_BYTES_MAX: usize = 32 << 20;
/// What a row costs beside its own bytes: its place in a map.
const ROW_OVERHEAD_BYTES: usize = 64;

/// Names an image in the cache.
pub(super) type ImageId = u64;

/// The images of files and of memory.
#[derive(Debug, Default)]
pub(super) struct ImageCache {
    images: BTreeMap<ImageId, Image>,
    by_file: BTreeMap<FileIdentity, ImageId>,
    by_build_id: BTreeMap<Vec<u8>, ImageId>,
    next: ImageId,
    clock: u64,
}

/// An ELF file's unwind tables, as far as they were needed.
#[derive(Debug)]
pub(super) struct Image {
    /// `None`: its bytes come from the memory of the process that is unwound.
    file: Option<File>,
    pub(super) headers: Headers,
    search: Option<Search>,
    /// Of a file without a search table, read when first needed.
    index: Option<Vec<IndexEntry>>,
    /// By address as linked; `None`: no function is there.
    rows: BTreeMap<u64, Option<Rc<Row>>>,
    bytes: usize,
    used: u64,
}

impl ImageCache {
    /// Drops what was not used for the longest time until the rest is small enough. Not while a
    /// process is unwound: it would lose what it uses.
    pub(super) fn trim(&mut self, images_max: usize, bytes_max: usize) {
        let mut bytes: usize = self.images.values().map(|image| image.bytes).sum();
        while self.images.len() > images_max || bytes > bytes_max {
            let Some((&oldest, image)) = self.images.iter().min_by_key(|(_, image)| image.used)
            else {
                break;
            };
            bytes -= image.bytes;
            self.images.remove(&oldest);
            self.by_file.retain(|_, image| *image != oldest);
            self.by_build_id.retain(|_, image| *image != oldest);
        }
    }

    /// The image of a mapped file; `None` where the path names another one now, or no ELF file.
    pub(super) fn of_file(&mut self, mapped: &MappedFile) -> Option<ImageId> {
        let file = open_regular(&mapped.path).ok()?;
        let identity = file_identity(&file).ok()?;
        if (identity.device, identity.inode) != (mapped.device, mapped.inode) {
            return None;
        }
        if let Some(&known) = self.by_file.get(&identity) {
            return Some(self.touched(known));
        }
        let headers = Headers::of_file(&file)?;
        let id = self.insert(Some(file), headers);
        self.by_file.insert(identity, id);
        Some(id)
    }

    /// The image that begins at `start` in memory, with its bias.
    pub(super) fn of_memory(
        &mut self,
        memory: &mut dyn Memory,
        start: u64,
    ) -> Option<(ImageId, u64)> {
        let (headers, bias) = Headers::of_memory(memory, start)?;
        Some((self.insert(None, headers), bias))
    }

    /// A build-id is what a file says of itself, so that the headers must be the same, too.
    fn insert(&mut self, file: Option<File>, headers: Headers) -> ImageId {
        let build_id = headers.build_id.clone();
        let known = build_id.as_ref().and_then(|id| self.by_build_id.get(id)).copied();
        let same = |image: &Image| image.headers == headers;
        if let Some(known) = known.filter(|known| self.images.get(known).is_some_and(same)) {
            return self.touched(known);
        }
        self.next += 1;
        let id = self.next;
        self.images.insert(id, Image::new(file, headers));
        if let Some(build_id) = build_id {
            self.by_build_id.insert(build_id, id);
        }
        self.touched(id)
    }

    fn touched(&mut self, id: ImageId) -> ImageId {
        self.clock += 1;
        if let Some(image) = self.images.get_mut(&id) {
            image.used = self.clock;
        }
        id
    }

    pub(super) fn get(&mut self, id: ImageId) -> Option<&mut Image> {
        self.images.get_mut(&id)
    }
}

impl Image {
    fn new(file: Option<File>, headers: Headers) -> Self {
        let (search, index, rows) = (None, None, BTreeMap::new());
        let mut image = Self { file, headers, search, index, rows, bytes: 0, used: 0 };
        image.bytes = size_of::<Self>();
        image
    }

    /// The rules for an address as linked; `None` where no function is known.
    pub(super) fn row(
        &mut self,
        memory: &mut dyn Memory,
        bias: u64,
        address: u64,
    ) -> Option<Rc<Row>> {
        if let Some(row) = self.rows.get(&address) {
            return row.clone();
        }
        let row = self.read_row(memory, bias, address).map(Rc::new);
        if self.bytes > IMAGE_BYTES_MAX {
            self.rows.clear();
            self.bytes = size_of::<Self>() + self.index_bytes();
        }
        self.bytes += ROW_OVERHEAD_BYTES + row.as_ref().map_or(0, |row| row.bytes());
        self.rows.insert(address, row.clone());
        row
    }

    fn index_bytes(&self) -> usize {
        self.index.as_ref().map_or(0, |index| size_of_val(index.as_slice()))
    }

    fn read_row(&mut self, memory: &mut dyn Memory, bias: u64, address: u64) -> Option<Row> {
        let mut of_file;
        let mut of_memory;
        let source: &mut dyn Memory = match &self.file {
            Some(file) => {
                of_file = FileImage { file, segments: &self.headers.segments };
                &mut of_file
            }
            None => {
                of_memory = Shifted { memory, by: bias };
                &mut of_memory
            }
        };
        if self.search.is_none()
            && let Some(header) = self.headers.search_table
        {
            self.search = Search::read(source, header);
        }
        let entry = match self.search {
            Some(search @ Search::Table { .. }) => search.entry(source, address)?,
            _ => {
                let section = self.headers.entries_of(self.search)?;
                let index = self.index.get_or_insert_with(|| {
                    let index = index(source, section);
                    self.bytes += size_of_val(index.as_slice());
                    index
                });
                in_index(index, address)?
            }
        };
        Row::read(source, entry, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::mappings::Mappings;
    use hotfire_sys::procfs::maps;

    fn libc() -> MappedFile {
        let lines = maps(i32::try_from(std::process::id()).unwrap()).unwrap();
        let line = lines.iter().find(|line| line.path.contains("/libc.so")).unwrap();
        let mappings = Mappings::from(std::slice::from_ref(line));
        mappings.file(0).unwrap().clone()
    }

    fn at(path: &std::path::Path) -> MappedFile {
        let path = path.display().to_string();
        let identity = file_identity(&open_regular(&path).unwrap()).unwrap();
        MappedFile { path, device: identity.device, inode: identity.inode }
    }

    struct Nothing;

    impl Memory for Nothing {
        fn read(&mut self, _: u64, _: &mut [u8]) -> usize {
            0
        }
    }

    #[test]
    fn a_library_is_known_by_its_build_id_wherever_it_lies() {
        let folder = tempfile::TempDir::new().unwrap();
        let copy = folder.path().join("copy.so");
        std::fs::copy(libc().path, &copy).unwrap();
        let mut cache = ImageCache::default();
        let id = cache.of_file(&libc()).unwrap();
        assert_eq!(cache.of_file(&libc()), Some(id));
        assert_eq!(cache.of_file(&at(&copy)), Some(id));
        // Bytes changed in place: another file as far as anybody can know.
        let mut bytes = std::fs::read(&copy).unwrap();
        bytes[64..2048].fill(0xff);
        std::fs::write(&copy, bytes).unwrap();
        assert_ne!(cache.of_file(&at(&copy)), Some(id));
        let other = MappedFile { inode: 1, ..libc() };
        assert_eq!(cache.of_file(&other), None);
    }

    #[test]
    fn rows_are_kept_and_the_least_used_image_goes_first() {
        let folder = tempfile::TempDir::new().unwrap();
        let own = folder.path().join("own");
        std::fs::copy("/proc/self/exe", &own).unwrap();
        let mut cache = ImageCache::default();
        let first = cache.of_file(&libc()).unwrap();
        let second = cache.of_file(&at(&own)).unwrap();
        assert_ne!(first, second);
        let image = cache.get(first).unwrap();
        let code = *image.headers.segments.iter().find(|segment| segment.executable).unwrap();
        let bytes = image.bytes;
        let mut covered = 0;
        for place in 0..200 {
            covered += usize::from(
                image.row(&mut Nothing, 0, code.address + 0x8000 + place * 64).is_some(),
            );
        }
        assert!(covered > 100, "{covered}");
        assert!(image.rows.len() == 200 && image.bytes > bytes + 200 * ROW_OVERHEAD_BYTES);
        let length = image.bytes;
        image.row(&mut Nothing, 0, code.address + 0x8000);
        assert_eq!((image.rows.len(), image.bytes), (200, length));

        assert_eq!(cache.of_file(&libc()), Some(first));
        cache.trim(2, usize::MAX);
        assert_eq!(cache.images.len(), 2);
        cache.trim(1, usize::MAX);
        assert!(cache.get(first).is_some() && cache.get(second).is_none());
        cache.trim(9, length - 1);
        assert!(cache.images.is_empty() && cache.by_file.is_empty());
        assert!(cache.by_build_id.is_empty());
    }
}
