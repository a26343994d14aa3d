//! The tables are what the headers of an interpreter give.

use std::path::Path;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/python-offsets.sh");
const TABLES: &str = include_str!("../../src/python/offsets.rs");

pub(crate) fn test(program: &Path) {
    let says = "import sysconfig; print(sysconfig.get_paths()['include'], end='')";
    let include = Command::new(program).args(["-c", says]).output().unwrap().stdout;
    let include = String::from_utf8(include).unwrap();
    assert!(Path::new(&include).join("internal").is_dir(), "{include} has no internal headers");
    let made = Command::new(SCRIPT).arg(&include).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let head = made.find("\n/// ").unwrap();
    assert!(TABLES.contains(&made[head..]), "not in the committed tables:{}", &made[head..]);
}
