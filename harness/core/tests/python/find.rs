//! Interpreters of this machine; also of the command's tests.

use std::path::PathBuf;
use std::process::Command;

/// CPython 3.`minor`: below the user's folder of versions, or on the path.
pub(crate) fn find(minor: u8) -> Option<PathBuf> {
    let name = format!("python3.{minor}");
    let home = std::env::home_dir().unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    let of_versions = versions.map(|version| version.path().join("bin").join(&name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
    of_versions.chain(of_path).find(|program| {
        let says = "import sys; print(sys.version_info[1])";
        let answer = Command::new(program).args(["-c", says]).output();
        answer.is_ok_and(|it| it.stdout == format!("{minor}\n").into_bytes())
    })
}
