//! Where scenarios come from: files that are named, `scenarios/*.toml` below the current folder,
//! else those that are built in.

use std::path::{Path, PathBuf};

use hotfire_core::campaign::BUILT_IN as BUILT_IN_PLACE;
use hotfire_plan::scenario::Scenario;

use crate::error::CliError;

/// A scenario and the file it stands in.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: String,
    pub(crate) scenario: Scenario,
}

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The folder of a project's scenarios.
const FOLDER: &str = "scenarios";

/// The scenarios that `filters` name, in the order of their names: a filter that is a file is
/// read, any other is a part of a name. None: all.
pub(crate) fn load(filters: &[String]) -> Result<Vec<Loaded>, CliError> {
    let (files, words): (Vec<&String>, Vec<&String>) =
        filters.iter().partition(|filter| is_file(filter));
    let mut loaded =
        files.iter().map(|file| read(Path::new(file))).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() || !words.is_empty() {
        let all = all()?;
        loaded.extend(all.into_iter().filter(|one| {
            words.is_empty() || words.iter().any(|word| one.scenario.name.contains(word.as_str()))
        }));
    }
    if loaded.is_empty() {
        let words: Vec<String> = filters.iter().map(|word| format!("`{word}`")).collect();
        return Err(CliError::NoMatch(words.join(" or ")));
    }
    Ok(loaded)
}

fn is_file(filter: &str) -> bool {
    filter.ends_with(".toml") || filter.contains('/')
}

fn all() -> Result<Vec<Loaded>, CliError> {
    let mut loaded = match folder_files() {
        Some(files) => files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?,
        None => BUILT_IN
            .iter()
            .map(|(name, text)| parse(&format!("{BUILT_IN_PLACE}{name}"), text))
            .collect::<Result<Vec<_>, _>>()?,
    };
    loaded.sort_by(|left, right| left.scenario.name.cmp(&right.scenario.name));
    Ok(loaded)
}

/// The scenario files below the current folder; `None` where there is no such folder or file.
fn folder_files() -> Option<Vec<PathBuf>> {
    let entries = std::fs::read_dir(FOLDER).ok()?;
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
        Ok(scenario) => Ok(Loaded { file: file.to_owned(), scenario }),
        Err(error) => Err(CliError::Text(error.render(file, text))),
    }
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
    }
}
