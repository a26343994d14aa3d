//! An error as people see it: what, where with a caret, and what to do.
//!
//! Deliberately absent: colours and printing; the command has them.

use std::ops::Range;

/// Columns of source shown at most; longer lines are cut around the caret.
const COLUMNS_MAX: usize = 76;

/// The line and column (both from 1, columns in characters) of a byte offset.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..floor(text, offset)).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// `origin:line:column: message`, the line, a caret line and a help line. No newline at the end.
/// `span` counts bytes of `text`.
#[must_use]
pub fn render(origin: &str, text: &str, span: &Range<usize>, message: &str, help: &str) -> String {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let (line_number, column) = position(text, start);
    let line_start =
        text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let caret_start = column - 1;
    let marked = text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
    let (shown, offset) = window(line, caret_start);
    let room = shown.chars().count().saturating_sub(caret_start - offset).max(1);
    let width = marked.chars().count().clamp(1, room);
    let prefix = " ".repeat(line_number.to_string().len());
    let indent = " ".repeat(caret_start - offset);
    let carets = "^".repeat(width);
    format!(
        "{origin}:{line_number}:{column}: {message}\n\
         {prefix} |\n\
         {line_number} | {shown}\n\
         {prefix} | {indent}{carets}\n\
         help: {help}"
    )
}

/// The part of a line around a column, control characters shown as blanks, and the number of
/// characters by which it moved to the left.
fn window(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    let offset = if length <= COLUMNS_MAX || column < COLUMNS_MAX * 2 / 3 {
        0
    } else {
        (column - COLUMNS_MAX / 3).min(length.saturating_sub(COLUMNS_MAX))
    };
    let shown = line
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .enumerate()
        .skip(offset)
        .take(COLUMNS_MAX)
        .map(|(index, character)| {
            let cut_left = offset > 0 && index == offset;
            let cut_right = index + 1 == offset + COLUMNS_MAX && index + 1 < length;
            if cut_left || cut_right { '…' } else { character }
        })
        .collect();
    (shown, offset)
}

/// The nearest character border at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_place() {
        let text = "one\ntwo three\nfour";
        assert_eq!(
            render("plan", text, &(8..13), "wrong", "mend it"),
            "plan:2:5: wrong\n  |\n2 | two three\n  |     ^^^^^\nhelp: mend it"
        );
    }

    #[test]
    fn marks_the_end_of_the_text() {
        let rendered = render("plan", "one", &(3..3), "wrong", "mend it");
        assert!(rendered.contains("\n1 | one\n  |    ^\n"), "{rendered}");
    }

    #[test]
    fn cuts_long_lines_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let rendered = render("plan", &text, &(500..504), "wrong", "mend it");
        let lines: Vec<&str> = rendered.lines().collect();
        let column = lines[3].find('^').unwrap();
        let shown: String = lines[2].chars().skip(column).take(4).collect();
        assert_eq!(shown, "HERE");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS_MAX + 4));
    }
}
