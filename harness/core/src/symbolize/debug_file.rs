//! Debug information that was split off into a file of its own: where it lies, and whether it
//! belongs to the program.
//!
//! Sources: the GDB manual, "Debugging Information in Separate Files". Deliberately absent:
//! debuginfod, which asks the network, and `.gnu_debugdata`, which needs a decoder of LZMA for a
//! part of what one distribution ships.

use std::fs::File;
use std::path::{Path, PathBuf};

use hotfire_sys::{Deadline, open_regular};

use crate::unwind::{Headers, Memory, Sections, WholeFile, u32_at};

/// Where distributions put debug files.
const DEBUG_FOLDER: &str = "/usr/lib/debug";
/// The longest name of a debug file, and the longest such file whose checksum is taken, in bytes.
const LINK_BYTES_MAX: u64 = 4_096;
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// Finds debug files.
#[derive(Debug, Clone)]
pub(super) struct DebugFolder {
    root: PathBuf,
}

impl Default for DebugFolder {
    fn default() -> Self {
        Self { root: DEBUG_FOLDER.into() }
    }
}

impl DebugFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The debug file of the program at `path`, which must be its own: the build-id is the same,
    /// or, where one of both has none, the checksum that the program names is.
    pub(super) fn find(
        &self,
        (path, program): (&Path, &File),
        build_id: Option<&[u8]>,
        deadline: Deadline,
    ) -> Option<(PathBuf, File)> {
        let by_id = build_id.and_then(|id| self.by_build_id(id));
        let by_id = by_id.and_then(|place| {
            open_own(&place, build_id, (None, deadline)).map(|file| (place, file))
        });
        by_id.or_else(|| {
            let (name, checksum) = link(program)?;
            let folder = path.parent()?;
            let inner = folder.strip_prefix("/").unwrap_or(folder);
            let places = [
                folder.join(&name),
                folder.join(".debug").join(&name),
                self.root.join(inner).join(&name),
            ];
            places.into_iter().filter(|place| place != path).find_map(|place| {
                let file = open_own(&place, build_id, (Some(checksum), deadline))?;
                Some((place, file))
            })
        })
    }

    fn by_build_id(&self, id: &[u8]) -> Option<PathBuf> {
        let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let (folder, name) = text.split_at_checked(2).filter(|(_, name)| !name.is_empty())?;
        Some(self.root.join(".build-id").join(folder).join(format!("{name}.debug")))
    }
}

fn open_own(
    place: &Path,
    build_id: Option<&[u8]>,
    (checksum, deadline): (Option<u32>, Deadline),
) -> Option<File> {
    let file = open_regular(place.to_str()?).ok()?;
    let own = Headers::of_file(&file)?.build_id;
    let is_own = match (own, build_id) {
        (Some(own), Some(id)) => own == id,
        _ => checksum.is_some() && checksum_of(&file, deadline) == checksum,
    };
    is_own.then_some(file)
}

/// `.gnu_debuglink`: a file name, and behind it, at a multiple of 4, a checksum of that file.
fn link(program: &File) -> Option<(PathBuf, u32)> {
    let mut source = WholeFile(program);
    let section = *Sections::read(&mut source)?.named(b".gnu_debuglink")?;
    let length = usize::try_from(section.bytes.min(LINK_BYTES_MAX)).ok()?;
    let mut bytes = vec![0; length];
    let length = source.read(section.offset, &mut bytes);
    let bytes = bytes.get(..length)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let checksum = u32_at(bytes, (end + 1).next_multiple_of(4))?;
    let name = std::str::from_utf8(bytes.get(..end)?).ok()?;
    // A name, no path: it must not lead out of the folders.
    let is_name = !name.is_empty() && !name.contains('/') && name != "..";
    is_name.then(|| (PathBuf::from(name), checksum))
}

/// CRC-32 as in zlib (ISO 3309, reflected polynomial), of a file that is not too long.
fn checksum_of(file: &File, deadline: Deadline) -> Option<u32> {
    let bytes = file.metadata().ok()?.len();
    let mut source = WholeFile(file);
    let mut buffer = vec![0; 256 * 1024];
    let (mut place, mut sum) = (0, u32::MAX);
    while place < bytes.min(CHECKED_BYTES_MAX) {
        if deadline.has_passed() {
            return None;
        }
        let length = source.read(place, &mut buffer);
        for byte in buffer.get(..length)?.iter().take(usize::try_from(bytes - place).ok()?) {
            let index = (sum ^ u32::from(*byte)) & 0xff;
            sum = CHECKSUMS.get(index as usize)? ^ (sum >> 8);
        }
        if length == 0 {
            return None;
        }
        place += length as u64;
    }
    (bytes <= CHECKED_BYTES_MAX).then_some(!sum)
}

static CHECKSUMS: [u32; 256] = checksums();

#[expect(clippy::indexing_slicing, reason = "a constant: an index beyond its end does not compile")]
const fn checksums() -> [u32; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut sum = number as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        table[number] = sum;
        number += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"123456789").unwrap();
        // The check value of CRC-32.
        assert_eq!(checksum_of(&file, Deadline::default()), Some(0xcbf4_3926));
        file.set_len(CHECKED_BYTES_MAX + 1).unwrap();
        assert_eq!(checksum_of(&file, Deadline::default()), None);
    }

    #[test]
    fn build_ids_are_paths() {
        let folder = DebugFolder::new("/d".into());
        let path = folder.by_build_id(&[0xab, 0xcd, 0xef]);
        assert_eq!(path, Some("/d/.build-id/ab/cdef.debug".into()));
        assert_eq!(folder.by_build_id(&[0xab]), None);
    }
}
