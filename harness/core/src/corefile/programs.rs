//! Which of the files that a core names are still what its process had mapped.
//!
//! Deliberately absent: files from elsewhere, but for the one program that the user gives.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use hotfire_sys::{FileIdentity, file_identity, open_regular};

use super::error::CoreError;
use super::memory::Segments;
use super::notes::{FileNote, Notes};
use crate::symbolize::hex;
use crate::unwind::Headers;

/// Names in one line.
const NAMES_MAX: usize = 4;

/// A file that the core names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedFile {
    /// What its head in the core says.
    image: Option<Headers>,
    /// What the file says that is there now.
    found: Option<Headers>,
    /// Where its bytes are now.
    pub(super) place: Place,
    /// Both builds have told their build-ids, which are the same.
    is_proven: bool,
}

impl NamedFile {
    /// Whether what is mapped from this byte of the file on is code; the byte begins a page.
    pub(super) fn is_code(&self, offset: u64) -> bool {
        let begins = |at: u64| at & !0xfff == offset;
        let segments = self.image.as_ref().or(self.found.as_ref()).map(|image| &image.segments);
        segments.into_iter().flatten().any(|part| part.executable && begins(part.offset))
    }
}

/// Where a file's bytes are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In this file.
    At(String, FileIdentity),
    /// The file is not there.
    Missing,
    /// Another one is there, or it was changed since.
    Other,
}

/// Looks for each file once, by its path. Then what the user should know.
pub(super) fn find_files(
    core: &File,
    segments: Segments<'_>,
    notes: &Notes,
    given: Option<&Path>,
) -> Result<(BTreeMap<String, NamedFile>, Vec<String>), CoreError> {
    let written_ns = file_identity(core).map_or(i128::MAX, |core| core.modified_ns);
    let mut files = BTreeMap::new();
    let heads = heads(&notes.files);
    for note in &notes.files {
        if !files.contains_key(&note.path) {
            let image = heads.get(note.path.as_str()).and_then(|head| image(segments, *head));
            let (place, found) = place(&note.path, image.as_ref(), written_ns);
            let is_proven = match (&image, &found) {
                (Some(image), Some(found)) => image.build_id.is_some() && found.build_id.is_some(),
                _ => false,
            };
            files.insert(note.path.clone(), NamedFile { image, found, place, is_proven });
        }
    }
    let mut lines = Vec::new();
    let program = notes.in_program.and_then(|address| mapping_at(&notes.files, address));
    if let Some(given) = given {
        lines.extend(use_given(given, program, &mut files)?);
    } else if let Some(program) = program
        && let Some(file) = files.get(&program.path)
        && !matches!(file.place, Place::At(..))
    {
        let path = &program.path;
        lines.push(format!("the program {} (give its file as well): {path}", file.place.words()));
    }
    for (place, words) in [(Place::Missing, "not here"), (Place::Other, "here as other builds")] {
        let is_one = |(path, file): &(&String, &NamedFile)| {
            file.place == place
                && file.image.is_some()
                && Some(*path) != program.map(|file| &file.path)
        };
        let names: Vec<&str> = files.iter().filter(is_one).map(|(path, _)| path.as_str()).collect();
        lines.extend(listed(&names, &format!("{words}, so without names of functions")));
    }
    let is_doubtful = |(_, file): &(&String, &NamedFile)| {
        !file.is_proven && file.found.is_some() && matches!(file.place, Place::At(..))
    };
    let doubtful = files.iter().filter(is_doubtful).map(|(path, _)| path.as_str());
    let doubtful: Vec<&str> = doubtful.collect();
    lines.extend(listed(
        &doubtful,
        "read for names, though nothing tells that they are the builds that ran",
    ));
    Ok((files, lines))
}

impl Place {
    fn words(&self) -> &'static str {
        match self {
            Self::At(..) => "is here",
            Self::Missing => "is not here",
            Self::Other => "is here as another build",
        }
    }
}

fn listed(names: &[&str], words: &str) -> Option<String> {
    let first = names.get(..names.len().min(NAMES_MAX))?.join(", ");
    let more = match names.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!("{words}: {first}{more}");
    (!names.is_empty()).then_some(text)
}

/// The mapping of a file at an address.
pub(super) fn mapping_at(files: &[FileNote], address: u64) -> Option<&FileNote> {
    let behind = files.partition_point(|file| file.start <= address);
    files.get(behind.checked_sub(1)?).filter(|file| address < file.end)
}

/// Where the begin of each file is mapped first, by its path.
fn heads(files: &[FileNote]) -> BTreeMap<&str, u64> {
    let mut heads = BTreeMap::new();
    for file in files.iter().filter(|file| file.offset == 0) {
        heads.entry(file.path.as_str()).or_insert(file.start);
    }
    heads
}

/// The ELF image at the begin of a file, as far as the core has it.
fn image(mut segments: Segments<'_>, head: u64) -> Option<Headers> {
    Headers::of_memory(&mut segments, head).map(|(image, _)| image)
}

/// Whether both are the same build: by build-id, where both have one, and by what is loaded from
/// where.
fn is_same(kept: &Headers, found: &Headers) -> bool {
    let same_id = match (&kept.build_id, &found.build_id) {
        (Some(kept), Some(found)) => kept == found,
        _ => true,
    };
    same_id && kept.segments == found.segments
}

/// Whether the file at a path is the one that the core's process had, and what it says of itself.
fn place(path: &str, image: Option<&Headers>, written_ns: i128) -> (Place, Option<Headers>) {
    let Ok(file) = open_regular(path) else { return (Place::Missing, None) };
    let Ok(identity) = file_identity(&file) else { return (Place::Missing, None) };
    let found = Headers::of_file(&file);
    let fits = match (image, &found) {
        (Some(image), Some(found)) => is_same(image, found),
        (Some(_), None) => false,
        // No ELF file, or one whose head was not kept: what was written later is another.
        (None, _) => identity.modified_ns <= written_ns,
    };
    if fits { (Place::At(path.to_owned(), identity), found) } else { (Place::Other, None) }
}

/// The program that the user gives stands in for the one that the core names, unless that one is
/// there, or it is another build.
fn use_given(
    given: &Path,
    program: Option<&FileNote>,
    files: &mut BTreeMap<String, NamedFile>,
) -> Result<Option<String>, CoreError> {
    let path = given.to_string_lossy().into_owned();
    let useless = |reason: String| CoreError::Program { path: path.clone(), reason };
    let file = open_regular(&path).map_err(|error| useless(error.to_string()))?;
    let identity = file_identity(&file).map_err(|error| useless(error.to_string()))?;
    let image =
        Headers::of_file(&file).ok_or_else(|| useless("it is no ELF file of x86-64".to_owned()))?;
    let Some((name, named)) =
        program.and_then(|program| Some((&program.path, files.get_mut(&program.path)?)))
    else {
        return Ok(Some(format!("the core does not tell its program, so {path} is not used")));
    };
    let checked = named.image.as_ref();
    if let Some(other) = checked.filter(|named| !is_same(named, &image)) {
        let id = |image: &Headers| image.build_id.as_deref().map_or_else(|| "none".to_owned(), hex);
        return Ok(Some(format!(
            "{path} (build-id {}) is not the program that died (build-id {}), and is not used",
            id(&image),
            id(other)
        )));
    }
    let is_checked = checked.is_some();
    // The paths of mapped files are whole.
    let whole = std::path::absolute(given).map_err(|error| useless(error.to_string()))?;
    let place = Place::At(whole.to_string_lossy().into_owned(), identity);
    named.found = Some(image);
    // What is not proven of it is told here.
    named.is_proven = true;
    let before = std::mem::replace(&mut named.place, place);
    if is_checked && matches!(before, Place::At(..)) {
        named.place = before;
        return Ok(None);
    }
    let unchecked = if is_checked { "" } else { "; whether it is the same build, nothing tells" };
    Ok(Some(match before {
        Place::At(..) => format!("{path} is read in place of {name}{unchecked}"),
        _ => format!("{name} {}; {path} is read in its place{unchecked}", before.words()),
    }))
}
