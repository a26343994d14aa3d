//! What can be wrong with a plan's text, with the place and the fix.
//!
//! Deliberately absent: printing; [`PlanError::render`] returns text.

use std::ops::Range;

use crate::excerpt;
use crate::model::Operation;

/// An error in a plan's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct PlanError {
    /// What is wrong.
    pub problem: PlanProblem,
    /// The bytes of the text that it is about; may be empty at the text's end.
    pub span: Range<usize>,
}

/// What is wrong with a plan's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// The version line names a version that this build does not read.
    #[error("plan text of unknown version `{0}`")]
    Version(String),
    /// More than a plan may have.
    #[error("{what}: the limit is {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// Something where it may not stand.
    #[error("{what}")]
    Misplaced {
        /// What stands where.
        what: &'static str,
        /// The fix.
        help: &'static str,
    },
    /// Brackets with nothing between them.
    #[error("an empty {0}")]
    Empty(&'static str),
    /// A word that is no operation.
    #[error("unknown operation `{word}`")]
    UnknownOperation {
        /// The word.
        word: String,
        /// What was probably meant.
        near: Option<&'static str>,
    },
    /// An operation without something that it needs.
    #[error("`{operation}` needs {what}")]
    Missing {
        /// The operation.
        operation: Operation,
        /// What it needs.
        what: &'static str,
    },
    /// An argument too many.
    #[error("`{operation}` takes no argument `{word}` here")]
    Surplus {
        /// The operation.
        operation: Operation,
        /// The argument.
        word: String,
    },
    /// A named argument that the operation does not have.
    #[error("`{operation}` has no argument `{key}=`")]
    UnknownArgument {
        /// The operation.
        operation: Operation,
        /// The argument's key.
        key: String,
        /// What was probably meant.
        near: Option<&'static str>,
    },
    /// The same name twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A value that the argument cannot have.
    #[error("`{key}=` cannot be `{value}`")]
    BadValue {
        /// The argument's key.
        key: String,
        /// The value.
        value: String,
        /// What it can be.
        wanted: String,
    },
    /// A bracket or quote without its partner.
    #[error("this `{0}` is never closed")]
    Unclosed(char),
    /// Another thing was expected.
    #[error("expected {wanted}, found {found}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
        /// The fix.
        help: &'static str,
    },
}

impl PlanError {
    pub(crate) fn new(problem: PlanProblem, span: Range<usize>) -> Self {
        Self { problem, span }
    }

    /// What to do, as a sentence fragment.
    #[must_use]
    pub fn help(&self) -> String {
        self.problem.help()
    }

    /// The error as people see it: `plan:LINE:COLUMN: what`, the line, a caret under the place and
    /// a `help:` line. `text` is the text that was parsed. No newline at the end.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        self.render_in("plan", text)
    }

    /// The same for a text that is not just a plan's: `origin` names its file, or flag.
    #[must_use]
    pub fn render_in(&self, origin: &str, text: &str) -> String {
        excerpt::render(origin, text, &self.span, &self.to_string(), &self.help())
    }
}

impl PlanProblem {
    fn help(&self) -> String {
        match self {
            Self::Version(_) => {
                "this build reads `hotfire-plan 1`; a newer hotfire may read this plan".to_owned()
            }
            Self::Limit { .. } => "make the plan smaller, or several plans of it".to_owned(),
            Self::Misplaced { help, .. } | Self::Unexpected { help, .. } => (*help).to_owned(),
            Self::Empty(what) => format!("put a step into the {what}, or remove it"),
            Self::UnknownOperation { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownOperation { near: None, .. } => {
                let names: Vec<&str> = Operation::ALL.into_iter().map(Operation::name).collect();
                format!("operations are {}", names.join(", "))
            }
            Self::Missing { operation, .. } => format!("write `{}`", operation.spec().example),
            Self::Surplus { operation, .. } => {
                format!("an example is `{}`", operation.spec().example)
            }
            Self::UnknownArgument { near: Some(near), .. } => format!("did you mean `{near}=`?"),
            Self::UnknownArgument { operation, .. } => {
                let names: Vec<String> =
                    operation.spec().known_arguments().map(|known| format!("{known}=")).collect();
                format!("`{operation}` has {}", names.join(", "))
            }
            Self::Twice(name) => format!("keep one `{name}`"),
            Self::BadValue { wanted, .. } => format!("it can be {wanted}"),
            Self::Unclosed('"') => {
                "end it with `\"` on the same line; a new line is `\\n`".to_owned()
            }
            Self::Unclosed('[') => "lanes end with `]`".to_owned(),
            Self::Unclosed(_) => "add the missing `)`".to_owned(),
        }
    }
}
