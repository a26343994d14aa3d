//! Writing a file so that a full disk never leaves half of one in its place.
//!
//! Deliberately absent: folders, and what is written. A file gets a new owner, and its other hard
//! links keep the old text.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Error, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Nobody else reads what is not yet in its place.
const MODE_BESIDE: u32 = 0o600;
/// Writes the text beside the file first, and puts it in the file's place. Links are followed, and
/// the file keeps its mode. A device, a pipe or an open file is written straight through.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let is_open = is_open_file(path);
    let place = match path.canonicalize() {
        Ok(place) if is_open || !place.is_file() => return append(path, text),
        Ok(place) => place,
        // A link to a file that is still to be made.
        Err(_) if path.is_symlink() => return std::fs::write(path, text),
        Err(_) => path.to_owned(),
    };
    let beside = place.with_extension(format!("{}.tmp", std::process::id()));
    let written =
        write_beside(&beside, &place, text).and_then(|()| std::fs::rename(&beside, &place));
    written.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Whether the path names what is already open, e.g. `/dev/stdout`: where a shell sent that to a
/// file, another one in its place would be lost to the shell.
fn is_open_file(path: &Path) -> bool {
    let is_stream = ["/dev/stdout", "/dev/stderr"].iter().any(|stream| path == Path::new(stream));
    let folder = path.parent().filter(|folder| folder.ends_with("fd"));
    is_stream || folder.is_some_and(|it| it.starts_with("/dev") || it.starts_with("/proc"))
}

fn write_beside(beside: &Path, place: &Path, text: &str) -> Result<(), Error> {
    let mode = std::fs::metadata(place).ok().map(|data| data.permissions().mode());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if mode.is_some() {
        options.mode(MODE_BESIDE);
    }
    let mut file: File = options.open(beside)?;
    file.write_all(text.as_bytes())?;
    mode.map_or(Ok(()), |mode| file.set_permissions(Permissions::from_mode(mode)))
}

/// What a shell has put there before stays.
fn append(path: &Path, text: &str) -> Result<(), Error> {
    OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
}
