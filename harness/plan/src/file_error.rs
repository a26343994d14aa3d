//! What can be wrong with a TOML file of ours (a scenario, a profile, a baseline), with the place
//! and the fix.
//!
//! Deliberately absent: printing; [`FileError::render`] returns text.

use std::ops::Range;

use crate::error::PlanError;
use crate::excerpt;
use crate::suggest::nearest;

/// An error in a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FileError {
    /// What is wrong.
    pub problem: Box<FileProblem>,
    /// The bytes of the file's text that it is about.
    pub span: Range<usize>,
    /// The page that has the file's format.
    pub page: &'static str,
}

/// What is wrong with a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// Not TOML.
    #[error("{0}")]
    Toml(String),
    /// A value of another type than the key takes.
    #[error("{message}")]
    WrongType {
        /// What the reader says.
        message: String,
        /// What to write instead.
        help: String,
    },
    /// A key that such files do not have.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that may stand there.
        known: Vec<String>,
        /// What was probably meant.
        near: Option<String>,
    },
    /// A key that must be there.
    #[error("the key `{0}` is missing")]
    MissingKey(String),
    /// A word that is not in its list.
    #[error("unknown {what} `{word}`")]
    UnknownWord {
        /// What it should be: status, phase or class.
        what: &'static str,
        /// The word.
        word: String,
        /// The words that may stand there.
        known: Vec<&'static str>,
        /// What was probably meant.
        near: Option<&'static str>,
    },
    /// A value that cannot be.
    #[error("{what}")]
    BadValue {
        /// What is wrong.
        what: String,
        /// The fix.
        help: &'static str,
    },
    /// An error in a plan or an engine whose place in the file is known.
    #[error("{error}")]
    Inside {
        /// The error; its span counts within the value.
        error: PlanError,
    },
    /// An error in a plan or an engine that the file writes with escapes.
    #[error("{error}")]
    Escaped {
        /// The error; its span counts within `text`.
        error: PlanError,
        /// The value, without escapes.
        text: String,
    },
}

impl FileError {
    /// An error at this place; `page` has the file's format.
    #[must_use]
    pub fn new(problem: FileProblem, span: Range<usize>, page: &'static str) -> Self {
        Self { problem: Box::new(problem), span, page }
    }

    /// The TOML reader's error on a file's `text`. It tells unknown and missing keys, and wrong types,
    /// only in its message.
    #[must_use]
    pub fn of_toml(error: &toml::de::Error, text: &str, page: &'static str) -> Self {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let problem = match quoted.as_slice() {
            [key, known @ ..] if message.starts_with("unknown field") => FileProblem::UnknownKey {
                key: (*key).to_owned(),
                known: known.iter().map(|known| (*known).to_owned()).collect(),
                near: nearest(key, known.iter().copied()).map(str::to_owned),
            },
            [key, ..] if message.starts_with("missing field") => {
                FileProblem::MissingKey((*key).to_owned())
            }
            _ => {
                let message = message.lines().collect::<Vec<_>>().join("; ");
                match message.rsplit_once("expected ") {
                    Some((_, expected)) if message.starts_with("invalid ") => {
                        let help = wanted_value(expected, text, &span);
                        FileProblem::WrongType { message, help }
                    }
                    _ => FileProblem::Toml(message),
                }
            }
        };
        Self::new(problem, span, page)
    }

    /// The number, which must lie from 1 to `most`.
    ///
    /// # Errors
    /// It does not; the error has its place.
    pub fn from_one_to(
        value: &toml::Spanned<u32>,
        most: u32,
        page: &'static str,
    ) -> Result<u32, Self> {
        let number = *value.get_ref();
        if (1..=most).contains(&number) {
            return Ok(number);
        }
        let what = format!("{number} is not from 1 to {most}");
        let help = "give a number in that range";
        Err(Self::new(FileProblem::BadValue { what, help }, value.span(), page))
    }

    /// A word that is not in its list.
    #[must_use]
    pub fn unknown_word(
        what: &'static str,
        word: &str,
        known: &[&'static str],
        span: Range<usize>,
        page: &'static str,
    ) -> Self {
        let near = nearest(word, known.iter().copied());
        let (word, known) = (word.to_owned(), known.to_vec());
        Self::new(FileProblem::UnknownWord { what, word, known, near }, span, page)
    }

    /// The line, from 1, of a place in the file's text.
    #[must_use]
    pub fn line(text: &str, span: &Range<usize>) -> u32 {
        u32::try_from(excerpt::position(text, span.start).0).unwrap_or(u32::MAX)
    }

    /// What to do, as a sentence fragment.
    #[must_use]
    pub fn help(&self) -> String {
        match self.problem.as_ref() {
            FileProblem::Toml(_) => format!("the format stands in {}", self.page),
            FileProblem::WrongType { help, .. } => format!("{help}; {} has the format", self.page),
            FileProblem::UnknownKey { near: Some(near), .. } => {
                format!("did you mean `{near}`?")
            }
            FileProblem::UnknownKey { known, .. } => format!("keys are {}", known.join(", ")),
            FileProblem::MissingKey(key) => match example(key) {
                Some(example) => format!("add `{example}`"),
                None => format!("add it; {} shows how", self.page),
            },
            FileProblem::UnknownWord { near: Some(near), .. } => {
                format!("did you mean `{near}`?")
            }
            FileProblem::UnknownWord { known, .. } => format!("it can be {}", known.join(", ")),
            FileProblem::BadValue { help, .. } => (*help).to_owned(),
            FileProblem::Inside { error } | FileProblem::Escaped { error, .. } => error.help(),
        }
    }

    /// The error as people see it: `FILE:LINE:COLUMN: what`, the line, a caret under the place and
    /// a `help:` line. `text` is the file's text. No newline at the end.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let message = self.to_string();
        if let FileProblem::Escaped { error, text: value } = self.problem.as_ref() {
            let (line, _) = excerpt::position(text, self.span.start);
            let origin = format!("{file}:{line}: the value without its escapes");
            return excerpt::render(&origin, value, &error.span, &message, &self.help());
        }
        excerpt::render(file, text, &self.span, &message, &self.help())
    }
}

/// What to write where a value has the wrong type.
fn wanted_value(expected: &str, text: &str, span: &Range<usize>) -> String {
    let line = text.get(..span.start).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim();
    let is_key = line.contains('=') && !key.is_empty() && !key.starts_with(['#', '\'', '"']);
    let raw = text.get(span.clone()).unwrap_or_default().trim();
    let bare = raw.trim_matches(['"', '\'']);
    let value = match expected {
        "a boolean" => if bare == "false" { bare } else { "true" }.to_owned(),
        "f64" => bare.parse::<f64>().map_or("0.5".to_owned(), |number| number.to_string()),
        "a sequence" => format!("[{}]", if is_simple(raw) { raw } else { "…" }),
        "a string" | "path string" if is_simple(raw) => format!("\"{bare}\""),
        "a string" | "path string" => "\"…\"".to_owned(),
        _ if is_whole(expected) => bare.parse::<u32>().unwrap_or(1).to_string(),
        _ => return format!("write {expected}"),
    };
    let usual = example(key).filter(|_| expected == "a string").map(str::to_owned);
    let in_list = line.contains('[');
    let written = match usual {
        Some(usual) => usual,
        None if in_list => value.clone(),
        None => format!("{key} = {value}"),
    };
    if is_key { format!("write `{written}`") } else { format!("write {expected}, e.g. {value}") }
}

/// A value of one word or number.
fn is_simple(raw: &str) -> bool {
    !raw.is_empty() && !raw.contains(['\n', '[', ']', '{', '}', '\\'])
}

fn is_whole(expected: &str) -> bool {
    expected.strip_prefix(['u', 'i']).is_some_and(|bits| bits.parse::<u8>().is_ok())
}

/// How a key is written.
fn example(key: &str) -> Option<&'static str> {
    let example = match key {
        "name" => "name = \"swap-cleanup-order\"",
        "lifecycle" => "lifecycle = \"swap\"",
        "plans" => "plans = ['create a = ENGINE; load a tiny; exit']",
        "scenario" => "scenario = \"swap\"",
        "issue" => "issue = \"https://github.com/OWNER/NAME/issues/1\"",
        "expires" => "expires = 2027-01-31",
        "signature" => "signature = \"caefaec472118568\"",
        "timeout" => "timeout = \"30s\"",
        "beat" => "beat = \"100ms\"",
        "step" => "step = \"10s\"",
        "run" => "run = \"60s\"",
        "exit" => "exit = \"10s\"",
        "grace" => "grace = \"300ms\"",
        "trace" => "trace = \"off\"",
        "census" => "census = \"off\"",
        "github" => "github = \"auto\"",
        _ => return None,
    };
    Some(example)
}
