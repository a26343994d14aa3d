//! Where llama.cpp's libraries and the models lie on this machine.
//!
//! Deliberately absent: loading anything; a process that must not run engine code may call this.

use std::path::{Path, PathBuf};

use hotfire_host::EngineError;

/// The environment variable that names the folder with the libraries and models.
pub const FOLDER_VARIABLE: &str = "HOTFIRE_LLAMA_DIR";

/// Where `scripts/fetch-engines.sh` puts them, below the root of the repository.
const FETCHED: &str = ".cache/engines/llama";

const HELP: &str = "scripts/fetch-engines.sh llama (in hotfire's checkout); HOTFIRE_LLAMA_DIR names another folder";

/// The folder with the libraries: [`FOLDER_VARIABLE`], or the fetched one below the current folder
/// or a folder above it. Only looks at names of files.
///
/// # Errors
/// [`EngineError::Missing`]: no such folder, or no library in it.
pub fn folder() -> Result<PathBuf, EngineError> {
    let found = match std::env::var_os(FOLDER_VARIABLE) {
        Some(named) => Some(PathBuf::from(named)),
        None => std::env::current_dir().ok().and_then(|current| {
            current.ancestors().map(|above| above.join(FETCHED)).find(|fetched| fetched.is_dir())
        }),
    };
    let found = found.ok_or_else(|| missing("llama.cpp's libraries are not here".to_owned()))?;
    main_library(&found)?;
    Ok(found)
}

/// The path of `libllama` itself: published builds carry a version before or after the `.so`.
pub(crate) fn main_library(folder: &Path) -> Result<PathBuf, EngineError> {
    let mut candidates: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| missing(format!("{} cannot be read: {error}", folder.display())))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_main))
        .collect();
    candidates.sort();
    candidates
        .into_iter()
        .next()
        .ok_or_else(|| missing(format!("{} holds no libllama", folder.display())))
}

fn is_main(name: &str) -> bool {
    name.strip_prefix("libllama.")
        .is_some_and(|rest| rest.split('.').any(|part| part == "so") && !rest.ends_with(".part"))
}

/// The file of a model: a path when the name has a slash, else `NAME.gguf` beside the libraries.
pub(crate) fn model_path(folder: &Path, name: &str) -> PathBuf {
    if name.contains('/') { PathBuf::from(name) } else { folder.join(format!("{name}.gguf")) }
}

/// Something that the fetch script brings is not here.
pub(crate) fn missing(what: String) -> EngineError {
    EngineError::Missing { what, help: HELP.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_main_library_are_told_from_its_neighbours() {
        for name in ["libllama.so", "libllama.v0.5.0.so", "libllama.so.0"] {
            assert!(is_main(name), "{name}");
        }
        for name in ["libllama-common.so", "libggml.so", "libllama.txt", "xlibllama.so"] {
            assert!(!is_main(name), "{name}");
        }
    }

    #[test]
    fn a_folder_without_libraries_is_missing_with_the_command_that_helps() {
        let error = main_library(Path::new("/nonexistent")).unwrap_err();
        assert!(
            matches!(&error, EngineError::Missing { help, .. } if help == HELP),
            "unexpected {error:?}"
        );
    }

    #[test]
    fn a_model_is_a_name_or_a_path() {
        let folder = Path::new("/engines");
        assert_eq!(model_path(folder, "tiny"), Path::new("/engines/tiny.gguf"));
        assert_eq!(model_path(folder, "./tiny"), Path::new("./tiny"));
    }
}
