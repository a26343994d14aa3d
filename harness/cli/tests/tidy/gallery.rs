//! No rule knows a package: what observes and diagnoses must not name the packages of the gallery
//! of reported failures. The names are read from the gallery, so that none stands here.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use libtest_mimic::Failed;

use crate::rule::{Violation, numbered, words};
use crate::tree::{File, read_tree};

const FOLDERS: [&str; 2] = ["harness/core/", "harness/sys/"];
/// A shorter name counts as a whole word only.
const PART_LETTERS_MIN: usize = 5;

/// The lines of a tree that name a package of the gallery.
pub(crate) fn violations(root: &Path, gallery: &Path) -> Result<Vec<String>, Failed> {
    let names = read_names(gallery)?;
    let files = read_tree(root)?;
    let of_file = |file: &File| {
        let found = check(&names, &file.path, &file.text);
        found.into_iter().map(|violation| violation.at(&file.path)).collect::<Vec<_>>()
    };
    Ok(files.iter().flat_map(of_file).collect())
}

/// The packages that the gallery's cases install.
fn read_names(folder: &Path) -> Result<BTreeSet<String>, Failed> {
    let mut names = BTreeSet::new();
    for case in std::fs::read_dir(folder)? {
        match std::fs::read_to_string(case?.path().join("requirements.txt")) {
            Ok(text) => names.extend(text.lines().flat_map(packages)),
            // A file beside the cases, or a case that installs nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(error.into()),
        }
    }
    if names.is_empty() { Err("the gallery names no package".into()) } else { Ok(names) }
}

/// The packages of a requirement: words before `==`, ` = ` or `@VERSION`. A build for one kind of
/// machine (`-cpu`) is its package, too.
fn packages(line: &str) -> Vec<String> {
    let line = line.split('#').next().unwrap_or_default().replace("==", " = ").replace('@', " = ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut names = Vec::new();
    for pair in words.windows(2) {
        if let [name, "="] = pair {
            let name = name.to_lowercase().replace('_', "-");
            names.push(name.trim_end_matches("-cpu").to_owned());
        }
    }
    names
}

/// The lines of core and sys that name a package.
fn check(names: &BTreeSet<String>, path: &str, text: &str) -> Vec<Violation> {
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (number, line) in numbered(text) {
        let line = line.to_lowercase();
        let joined = line.replace('_', "-");
        let known = names.iter().find(|name| match name.len() {
            PART_LETTERS_MIN.. => joined.contains(name.as_str()),
            _ => words(&line).any(|word| word.split('_').any(|part| part == name.as_str())),
        });
        violations.extend(
            known.map(|name| {
                Violation::new(number, format!("names {name}, a package of the gallery"))
            }),
        );
    }
    violations
}

/// Samples of the two functions.
pub(crate) fn hold_samples() -> Result<(), Failed> {
    let text = "one-two==1.2\nabc-cpu==3\n# comment==1\nthe registry: xyz = \"=2.0\" (std)\nnode-pack@1.2 -> bin\n";
    let names: BTreeSet<String> = text.lines().flat_map(packages).collect();
    let expected = ["abc", "node-pack", "one-two", "xyz"];
    if !names.iter().eq(expected) {
        return Err(format!("read {names:?} instead of {expected:?}").into());
    }
    let breaks =
        ["// like One_Two does", "\"libone-two.so\"", "match \"abc\" {", "fn abc_rule() {}"];
    for line in breaks {
        if check(&names, "harness/core/src/a.rs", line).is_empty() {
            return Err(format!("does not see the package in: {line}").into());
        }
    }
    let keeps = [("harness/core/src/a.rs", "// abcd, one two"), ("engines/x/src/a.rs", "one_two")];
    for (path, line) in keeps {
        if !check(&names, path, line).is_empty() {
            return Err(format!("sees a package in: {line}").into());
        }
    }
    Ok(())
}

/// A tree with one more line in it, of the harness's two kinds, and elsewhere.
pub(crate) fn hold_sample_tree() -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let write = |path: &str, text: &str| {
        let path = place.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(place.path()))?;
        std::fs::write(path, text)
    };
    write("gallery/README.md", "one-two==1\n")?;
    write("gallery/case/requirements.txt", "one-two==1.2\n")?;
    write("gallery/other/case.json", "{}")?;
    let found = || violations(&place.path().join("tree"), &place.path().join("gallery"));
    for folder in ["harness/core/src/diagnose", "harness/sys/src", "harness/cli/src"] {
        write(&format!("tree/{folder}/a.rs"), "//! Nobody.\n")?;
    }
    if !found()?.is_empty() {
        return Err(format!("sees a package in {:?}", found()?).into());
    }
    for folder in ["harness/core/src/diagnose", "harness/sys/src", "harness/cli/src"] {
        write(&format!("tree/{folder}/a.rs"), "//! Nobody.\nif module == \"libone_two.so\" {\n")?;
    }
    let wrong = ": names one-two, a package of the gallery";
    let expected =
        ["core/src/diagnose", "sys/src"].map(|path| format!("harness/{path}/a.rs:2{wrong}"));
    if found()? != expected {
        return Err(format!("found {:?} instead of {expected:?}", found()?).into());
    }
    std::fs::remove_file(place.path().join("gallery/case/requirements.txt"))?;
    match found() {
        Err(_) => Ok(()),
        Ok(_) => Err("a gallery without packages passes for one that nobody names".into()),
    }
}
