//! The files of the repository. Deliberately absent: judgement, and what is built or fetched.

use std::io;
use std::path::{Path, PathBuf};

/// A source file: its path from the root with `/`, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

const FOLDERS: [&str; 5] = ["harness", "engines", "fuzz", "xtask", "scripts"];
const ENDINGS: [&str; 7] = ["rs", "c", "cc", "h", "sh", "py", "toml"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All source files, in the order of their paths.
pub(crate) fn read_tree(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for folder in FOLDERS.iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()) {
        read_folder(root, &folder, &mut files)?;
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            read_folder(root, &path, files)?;
        } else if ENDINGS.iter().any(|ending| path.extension().is_some_and(|it| it == *ending)) {
            let text = std::fs::read_to_string(&path)?;
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
    Ok(())
}
