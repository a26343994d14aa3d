//! `.config/culprits.toml`: what lines that a command prints say of what it was doing.
//!
//! Deliberately absent: what is made of it (hotfire-core), and patterns other than plain text: nobody
//! has to quote what a program prints, and no pattern is slow.

use std::ops::Range;
use std::path::Path;

use hotfire_core::diagnose::{StageTable, StageWords};
use hotfire_plan::{FileError, FileProblem};
use serde::Deserialize;
use toml::Spanned;

use crate::config;
use crate::error::CliError;

/// The page that has the format.
const PAGE: &str = "docs/exec.md";
/// A stage is a word or two, and a pattern a part of a line.
const CHARS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    stage: Vec<Spanned<FileEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    pattern: Spanned<String>,
    name: Spanned<String>,
    module: Option<Spanned<String>>,
}

/// The table of an invocation. One that a flag names must be there.
///
/// # Errors
/// The file cannot be read, or is wrong; then its line is told.
pub(crate) fn load(flag: Option<&Path>) -> Result<StageTable, CliError> {
    let path = flag.map_or_else(config::culprits, Path::to_owned);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && flag.is_none() => {
            return Ok(StageTable::default());
        }
        Err(error) => {
            let help = "lines of output and their stages stand there; docs/exec.md has the format";
            return Err(CliError::Read { path, error, help });
        }
    };
    let name = path.display().to_string();
    parse(&name, &text).map_err(|error| CliError::Text(error.render(&name, &text)))
}

fn parse(name: &str, text: &str) -> Result<StageTable, FileError> {
    let file: File =
        toml::from_str(text).map_err(|error| FileError::of_toml(&error, text, PAGE))?;
    let line = |span: Range<usize>| {
        1 + text.get(..span.start).map_or(0, |before| before.matches('\n').count())
    };
    let entries = file.stage.into_iter().map(|entry| {
        let place = format!("{name}:{}", line(entry.span()));
        let FileEntry { pattern, name, module } = entry.into_inner();
        Ok(StageWords {
            pattern: checked(&pattern)?,
            stage: checked(&name)?,
            module: module.as_ref().map(checked).transpose()?,
            place,
        })
    });
    Ok(StageTable::new(entries.collect::<Result<_, FileError>>()?))
}

/// A text of one line that says something.
fn checked(value: &Spanned<String>) -> Result<String, FileError> {
    let text = value.get_ref();
    let (what, help) = match text.chars().count() {
        _ if text.trim().is_empty() => ("an empty text fits everything", "write what is printed"),
        _ if text.contains(char::is_control) => {
            ("a text of more than one line fits nothing", "write a part of one line")
        }
        count if count > CHARS_MAX => ("the text is too long", "write at most 100 characters"),
        _ => return Ok(text.clone()),
    };
    Err(FileError::new(FileProblem::BadValue { what: what.to_owned(), help }, value.span(), PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_place() {
        for (text, told) in [
            ("[[stage]]\npatern = \"a\"\nname = \"b\"\n", "f:2:1: unknown key `patern`"),
            ("[[stages]]\n", "f:1:3: unknown key `stages`"),
            ("[[stage]]\npattern = \" \"\nname = \"b\"\n", "f:2:11: an empty text"),
            ("[[stage]]\npattern = \"a\"\nname = \"b\\nc\"\n", "f:3:8: a text of more"),
            ("[[stage]]\npattern = \"a\"\n", "f:1:1: "),
            ("[[stage]]\npattern = 3\nname = \"b\"\n", "f:2:11: "),
        ] {
            let rendered = parse("f", text).unwrap_err().render("f", text);
            assert!(rendered.starts_with(told), "{rendered}");
            assert!(rendered.contains("\nhelp: "), "{rendered}");
        }
    }

    #[test]
    fn entries_know_their_lines_and_come_first() {
        let text = "# ours\n[[stage]]\npattern = \"loading shard\"\nname = \"shards\"\n\
                    module = \"libshard\"\n";
        let own = StageWords {
            pattern: "loading shard".to_owned(),
            stage: "shards".to_owned(),
            module: Some("libshard".to_owned()),
            place: "f:2".to_owned(),
        };
        assert_eq!(parse("f", text).unwrap(), StageTable::new(vec![own]));
        assert_eq!(parse("f", "").unwrap(), StageTable::default());
    }
}
