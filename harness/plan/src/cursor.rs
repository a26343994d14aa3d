//! A place in a plan's text: blanks, comments, words, strings and numbers.
//!
//! Deliberately absent: the grammar of items and steps (`parse.rs`, `parse_step.rs`).

use std::ops::Range;

use crate::error::{PlanError, PlanProblem};

/// Whether a character may stand in a word without quotes.
pub(crate) fn is_bare(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-./:+,@%~".contains(character)
}

/// Whether a text is a name: of a slot, an argument or an engine kind.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
        })
}

/// Whether a text can be the name of an environment variable or a C function.
pub(crate) fn is_identifier(text: &str) -> bool {
    is_name(text) && !text.contains(['-', '.'])
}

/// A reading position.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte offset.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Skips blanks and comments, not new lines.
    pub(crate) fn skip_blanks(&mut self) {
        loop {
            let blanks =
                self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r']).len();
            self.at += blanks;
            if self.peek() != Some('#') || !self.may_comment() {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Skips blanks, comments, `;` and new lines.
    pub(crate) fn skip_separators(&mut self) {
        loop {
            self.skip_blanks();
            if !self.eat(';') && !self.eat('\n') {
                return;
            }
        }
    }

    /// Whether an item or argument list ends here.
    pub(crate) fn is_item_end(&self) -> bool {
        matches!(self.peek(), None | Some(';' | '\n' | '|' | ']' | ')'))
    }

    /// The longest run of characters that need no quotes; may be empty.
    pub(crate) fn word(&mut self) -> (&'a str, Range<usize>) {
        self.run(is_bare)
    }

    /// The longest run of characters for which `accepts` holds; may be empty.
    pub(crate) fn run(&mut self, accepts: impl Fn(char) -> bool) -> (&'a str, Range<usize>) {
        let start = self.at;
        let rest = self.rest();
        let length = rest.find(|character| !accepts(character)).unwrap_or(rest.len());
        self.at += length;
        (rest.get(..length).unwrap_or_default(), start..self.at)
    }

    /// A value: a string in quotes, or a run of characters for which `accepts` holds.
    pub(crate) fn value(
        &mut self,
        accepts: impl Fn(char) -> bool,
    ) -> Result<(String, Range<usize>), PlanError> {
        if self.peek() == Some('"') {
            return self.string();
        }
        let (word, span) = self.run(accepts);
        if word.is_empty() {
            return Err(self.unexpected("a value", "an empty value is written `\"\"`"));
        }
        Ok((word.to_owned(), span))
    }

    /// A string in double quotes, which must stand here.
    pub(crate) fn string(&mut self) -> Result<(String, Range<usize>), PlanError> {
        let start = self.at;
        let mut value = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            let here = start + offset;
            match character {
                '"' => {
                    self.at = here + 1;
                    return Ok((value, start..self.at));
                }
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                    Some((_, other)) if other != '\n' => {
                        return Err(bad_character(
                            format!("`\\{}`", other.escape_debug()),
                            here..here + 1 + other.len_utf8(),
                        ));
                    }
                    _ => break,
                },
                control if control.is_control() && control != '\t' => {
                    return Err(bad_character(
                        format!("the control character `{}`", control.escape_debug()),
                        here..here + control.len_utf8(),
                    ));
                }
                plain => value.push(plain),
            }
        }
        Err(PlanError::new(PlanProblem::Unclosed('"'), start..start + 1))
    }

    /// An error about the next character.
    pub(crate) fn unexpected(&self, wanted: &'static str, help: &'static str) -> PlanError {
        let length = self.peek().map_or(0, char::len_utf8);
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(character) => format!("`{}`", character.escape_debug()),
        };
        PlanError::new(PlanProblem::Unexpected { found, wanted, help }, self.at..self.at + length)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// A comment begins at a line's start or after a blank, so that `a#b` is no half word.
    fn may_comment(&self) -> bool {
        self.text
            .get(..self.at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t', '\r', '\n']))
    }
}

fn bad_character(found: String, span: Range<usize>) -> PlanError {
    PlanError::new(
        PlanProblem::Unexpected {
            found,
            wanted: "text or one of `\\\"`, `\\\\`, `\\n`",
            help: "a backslash is written `\\\\`",
        },
        span,
    )
}
