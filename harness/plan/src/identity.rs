//! What a plan is called by, and how it is handed to a shell.
//!
//! Deliberately absent: signatures of findings; `hotfire-core` makes them.

use sha2::{Digest, Sha256};

use crate::plan::Plan;

/// The plan's id: the first 16 hex digits of the SHA-256 of its canonical text.
#[must_use]
pub fn plan_id(plan: &Plan) -> String {
    Sha256::digest(plan.to_string()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The text as one word of a POSIX shell, in single quotes.
#[must_use]
pub fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word for a POSIX shell: quoted where it would mean something else without.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "%+,-./:=@_".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    shell_quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        let words = ["python3", "-c", "a b", "", "it's", "~", "K=V", "/bin/x"].map(shell_word);
        assert_eq!(words.join(" "), r"python3 -c 'a b' '' 'it'\''s' '~' K=V /bin/x");
    }

    #[test]
    fn ids_follow_the_content() {
        let id = |text| plan_id(&Plan::parse(text).unwrap());
        // printf 'load a tiny; exit' | sha256sum
        assert_eq!(id("load a tiny\n# a comment\nexit"), "002e80439a1a484e");
        assert_ne!(id("load a tiny; exit"), id("load a tiny"));
    }

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(shell_quote("load a tiny; exit"), "'load a tiny; exit'");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
    }
}
