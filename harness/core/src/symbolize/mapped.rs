//! Which file a mapping is of. A path is no proof: the file may be deleted, or another one by now;
//! then its names would be lies.
//!
//! Deliberately absent: names (`modules`).

use hotfire_sys::FileIdentity;
use hotfire_sys::procfs::{DELETED, MapLine};

use super::locate::VDSO;
use super::modules::{FileAt, ModuleId, Modules};
use crate::observe::FileState;
use crate::unwind::{Headers, Memory};

/// What is known of a mapping.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// The path, as it was when the file had one.
    pub(super) path: String,
    /// The file that is mapped, where it can be had.
    pub(super) module: Option<(ModuleId, FileAt)>,
    pub(super) build_id: Option<Vec<u8>>,
    /// What else the file is known by, where it has no build-id.
    pub(super) file: Option<FileState>,
    /// What to add to addresses as linked.
    pub(super) bias: u64,
    /// Why names are missing.
    pub(super) note: Option<String>,
}

/// Looks at the file of a mapping; `order` has all mappings by their begin.
pub(super) fn resolve(
    modules: &mut Modules,
    order: &[&MapLine],
    memory: &mut dyn Memory,
    map: &MapLine,
) -> Mapped {
    let path = map.path.strip_suffix(DELETED).unwrap_or(&map.path).to_owned();
    // An offset in the file, where nothing better is known.
    let bias = map.start.wrapping_sub(map.offset);
    let unknown = Mapped { path, bias, ..Mapped::default() };
    if unknown.path != VDSO && !unknown.path.starts_with('/') {
        return unknown;
    }
    let file = unknown.path.starts_with('/').then(|| FileAt::new(&unknown.path)).flatten();
    let module = file.and_then(|file| Some((modules.of_file(&file)?, file)));
    let is_executable = map.permissions.contains('x');
    let bias_by = |headers: &Headers| headers.bias(map.offset, map.start, is_executable);
    if let Some((id, file)) = module {
        let fits = is_same_file(&file, map) || {
            let in_memory = in_memory(order, memory, map);
            in_memory.zip(modules.get(id)).is_some_and(|((headers, _), module)| {
                is_same_build(&headers, &module.headers, &file, map)
            })
        };
        if fits && let Some(module) = modules.get(id) {
            let bias = bias_by(&module.headers).unwrap_or(bias);
            let build_id = module.headers.build_id.clone();
            let state = if build_id.is_none() { file_state(&file.identity) } else { None };
            return Mapped { module: Some((id, file)), build_id, file: state, bias, ..unknown };
        }
        let note = format!("{} is another file than the one that is mapped", unknown.path);
        let build = in_memory(order, memory, map);
        return Mapped { note: Some(note), ..with_memory(unknown, build, bias_by) };
    }
    let build = in_memory(order, memory, map);
    // A file that is no ELF file, such as data or compiled code of an interpreter, has no names.
    let is_gone = build.is_some() && unknown.path != VDSO;
    let note = is_gone.then(|| format!("{} cannot be read any more", unknown.path));
    Mapped { note, ..with_memory(unknown, build, bias_by) }
}

fn with_memory(
    unknown: Mapped,
    build: Option<(Headers, u64)>,
    bias_by: impl Fn(&Headers) -> Option<u64>,
) -> Mapped {
    let Some((headers, bias)) = build else { return unknown };
    let bias = bias_by(&headers).unwrap_or(bias);
    Mapped { build_id: headers.build_id, bias, ..unknown }
}

/// The state of a file; `None` where its time is no date.
pub(super) fn file_state(identity: &FileIdentity) -> Option<FileState> {
    let FileIdentity { device, inode, bytes, modified_ns } = *identity;
    Some(FileState { device, inode, bytes, modified_ns: i64::try_from(modified_ns).ok()? })
}

fn is_same_file(file: &FileAt, map: &MapLine) -> bool {
    let FileIdentity { device, inode, .. } = file.identity;
    !map.path.ends_with(DELETED) && (device, inode) == (map.device, map.inode)
}

/// Some file systems tell another device in mappings than of files, so that the inode alone must
/// do where there is no build-id.
fn is_same_build(memory: &Headers, own: &Headers, file: &FileAt, map: &MapLine) -> bool {
    let is_inode = || file.identity.inode == map.inode;
    match (&memory.build_id, &own.build_id) {
        (Some(mapped), Some(own)) => mapped == own,
        (None, None) => {
            !map.path.ends_with(DELETED) && is_inode() && memory.segments == own.segments
        }
        _ => false,
    }
}

/// The headers of the image that a mapping belongs to, from memory, and its bias.
fn in_memory(order: &[&MapLine], memory: &mut dyn Memory, map: &MapLine) -> Option<(Headers, u64)> {
    let behind = order.partition_point(|other| other.start <= map.start);
    let begins = |other: &&&MapLine| {
        other.offset == 0 && (other.inode, &other.path) == (map.inode, &map.path)
    };
    let first = order.get(..behind)?.iter().rev().find(begins)?;
    Headers::of_memory(memory, first.start)
}
