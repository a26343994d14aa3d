//! Unwind tables that were read, kept from run to run by build-id. Whoever crashes again at the
//! same place is unwound without a look into a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;

use hotfire_sys::{FileIdentity, file_identity, open_regular, path_identity};

use super::image::{FileImage, Headers, Shifted};
use super::lookup::{IndexEntry, Search, in_index, index};
use super::mappings::MappedFile;
use super::memory::Memory;
use super::rows::Row;

/// Bytes that all may take, about, before what was read of those that are not in use is dropped.
const BYTES_MAX: usize = 48 << 20;
/// What a row costs beside its own bytes: its place in a map.
const ROW_OVERHEAD_BYTES: usize = 64;

/// Names an image in the cache.
pub(super) type ImageId = u64;

/// The images of files and of memory.
#[derive(Debug, Default)]
pub(super) struct ImageCache {
    images: BTreeMap<ImageId, Image>,
    by_file: BTreeMap<FileIdentity, ImageId>,
    /// By what it says of itself, and whether its bytes come from a file: those of memory may be
    /// gone or written to in the next process.
    by_build_id: BTreeMap<(Vec<u8>, bool), ImageId>,
    next: ImageId,
    clock: u64,
    /// Of all images.
    bytes: usize,
}

/// An ELF file's unwind tables, as far as they were needed.
#[derive(Debug)]
pub(super) struct Image {
    /// `None`: its bytes come from the memory of the process that is unwound.
    file: Option<File>,
    headers: Headers,
    search: Option<Search>,
    /// Of a file without a search table, read when first needed.
    index: Option<Vec<IndexEntry>>,
    /// By address as linked; `None`: no function is there.
    rows: BTreeMap<u64, Option<Rc<Row>>>,
    bytes: usize,
    used: u64,
}

impl ImageCache {
    /// Drops what was not used for the longest time until the rest are few enough. Not while a
    /// process is unwound: it would lose what it uses.
    pub(super) fn trim(&mut self, images_max: usize) {
        while self.images.len() > images_max {
            let Some((&oldest, image)) = self.images.iter().min_by_key(|(_, image)| image.used)
            else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(image.bytes);
            self.images.remove(&oldest);
            self.by_file.retain(|_, image| *image != oldest);
            self.by_build_id.retain(|_, image| *image != oldest);
        }
    }

    /// The image of a mapped file; `None` where the path names another one now, or no ELF file.
    pub(super) fn of_file(&mut self, mapped: &MappedFile) -> Option<ImageId> {
        let identity = path_identity(&mapped.path).ok()?;
        if (identity.device, identity.inode) != (mapped.device, mapped.inode) {
            return None;
        }
        if let Some(&known) = self.by_file.get(&identity) {
            return Some(self.touched(known));
        }
        // Another one may be there by now.
        let file = open_regular(&mapped.path).ok();
        let file = file.filter(|file| file_identity(file) == Ok(identity))?;
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
        let build_id = headers.build_id.clone().map(|id| (id, file.is_some()));
        let known = build_id.as_ref().and_then(|id| self.by_build_id.get(id)).copied();
        let same = |image: &Image| image.headers == headers;
        if let Some(known) = known.filter(|known| self.images.get(known).is_some_and(same)) {
            return self.touched(known);
        }
        self.next += 1;
        let id = self.next;
        let image = Image::new(file, headers);
        self.bytes += image.bytes;
        self.images.insert(id, image);
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

    pub(super) fn headers(&self, id: ImageId) -> Option<&Headers> {
        self.images.get(&id).map(|image| &image.headers)
    }

    /// The rules for an address as linked; `None` where no function is known.
    pub(super) fn row(
        &mut self,
        id: ImageId,
        memory: &mut dyn Memory,
        (bias, address): (u64, u64),
    ) -> Option<Rc<Row>> {
        let image = self.images.get_mut(&id)?;
        let before = image.bytes;
        let row = image.row(memory, bias, address);
        self.bytes = self.bytes.saturating_sub(before) + image.bytes;
        if self.bytes > BYTES_MAX {
            self.forget_all_but(id);
        }
        row
    }

    /// Drops what was read of the other images; of this one, too, where it alone is too much.
    fn forget_all_but(&mut self, used: ImageId) {
        for (_, image) in self.images.iter_mut().filter(|(id, _)| **id != used) {
            image.forget();
        }
        self.bytes = self.images.values().map(|image| image.bytes).sum();
        if self.bytes > BYTES_MAX
            && let Some(image) = self.images.get_mut(&used)
        {
            image.forget();
            self.bytes = self.images.values().map(|image| image.bytes).sum();
        }
    }
}

impl Image {
    fn new(file: Option<File>, headers: Headers) -> Self {
        let (search, index, rows) = (None, None, BTreeMap::new());
        let mut image = Self { file, headers, search, index, rows, bytes: 0, used: 0 };
        image.bytes = size_of::<Self>();
        image
    }

    fn row(&mut self, memory: &mut dyn Memory, bias: u64, address: u64) -> Option<Rc<Row>> {
        if let Some(row) = self.rows.get(&address) {
            return row.clone();
        }
        let row = self.read_row(memory, bias, address).map(Rc::new);
        // Memory that could not be read, of a process that is being killed, says nothing.
        if row.is_some() || self.file.is_some() {
            self.bytes += ROW_OVERHEAD_BYTES + row.as_ref().map_or(0, |row| row.bytes());
            self.rows.insert(address, row.clone());
        }
        row
    }

    /// Drops what can be read again.
    fn forget(&mut self) {
        self.rows.clear();
        self.index = None;
        self.bytes = size_of::<Self>();
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
                if let Some(index) = &self.index {
                    in_index(index, address)?
                } else {
                    let (index, is_whole) = index(source, section);
                    let entry = in_index(&index, address);
                    if is_whole || self.file.is_some() {
                        self.bytes += size_of_val(index.as_slice());
                        self.index = Some(index);
                    }
                    entry?
                }
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
        let image = cache.images.get_mut(&first).unwrap();
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
        cache.trim(2);
        assert_eq!(cache.images.len(), 2);
        cache.trim(1);
        assert!(cache.headers(first).is_some() && cache.headers(second).is_none());
        cache.trim(0);
        assert!(cache.images.is_empty() && cache.by_file.is_empty());
        assert!(cache.by_build_id.is_empty());
        assert_eq!(cache.bytes, 0);
    }

    /// This process's own, but for what lies behind the first page of an image.
    struct FirstPage(u64, bool);

    impl Memory for FirstPage {
        fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
            let own = i32::try_from(std::process::id()).unwrap();
            let Self(start, has_rest) = *self;
            let is_there = has_rest || (start..start + 4096).contains(&address);
            let length = if has_rest || !is_there {
                buffer.len()
            } else {
                (start + 4096 - address) as usize
            };
            let part = buffer.len().min(length);
            if is_there {
                hotfire_sys::read_memory(own, address, &mut buffer[..part]).unwrap()
            } else {
                0
            }
        }
    }

    #[test]
    fn what_was_read_of_memory_is_not_taken_for_the_file_nor_its_lack_for_a_fact() {
        let lines = maps(i32::try_from(std::process::id()).unwrap()).unwrap();
        let line = lines.iter().find(|line| line.path.contains("/libc.so")).unwrap();
        let mut cache = ImageCache::default();
        let (of_memory, bias) =
            cache.of_memory(&mut FirstPage(line.start, false), line.start).unwrap();
        let headers = cache.headers(of_memory).unwrap();
        assert!(headers.build_id.is_some(), "else it is not known again anyway");
        let code = headers.segments.iter().find(|segment| segment.executable).unwrap().address;
        let place = (code..).step_by(64).find(|address| {
            let whole = &mut FirstPage(line.start, true);
            cache.row(of_memory, whole, (bias, *address)).is_some()
        });
        let (place, mut cache) = ((bias, place.unwrap()), ImageCache::default());
        let (of_memory, _) =
            cache.of_memory(&mut FirstPage(line.start, false), line.start).unwrap();
        // Its process is being killed: nothing can be read any more.
        assert_eq!(cache.row(of_memory, &mut Nothing, place), None);
        // In the next process it is there, and the same build has a file.
        assert!(cache.row(of_memory, &mut FirstPage(line.start, true), place).is_some());
        let of_file = cache.of_file(&libc()).unwrap();
        assert_ne!(of_file, of_memory);
        assert!(cache.row(of_file, &mut Nothing, place).is_some());
        // Whatever grows too large is read anew.
        cache.forget_all_but(of_file);
        assert!(
            cache.images[&of_memory].rows.is_empty() && !cache.images[&of_file].rows.is_empty()
        );
    }
}
