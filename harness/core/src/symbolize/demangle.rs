//! Names of C++ and Rust functions as people write them. A name is untrusted: a short one may
//! stand for a text without end, so that what is written is cut, and what is read is short.
//!
//! Deliberately absent: other languages; their names stay as they are.

use std::fmt::Write;

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

/// Characters of a name that are kept.
const CHARACTERS_MAX: usize = 300;
/// The longest name that is demangled, in bytes. Templates over templates have a few thousand.
const MANGLED_BYTES_MAX: usize = 4_096;
/// How deep a C++ name may be nested.
const DEPTH_MAX: u32 = 96;

/// A name for people. Of a long one the begin is kept, with `…` behind it.
pub(crate) fn demangle(name: &str) -> String {
    // Symbols of shared libraries may carry a version: `memcpy@@GLIBC_2.14`.
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let mut cut = Cut::default();
    let known = name.len() <= MANGLED_BYTES_MAX && (rust(name, &mut cut) || cpp(name, &mut cut));
    if !known {
        cut = Cut::default();
        // It fails where the name is cut.
        let _ = cut.write_str(name);
    }
    cut.finish()
}

fn rust(name: &str, cut: &mut Cut) -> bool {
    let Ok(symbol) = rustc_demangle::try_demangle(name) else { return false };
    write!(cut, "{symbol:#}").is_ok() || cut.is_full
}

fn cpp(name: &str, cut: &mut Cut) -> bool {
    if !name.starts_with("_Z") {
        return false;
    }
    let parse = ParseOptions::default().recursion_limit(DEPTH_MAX);
    let Ok(symbol) = Symbol::new_with_options(name, &parse) else { return false };
    let options = DemangleOptions::new().recursion_limit(DEPTH_MAX);
    symbol.structured_demangle(cut, &options).is_ok() || cut.is_full
}

/// Takes the begin of a text, and then makes its writer stop.
#[derive(Debug, Default)]
struct Cut {
    text: String,
    characters: usize,
    is_full: bool,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if self.characters == CHARACTERS_MAX {
                self.is_full = true;
                return Err(std::fmt::Error);
            }
            self.text.push(character);
            self.characters += 1;
        }
        Ok(())
    }
}

impl Cut {
    fn finish(mut self) -> String {
        if self.is_full {
            self.text.push('…');
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_demangled() {
        for (name, readable) in [
            ("_ZN3foo3barEv", "foo::bar()"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN4core3ptr4read17h0123456789abcdefE", "core::ptr::read"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("main", "main"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("_Z", "_Z"),
        ] {
            assert_eq!(demangle(name), readable);
        }
    }

    /// Each argument refers to the one before it twice: the text doubles with each.
    fn doubling(count: usize) -> String {
        let pairs = (0..count).map(|number| {
            let last = if number == 0 { "i".to_owned() } else { substitution(number - 1) };
            format!("1AI{last}{last}E")
        });
        format!("_Z1f{}", pairs.collect::<String>())
    }

    fn substitution(number: usize) -> String {
        // The template's name is the first substitution, its instances follow.
        let digit = char::from_digit(u32::try_from(number).unwrap(), 36).unwrap();
        format!("S{}_", digit.to_ascii_uppercase())
    }

    #[test]
    fn a_short_name_of_a_long_text_is_cut_in_time() {
        let begun = Instant::now();
        let long = demangle(&doubling(30));
        assert_eq!(long.chars().count(), CHARACTERS_MAX + 1, "{long}");
        assert!(long.starts_with("f(") && long.ends_with('…'), "{long}");
        for name in [
            format!("_Z{}", "N".repeat(4_000)),
            format!("_Z1f{}", "P".repeat(4_000)),
            format!("_Z1f{}i{}", "FvPDpSt".repeat(500), "E".repeat(500)),
            format!("_Z1fI{}", "XspT_EJ".repeat(500)),
            format!("_R{}", "INtB_".repeat(800)),
            "_ZN".repeat(1_300),
            "x".repeat(1 << 20),
        ] {
            let short = demangle(&name);
            assert!(short.chars().count() <= CHARACTERS_MAX + 1);
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_name_ends(name in "_(Z|R)[A-Za-z0-9_]{0,400}", other in ".{0,600}") {
            for name in [name, other] {
                prop_assert!(demangle(&name).chars().count() <= CHARACTERS_MAX + 1);
            }
        }
    }
}
