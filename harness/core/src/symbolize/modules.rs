//! Files that were read for names, kept from run to run. Whoever crashes again at the same place
//! of the same build is named without a look into a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use hotfire_sys::{Deadline, FileIdentity, file_identity, open_regular, path_identity};

use super::debug_file::DebugFolder;
use super::demangle::demangle;
use super::exports::address_of;
use super::names::{Place, Search, Table};
use crate::unwind::{Headers, Memory, Sections, WholeFile};

/// Files that are kept, and names of each.
const MODULES_MAX: usize = 1_024;
const NAMES_MAX: usize = 16_384;

/// Names a file in the cache.
pub(super) type ModuleId = u64;

/// The files that were met.
#[derive(Debug, Default)]
pub(super) struct Modules {
    modules: BTreeMap<ModuleId, Module>,
    by_file: BTreeMap<FileIdentity, ModuleId>,
    by_build: BTreeMap<Build, ModuleId>,
    next: ModuleId,
    pub(super) debug_folder: DebugFolder,
    /// Nothing more is looked up in files after it.
    pub(super) deadline: Deadline,
    /// How often symbols of a file were looked through.
    pub(super) passes: u64,
}

/// What a build is known by, wherever it lies: its id, and how much of its names was left.
type Build = (Vec<u8>, Vec<Table>);

/// An ELF file, as far as names need it.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) headers: Headers,
    tables: Vec<Table>,
    /// The debug file and its tables; looked for when first needed.
    debug: Option<Option<DebugFile>>,
    /// By address as linked.
    names: BTreeMap<Place, Option<String>>,
    /// By name: the addresses as linked of what it exports, as far as it was asked for.
    exports: BTreeMap<&'static str, Option<u64>>,
}

/// A debug file as it was when it was found to be the module's own.
#[derive(Debug)]
struct DebugFile {
    place: PathBuf,
    identity: FileIdentity,
    tables: Vec<Table>,
}

/// The file at a path, as it was when it was looked at. What is known of it needs no opening.
#[derive(Debug, Clone)]
pub(super) struct FileAt {
    path: String,
    pub(super) identity: FileIdentity,
}

impl FileAt {
    /// The regular file that the path leads to now.
    pub(super) fn new(path: &str) -> Option<Self> {
        Some(Self { path: path.to_owned(), identity: path_identity(path).ok()? })
    }

    /// `None` where another one is there by now.
    fn open(&self) -> Option<File> {
        let file = open_regular(&self.path).ok()?;
        (file_identity(&file) == Ok(self.identity)).then_some(file)
    }
}

impl Modules {
    /// The module of a file; `None` where it is no ELF file.
    pub(super) fn of_file(&mut self, place: &FileAt) -> Option<ModuleId> {
        let identity = place.identity;
        if let Some(known) = self.by_file.get(&identity) {
            return Some(*known);
        }
        let file = &place.open()?;
        let headers = Headers::of_file(file)?;
        let sections = Sections::read(&mut WholeFile(file)).unwrap_or_default();
        let tables = Table::of(&sections);
        let build = headers.build_id.clone().map(|id| (id, tables.clone()));
        let known = build.as_ref().and_then(|build| self.by_build.get(build)).copied();
        let same = |module: &Module| module.headers == headers;
        let known = known.filter(|known| self.modules.get(known).is_some_and(same));
        let id = known.unwrap_or_else(|| {
            self.next += 1;
            let (names, exports) = (BTreeMap::new(), BTreeMap::new());
            let module = Module { headers, tables, debug: None, names, exports };
            self.modules.insert(self.next, module);
            self.next
        });
        self.by_file.insert(identity, id);
        if let Some(build) = build {
            self.by_build.insert(build, id);
        }
        Some(id)
    }

    /// Makes room, not while places are looked up: they would lose their files. All at once: it
    /// costs no more than a few more passes.
    pub(super) fn trim(&mut self) {
        if self.modules.len() >= MODULES_MAX || self.by_file.len() >= 4 * MODULES_MAX {
            self.modules.clear();
            self.by_file.clear();
            self.by_build.clear();
        }
    }

    pub(super) fn get(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(&id)
    }

    /// Where what is exported under a name lies, as linked. A name is looked up once.
    pub(super) fn export(
        &mut self,
        id: ModuleId,
        file: &FileAt,
        name: &'static str,
    ) -> Option<u64> {
        let module = self.modules.get_mut(&id)?;
        let address = || address_of(&mut WholeFile(&file.open()?), name);
        *module.exports.entry(name).or_insert_with(address)
    }

    /// The readable names of places, which are in order; false where a limit kept some back.
    pub(super) fn names(
        &mut self,
        id: ModuleId,
        file: &FileAt,
        places: &[Place],
    ) -> (Vec<Option<String>>, bool) {
        let Some(module) = self.modules.get_mut(&id) else {
            return (vec![None; places.len()], true);
        };
        let unknown = |place: &&Place| !module.names.contains_key(*place);
        let unknown: Vec<Place> = places.iter().filter(unknown).copied().collect();
        let mut is_whole = true;
        if !unknown.is_empty()
            && let Some(opened) = file.open()
        {
            self.passes += 1;
            if module.names.len() + unknown.len() > NAMES_MAX {
                module.names.clear();
            }
            let limits = (&self.debug_folder, self.deadline);
            let (names, whole) = module.look_up((&file.path, &opened), limits, &unknown);
            is_whole = whole;
            // A name that a limit kept back is none that is not there.
            let is_known = |(_, name): &(Place, Option<String>)| whole || name.is_some();
            module.names.extend(unknown.into_iter().zip(names).filter(is_known));
        }
        let name = |place: &Place| module.names.get(place).cloned().flatten();
        (places.iter().map(name).collect(), is_whole)
    }
}

impl Module {
    fn look_up(
        &mut self,
        (path, file): (&str, &File),
        (folder, deadline): (&DebugFolder, Deadline),
        places: &[Place],
    ) -> (Vec<Option<String>>, bool) {
        let mut search = Search::new(places, deadline);
        let mut is_whole = true;
        for table in &self.tables {
            is_whole &= search.table(&mut WholeFile(file), table, 0);
        }
        let mut debug_file = None;
        if !self.tables.iter().any(|table| table.is_whole) {
            debug_file = self.debug_file((path, file), (folder, deadline));
            let tables = self.debug.iter().flatten().flat_map(|debug| &debug.tables);
            if let Some(file) = &debug_file {
                for table in tables {
                    is_whole &= search.table(&mut WholeFile(file), table, 1);
                }
            }
        }
        let names = search.finish(&mut |which, place, buffer| match (which, &debug_file) {
            (0, _) => WholeFile(file).read(place, buffer),
            (_, Some(file)) => WholeFile(file).read(place, buffer),
            (_, None) => 0,
        });
        let names = names.into_iter().map(|name| {
            let name = name.filter(|_| !deadline.has_passed());
            name.as_deref().map(demangle)
        });
        // In this order: what was late is not whole.
        (names.collect(), is_whole && !deadline.has_passed())
    }

    fn debug_file(
        &mut self,
        (path, file): (&str, &File),
        (folder, deadline): (&DebugFolder, Deadline),
    ) -> Option<File> {
        match &self.debug {
            Some(None) => return None,
            Some(Some(debug)) => {
                let file = debug.place.to_str().and_then(|place| open_regular(place).ok());
                let is_it = |file: &File| file_identity(file) == Ok(debug.identity);
                if let Some(file) = file.filter(is_it) {
                    return Some(file);
                }
                // It is gone, or another one by now: maybe there is one elsewhere.
            }
            None => {}
        }
        let program = (Path::new(path), file);
        let found = folder.find(program, self.headers.build_id.as_deref(), deadline);
        if found.is_none() && deadline.has_passed() {
            // Whether there is one is not known.
            return None;
        }
        let with_tables = |(place, file): (PathBuf, File)| {
            let identity = file_identity(&file).ok()?;
            let sections = Sections::read(&mut WholeFile(&file)).unwrap_or_default();
            Some((DebugFile { place, identity, tables: Table::of(&sections) }, file))
        };
        let (kept, file) = found.and_then(with_tables).unzip();
        self.debug = Some(kept);
        file
    }
}

/// The build-id of an ELF file in hex; `None` when it has none or cannot be read.
#[must_use]
pub fn file_build_id(path: &str) -> Option<String> {
    let headers = Headers::of_file(&open_regular(path).ok()?)?;
    headers.build_id.as_deref().map(hex)
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
