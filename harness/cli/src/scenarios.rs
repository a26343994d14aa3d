//! Where scenarios come from: files and folders that are named; else `scenarios/*.toml` below the
//! current folder (and the built-in canary, where it is named), else those that are built in; and
//! beside either `scenarios/regressions/*.toml`.
//!
//! Deliberately absent: what a scenario says (`hotfire-plan`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hotfire_core::campaign::BUILT_IN as BUILT_IN_PLACE;
use hotfire_plan::nearest;
use hotfire_plan::scenario::Scenario;

use crate::error::CliError;

/// A scenario and the file it stands in.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) scenario: Scenario,
}

/// The scenarios of an invocation.
#[derive(Debug, Default)]
pub(crate) struct Scenarios {
    pub(crate) loaded: Vec<Loaded>,
    /// Files of the project that do not parse, and that no filter names.
    pub(crate) left_out: Vec<String>,
}

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The folder of a project's scenarios.
const FOLDER: &str = "scenarios";
const ELSEWHERE: &str = "another current folder shows them";
/// It proves that crashes are caught, whatever engine a project has.
const CANARY: &str = "canary.toml";
/// The folder of plans that failed once and must pass; `hotfire accept --as plan` writes there.
pub(crate) const REGRESSIONS: &str = "scenarios/regressions";

/// The scenarios that `filters` name, in the order of their names: a filter that is a file or a
/// folder is read, any other is a part of a name. None: all. A filter that matches nothing is an
/// error, also beside one that does.
pub(crate) fn load(filters: &[String]) -> Result<Scenarios, CliError> {
    let (paths, words): (Vec<&String>, Vec<&String>) =
        filters.iter().partition(|filter| is_path(filter));
    let mut found = Scenarios::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        for file in files_at(path)? {
            // The same file twice, e.g. once by its folder, is one scenario.
            if seen.insert(std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                found.loaded.push(read(&file)?);
            }
        }
    }
    if filters.is_empty() || !words.is_empty() {
        let all = all(&words, &seen)?;
        found.left_out = all.left_out;
        select(all.loaded, &words, &mut found.loaded)?;
    }
    check_names(&found.loaded)?;
    Ok(found)
}

/// All scenarios of the places that `filters` choose from: the folders of the files that they name,
/// and with words, or without a filter, what [`load`] finds by itself. Files that do not parse are
/// left out, by the names that their scenarios have.
pub(crate) fn around(filters: &[String]) -> Scenarios {
    let (paths, words): (Vec<&String>, Vec<&String>) =
        filters.iter().partition(|filter| is_path(filter));
    let mut folders: BTreeSet<PathBuf> = paths.into_iter().map(|path| folder_of(path)).collect();
    let mut found = Scenarios::default();
    if filters.is_empty() || !words.is_empty() {
        folders.insert(REGRESSIONS.into());
        match files_of(FOLDER) {
            Some(_) => drop(folders.insert(FOLDER.into())),
            // They parse: a test says so.
            None => found.loaded = built_in(|_| true).unwrap_or_default(),
        }
    }
    for file in folders.iter().filter_map(files_of).flatten() {
        match read(&file) {
            Ok(one) => found.loaded.push(one),
            Err(_) => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                found.left_out.push(stem.into_owned());
            }
        }
    }
    found
}

/// The folder itself, or that of a file.
fn folder_of(path: &str) -> PathBuf {
    let path = Path::new(path);
    if path.is_dir() {
        return path.to_owned();
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// That the built-in scenarios are hidden, where the project's own ones hide them from these filters.
pub(crate) fn hidden(filters: &[String]) -> Option<String> {
    let by_name = filters.is_empty() || filters.iter().any(|filter| !is_path(filter));
    let own = files_of(FOLDER).filter(|_| by_name)?;
    let is_own = |name: &str| own.iter().any(|file| file.ends_with(name));
    let count = BUILT_IN.iter().filter(|(name, _)| !is_own(name)).count();
    let text = format!("{count} built-in scenarios are hidden by ./{FOLDER}; {ELSEWHERE}");
    (count > 0).then_some(text)
}

/// The same where one of these words means a built-in one.
fn hides(lost: &[&str]) -> Option<String> {
    files_of(FOLDER)?;
    let names = || BUILT_IN.iter().filter_map(|(name, _)| name.strip_suffix(".toml"));
    let meant: Vec<&str> =
        lost.iter().copied().filter(|word| names().any(|name| name.contains(word))).collect();
    let verb = if meant.len() == 1 { "is" } else { "are" };
    let words = quoted(&meant, " and ");
    (!meant.is_empty())
        .then(|| format!("{words} {verb} built in, and hidden by ./{FOLDER}: {ELSEWHERE}. "))
}

/// Adds those that match; every word must match at least one.
fn select(all: Vec<Loaded>, words: &[&String], selected: &mut Vec<Loaded>) -> Result<(), CliError> {
    let matches = |one: &Loaded, words: &[&String]| {
        words.iter().any(|word| one.scenario.name.contains(*word))
    };
    let names: Vec<&str> =
        all.iter().chain(&*selected).map(|one| one.scenario.name.as_str()).collect();
    let is_lost = |word: &&&String| !names.iter().any(|name| name.contains(word.as_str()));
    let lost: Vec<&str> = words.iter().filter(is_lost).map(|word| word.as_str()).collect();
    if !lost.is_empty() {
        let parts = names.iter().flat_map(|name| name.split('-')).chain(names.iter().copied());
        let near: BTreeSet<&str> =
            lost.iter().filter_map(|word| nearest(word, parts.clone())).collect();
        let near = hides(&lost).unwrap_or_else(|| meant(&near));
        return Err(CliError::NoMatch { what: quoted(&lost, " or "), near });
    }
    selected.extend(all.into_iter().filter(|one| words.is_empty() || matches(one, words)));
    Ok(())
}

/// `did you mean …? `, or nothing.
fn meant(near: &BTreeSet<&str>) -> String {
    if near.is_empty() {
        return String::new();
    }
    let near: Vec<&str> = near.iter().copied().collect();
    format!("did you mean {}? ", quoted(&near, " or "))
}

fn quoted(words: &[&str], between: &str) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(between)
}

/// A name stands for one scenario: reports and baselines know scenarios by their names.
fn check_names(loaded: &[Loaded]) -> Result<(), CliError> {
    let mut files: BTreeMap<&str, &str> = BTreeMap::new();
    for one in loaded {
        let name = one.scenario.name.as_str();
        if let Some(other) = files.insert(name, &one.file) {
            let file = &one.file;
            return Err(CliError::Text(format!(
                "two scenarios are named `{name}`: {other} and {file}\n\
                 help: give one of them another name"
            )));
        }
    }
    Ok(())
}

fn is_path(filter: &str) -> bool {
    filter.ends_with(".toml")
        || filter.contains('/')
        || filter.ends_with(".plan")
        || (filter == FOLDER && Path::new(filter).is_dir())
}

/// A file, or the scenario files of a folder.
fn files_at(path: &str) -> Result<Vec<PathBuf>, CliError> {
    if path.ends_with(".plan") {
        return Err(CliError::Text(format!(
            "`{path}` is a plan, no scenario\nhelp: hotfire run --plan @{path}"
        )));
    }
    if !Path::new(path).is_dir() {
        return Ok(vec![path.into()]);
    }
    files_of(path).ok_or_else(|| {
        CliError::Text(format!(
            "the folder `{path}` has no scenario\nhelp: scenarios are files that end with .toml; \
             scenarios/README.md has their format"
        ))
    })
}

/// The project's scenarios, or the built-in ones; without the files that are read already.
fn all(words: &[&String], seen: &BTreeSet<PathBuf>) -> Result<Scenarios, CliError> {
    let mut all = match files_of(FOLDER) {
        Some(files) => of_project(&files, words, seen)?,
        None => Scenarios { loaded: built_in(|_| true)?, left_out: Vec::new() },
    };
    let regressions = files_of(REGRESSIONS).unwrap_or_default();
    let regressions = read_all(&regressions, words, seen)?;
    all.loaded.extend(regressions.loaded);
    all.left_out.extend(regressions.left_out);
    all.loaded.sort_by(|left, right| left.scenario.name.cmp(&right.scenario.name));
    Ok(all)
}

/// The project's own, and the canary.
fn of_project(
    files: &[PathBuf],
    words: &[&String],
    seen: &BTreeSet<PathBuf>,
) -> Result<Scenarios, CliError> {
    let mut found = read_all(files, words, seen)?;
    // Only where it is named: beside a project's own scenarios it would hide that all were skipped.
    let is_named = words.iter().any(|word| CANARY.contains(word.as_str()));
    if is_named && !found.loaded.iter().any(|one| format!("{}.toml", one.scenario.name) == CANARY) {
        found.loaded.extend(built_in(|name| name == CANARY)?);
    }
    Ok(found)
}

/// A file that does not parse is an error where it may be meant: without a word, or with one that
/// its name has.
fn read_all(
    files: &[PathBuf],
    words: &[&String],
    seen: &BTreeSet<PathBuf>,
) -> Result<Scenarios, CliError> {
    let mut found = Scenarios::default();
    for file in files {
        if seen.contains(&std::fs::canonicalize(file).unwrap_or_else(|_| file.clone())) {
            continue;
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let is_meant = words.is_empty() || words.iter().any(|word| stem.contains(word.as_str()));
        match read(file) {
            Ok(one) => found.loaded.push(one),
            Err(_) if !is_meant => found.left_out.push(file.display().to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn built_in(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Loaded>, CliError> {
    BUILT_IN
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, text)| parse(&format!("{BUILT_IN_PLACE}{name}"), text))
        .collect()
}

/// The scenario files of a folder; `None` where there is no such folder or file.
fn files_of(folder: impl AsRef<Path>) -> Option<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

fn read(path: &Path) -> Result<Loaded, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::Read {
        path: path.to_owned(),
        error,
        help: "name a scenario file, or a part of a scenario's name (`hotfire list`)",
    })?;
    parse(&path.display().to_string(), &text)
}

fn parse(file: &str, text: &str) -> Result<Loaded, CliError> {
    match Scenario::parse(text) {
        Ok(scenario) => Ok(Loaded { file: file.to_owned(), text: text.to_owned(), scenario }),
        Err(error) => Err(CliError::Text(error.render(file, text))),
    }
}

/// Whose scenarios these files are, each counted once, e.g. `28 built-in scenarios`.
pub(crate) fn origins<'a>(files: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<u8, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        let is_project = file.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'));
        let kind = match file {
            _ if file.starts_with(BUILT_IN_PLACE) => 0,
            _ if is_project => 1,
            _ => 2,
        };
        counts.entry(kind).or_default().insert(file);
    }
    let part = |(kind, files): (&u8, &BTreeSet<&str>)| {
        let count = files.len();
        let noun = if count == 1 { "scenario" } else { "scenarios" };
        match kind {
            0 => format!("{count} built-in {noun}"),
            1 => format!("{count} {noun} from ./{FOLDER}"),
            _ => format!("{count} named {noun}"),
        }
    };
    counts.iter().map(part).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_parses_and_has_its_file_name() {
        assert!(BUILT_IN.len() > 20);
        for (name, text) in BUILT_IN {
            let loaded = parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(format!("{}.toml", loaded.scenario.name), *name);
        }
        assert!(BUILT_IN.iter().any(|(name, _)| *name == CANARY));
    }

    #[test]
    fn origins_are_counted_by_file() {
        let built_in = ["built-in a.toml", "built-in b.toml", "built-in a.toml"];
        assert_eq!(origins(built_in.into_iter()), "2 built-in scenarios");
        let mixed = ["scenarios/x.toml", "built-in canary.toml", "scenariosy/z.toml"];
        let told = "1 built-in scenario + 1 scenario from ./scenarios + 1 named scenario";
        assert_eq!(origins(mixed.into_iter()), told);
        assert_eq!(origins([].into_iter()), "");
    }
}
