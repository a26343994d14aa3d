//! Text from the child made safe for a terminal: what it prints, maps or names is untrusted.
//!
//! Deliberately absent: HTML and JSON, which have escapes of their own.

/// The text in one line of at most `chars_max` characters, without control characters, escape
/// sequences (ECMA-48 CSI, OSC and the like, removed whole) and characters that turn the reading
/// direction or have no width. What was cut is said by `…`.
#[must_use]
pub fn sanitize(text: &str, chars_max: usize) -> String {
    let mut clean = String::new();
    let mut count = 0;
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        let shown = match first {
            '\u{1b}' => {
                skip_escape(&mut rest);
                continue;
            }
            '\u{9b}' => {
                skip_parameters(&mut rest);
                continue;
            }
            '\t' | '\n' | '\r' => ' ',
            hidden if hidden.is_control() || is_invisible(hidden) => continue,
            shown => shown,
        };
        if count == chars_max {
            // The limit counts the ellipsis.
            clean.pop();
            clean.push('…');
            return clean;
        }
        clean.push(shown);
        count += 1;
    }
    clean
}

fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Behind ESC: a control sequence, a string up to its terminator, or one character.
fn skip_escape(rest: &mut Characters<'_>) {
    match rest.next() {
        Some('[') => skip_parameters(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        // Two-character sequences with an intermediate, e.g. ESC ( B.
        Some('\u{20}'..='\u{2f}') => {
            rest.next();
        }
        _ => {}
    }
}

/// Parameters and intermediates up to the final character.
fn skip_parameters(rest: &mut Characters<'_>) {
    while let Some(character) = rest.peek() {
        match character {
            '\u{20}'..='\u{3f}' => {
                rest.next();
            }
            '\u{40}'..='\u{7e}' => {
                rest.next();
                return;
            }
            // Not part of a sequence: it ends here.
            _ => return,
        }
    }
}

/// Up to BEL or ESC \. A string without an end hides no more than its line.
fn skip_string(rest: &mut Characters<'_>) {
    while let Some(character) = rest.peek() {
        match character {
            '\u{7}' => {
                rest.next();
                return;
            }
            '\u{1b}' => {
                rest.next();
                rest.next_if_eq(&'\\');
                return;
            }
            '\n' => return,
            _ => {
                rest.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_removed_whole() {
        assert_eq!(sanitize("a\u{1b}[31;1mred\u{1b}[0m b", 80), "ared b");
        assert_eq!(sanitize("\u{1b}]0;title\u{7}x", 80), "x");
        assert_eq!(sanitize("\u{1b}]8;;http://x\u{1b}\\link", 80), "link");
        assert_eq!(sanitize("\u{9b}2Jx", 80), "x");
        assert_eq!(sanitize("\u{1b}(Bx", 80), "x");
        assert_eq!(sanitize("end\u{1b}", 80), "end");
    }

    #[test]
    fn lines_directions_and_bells_are_flattened() {
        assert_eq!(sanitize("a\nb\tc\u{7}\u{8}d", 80), "a b cd");
        assert_eq!(sanitize("x\u{202e}fdp.exe", 80), "xfdp.exe");
        assert_eq!(sanitize("grüße 你好", 80), "grüße 你好");
    }

    #[test]
    fn what_is_cut_is_said() {
        assert_eq!(sanitize("abcdef", 6), "abcdef");
        assert_eq!(sanitize("abcdefg", 6), "abcde…");
        assert_eq!(sanitize("", 6), "");
    }
}
