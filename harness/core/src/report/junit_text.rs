//! Text for JUnit: only characters that XML 1.0 has, nothing that a CI server would obey, and no
//! more bytes than a report can take.
//!
//! Deliberately absent: the escapes of XML, which its writer knows.

use super::sanitize::sanitize;

/// Bytes of a finding's text, and of each stream that the child printed.
const BYTES_MAX: usize = 16 * 1024;
const LINE_CHARS_MAX: usize = 2000;

/// The beginning of a text of ours.
pub(super) fn head(text: &str) -> String {
    let lines = clean(text);
    if lines.len() <= BYTES_MAX {
        return lines;
    }
    let end = lines.floor_char_boundary(BYTES_MAX);
    let (kept, cut) = lines.split_at(end);
    format!("{kept}\n[cut: {} bytes more]", cut.len())
}

/// The end of what the child printed; empty without a word in it.
pub(super) fn tail(text: &str) -> String {
    // What is behind the limit is not even looked at.
    let start = text.ceil_char_boundary(text.len().saturating_sub(2 * BYTES_MAX));
    let lines = clean(text.get(start..).unwrap_or_default());
    let kept = lines.ceil_char_boundary(lines.len().saturating_sub(BYTES_MAX));
    if start == 0 && kept == 0 {
        return lines;
    }
    let kept = lines.get(kept..).unwrap_or_default();
    format!("[cut: only the last {} bytes are shown]\n{kept}", kept.len())
}

fn clean(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| sanitize(line, LINE_CHARS_MAX)).collect();
    // GitLab makes a link of it, to any path of the job's artifacts.
    lines.join("\n").trim_end().replace("[[ATTACHMENT", "[ [ATTACHMENT")
}
