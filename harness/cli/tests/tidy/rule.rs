//! What a rule is. Deliberately absent: the rules.

/// A rule over single files.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// The violations of a file, by its path from the root and its text; none for files that the
    /// rule does not speak of.
    pub(crate) check: fn(&str, &str) -> Vec<Violation>,
    /// Files that the rule rests on: without them it would pass because it sees nothing.
    pub(crate) must_see: &'static [&'static str],
    /// Paths and texts with at least one violation each.
    pub(crate) breaks: &'static [(&'static str, &'static str)],
    /// Paths and texts without a violation.
    pub(crate) keeps: &'static [(&'static str, &'static str)],
}

/// A line that breaks a rule.
pub(crate) struct Violation {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Violation {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{path}:{}: {}", self.line, self.message)
    }
}

/// The lines of a text, counted from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// The lines outside of items under `#[cfg(test)]`. Rests on rustfmt: such an item of a file
/// begins and ends at the line's start.
pub(crate) fn without_tests(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut in_tests = false;
    for (number, line) in numbered(text) {
        if line.starts_with("#[cfg(test)]") {
            in_tests = true;
        } else if !in_tests {
            kept.push((number, line));
        } else if line == "}" || (line.ends_with(';') && !line.starts_with(' ')) {
            in_tests = false;
        }
    }
    kept
}

/// The words of a line that could be identifiers, with where each begins.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|sign: char| !sign.is_alphanumeric() && sign != '_').filter(|word| !word.is_empty())
}
