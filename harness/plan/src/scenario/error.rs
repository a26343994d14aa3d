//! What can be wrong with a scenario file, with the place and the fix.
//!
//! Deliberately absent: printing; [`ScenarioError::render`] returns text.

use std::ops::Range;

use crate::error::PlanError;
use crate::excerpt;

/// An error in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ScenarioError {
    /// What is wrong.
    pub problem: Box<ScenarioProblem>,
    /// The bytes of the file's text that it is about.
    pub span: Range<usize>,
}

/// What is wrong with a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioProblem {
    /// Not TOML, or not of the right type.
    #[error("{0}")]
    Toml(String),
    /// A key that scenario files do not have.
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

impl ScenarioError {
    pub(crate) fn new(problem: ScenarioProblem, span: Range<usize>) -> Self {
        Self { problem: Box::new(problem), span }
    }

    /// What to do, as a sentence fragment.
    #[must_use]
    pub fn help(&self) -> String {
        match self.problem.as_ref() {
            ScenarioProblem::Toml(_) => "the format stands in scenarios/README.md".to_owned(),
            ScenarioProblem::UnknownKey { near: Some(near), .. } => {
                format!("did you mean `{near}`?")
            }
            ScenarioProblem::UnknownKey { known, .. } => format!("keys are {}", known.join(", ")),
            ScenarioProblem::MissingKey(key) => format!("add `{}`", example(key)),
            ScenarioProblem::UnknownWord { near: Some(near), .. } => {
                format!("did you mean `{near}`?")
            }
            ScenarioProblem::UnknownWord { known, .. } => format!("it can be {}", known.join(", ")),
            ScenarioProblem::BadValue { help, .. } => (*help).to_owned(),
            ScenarioProblem::Inside { error } | ScenarioProblem::Escaped { error, .. } => {
                error.help()
            }
        }
    }

    /// The error as people see it: `FILE:LINE:COLUMN: what`, the line, a caret under the place and
    /// a `help:` line. `text` is the file's text. No newline at the end.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let message = self.to_string();
        if let ScenarioProblem::Escaped { error, text: value } = self.problem.as_ref() {
            let (line, _) = excerpt::position(text, self.span.start);
            let origin = format!("{file}:{line}: the value without its escapes");
            return excerpt::render(&origin, value, &error.span, &message, &self.help());
        }
        excerpt::render(file, text, &self.span, &message, &self.help())
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "name" => "name = \"swap-cleanup-order\"",
        "lifecycle" => "lifecycle = \"swap\"",
        "plans" => "plans = ['create a = ENGINE; load a tiny; exit']",
        _ => "it; scenarios/README.md shows how",
    }
}
