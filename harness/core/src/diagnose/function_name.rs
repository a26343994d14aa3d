//! What a function is called, in the demangled names of C++, Rust and C: without parameters,
//! template arguments, return types and the suffixes of compilers.
//!
//! Deliberately absent: a grammar. Names are text of strangers; whatever comes, one pass reads it.

/// Suffixes that compilers give to parts and copies of a function (gcc: ipa-cp, ipa-sra, ipa-split,
/// bb-reorder, lto; LLVM: thin LTO, hot-cold splitting).
const PART_SUFFIXES: [&str; 10] = [
    "constprop",
    "isra",
    "part",
    "cold",
    "lto_priv",
    "llvm",
    "localalias",
    "uniq",
    "__uniq",
    "warm",
];
/// What operators are written with, brackets aside.
const SYMBOLS: [char; 13] = ['<', '>', '=', '!', '+', '-', '*', '/', '%', '&', '|', '^', '~'];
const ANONYMOUS: &str = "(anonymous namespace)";

/// The function's path: namespaces, types and its own name.
pub(crate) fn bare(function: &str) -> String {
    let mut path = String::with_capacity(function.len());
    let mut rest = function;
    while let Some(first) = rest.chars().next() {
        let (taken, kept) = piece(rest, &path);
        match kept {
            Kept::All => path.push_str(rest.get(..taken).unwrap_or_default()),
            Kept::Nothing => {
                // `f::<T>`: the colons go with the arguments.
                if first == '<' && path.ends_with("::") {
                    path.truncate(path.len() - 2);
                }
            }
            Kept::Lambda => path.push_str(&lambda(rest.get(..taken).unwrap_or_default())),
            Kept::OnlyWhatFollows => path.clear(),
            Kept::NoMore => break,
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    without_suffixes(path)
}

/// The first namespace or type of a function's path; `None` for a plain function.
pub(crate) fn first_namespace(function: &str) -> Option<String> {
    let path = bare(function);
    if let Some(inner) = path.strip_prefix('<') {
        // Rust: `<Type as Trait>::function`.
        let kind = inner.trim_start_matches(['&', '*', '(', '[']);
        let kind = kind.strip_prefix("mut ").or(kind.strip_prefix("dyn ")).unwrap_or(kind);
        let end = kind.find([':', ' ', '<', '>', ')', ']']).unwrap_or(kind.len());
        return kind.get(..end).map(str::to_owned);
    }
    path.split_once("::").map(|(first, _)| first.to_owned())
}

/// What becomes of the next piece of a name.
enum Kept {
    All,
    Nothing,
    /// `{lambda(int)#1}`: without the parameters.
    Lambda,
    /// What came before was a return type.
    OnlyWhatFollows,
    NoMore,
}

/// The length of the next piece, and what becomes of it.
fn piece(rest: &str, path: &str) -> (usize, Kept) {
    if rest.starts_with(ANONYMOUS) {
        return (ANONYMOUS.len(), Kept::All);
    }
    let begins_word = !path.ends_with(|last: char| last.is_alphanumeric() || last == '_');
    if begins_word && let Some(length) = operator(rest) {
        return (length, Kept::All);
    }
    match rest.chars().next() {
        Some('<') if path.is_empty() || rest.starts_with("<impl ") => (group(rest), Kept::All),
        Some('<') => (group(rest), Kept::Nothing),
        Some('{') => (group(rest), Kept::Lambda),
        Some('(') => {
            let length = group(rest);
            let behind = rest.get(length..).unwrap_or_default();
            let behind = behind.strip_prefix(" const").unwrap_or(behind);
            // What is local to a function is named behind its parameters.
            if behind.starts_with("::") {
                (rest.len() - behind.len(), Kept::Nothing)
            } else {
                (rest.len(), Kept::NoMore)
            }
        }
        Some(' ') if rest.starts_with(" [clone") => (rest.len(), Kept::NoMore),
        // `operator< <int>`
        Some(' ') if path.ends_with(SYMBOLS) => (1, Kept::Nothing),
        Some(' ') => (1, Kept::OnlyWhatFollows),
        Some(other) => (other.len_utf8(), Kept::All),
        None => (0, Kept::NoMore),
    }
}

/// The length of `operator…`, whose symbols are no brackets of their own.
fn operator(rest: &str) -> Option<usize> {
    const WORD: &str = "operator";
    let behind = rest.strip_prefix(WORD)?;
    if behind.starts_with("()") || behind.starts_with("[]") {
        return Some(WORD.len() + 2);
    }
    let symbols = behind.find(|sign: char| !SYMBOLS.contains(&sign));
    match symbols.unwrap_or(behind.len()) {
        // `operator new`, `operator bool`: a word follows.
        0 => behind.starts_with([' ', '"']).then(|| {
            let end = behind.find(['(', '<']).unwrap_or(behind.len());
            WORD.len() + end
        }),
        // `operator<<int>`: of `<`, at most two belong to the name.
        length if behind.starts_with("<<<") => Some(WORD.len() + length.min(2)),
        length => Some(WORD.len() + length),
    }
}

/// The length of a bracketed group, up to its end or the text's.
fn group(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, sign) in rest.char_indices() {
        match sign {
            '<' | '(' | '{' | '[' => depth += 1,
            // `->` closes nothing.
            '>' if last == '-' => {}
            '>' | ')' | '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + sign.len_utf8();
        }
        last = sign;
    }
    rest.len()
}

fn lambda(group: &str) -> String {
    match (group.split_once('('), group.rsplit_once(')')) {
        (Some((before, _)), Some((_, behind))) if before.len() + behind.len() < group.len() => {
            format!("{before}{behind}")
        }
        _ => group.to_owned(),
    }
}

fn without_suffixes(mut path: String) -> String {
    while let Some((before, suffix)) = path.rsplit_once('.') {
        let is_number = !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit());
        if before.is_empty() || !(is_number || PART_SUFFIXES.contains(&suffix)) {
            break;
        }
        path.truncate(before.len());
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_arguments_and_return_types_are_left_out() {
        for (function, path) in [
            ("plain", "plain"),
            ("a::B::f(int, char)", "a::B::f"),
            ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
            ("a::(anonymous namespace)::f(int)", "a::(anonymous namespace)::f"),
            ("process(std::vector<int, std::allocator<int> >&)", "process"),
            ("foo<std::string>()", "foo"),
            ("void ggml::run<int>(int)", "ggml::run"),
            ("std::map<int, a::B>::at(int const&) const", "std::map::at"),
            ("a::f(int)::{lambda(char)#1}::operator()(char) const", "a::f::{lambda#1}::operator()"),
            ("a::f() const::{lambda()#2}::operator()() const", "a::f::{lambda#2}::operator()"),
            ("a::operator<<(std::ostream&, a::B)", "a::operator<<"),
            ("bool a::operator< <int>(a::B, a::B)", "a::operator<"),
            ("a::B::operator->() const", "a::B::operator->"),
            ("a::B::operator bool() const", "a::B::operator bool"),
            ("operator new(unsigned long)", "operator new"),
            ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "core::ptr::drop_in_place"),
            ("engine::run::<u8>", "engine::run"),
            ("<a::B as Drop>::drop", "<a::B as Drop>::drop"),
            ("core::ptr::mut_ptr::<impl *mut T>::add", "core::ptr::mut_ptr::<impl *mut T>::add"),
            ("main.run", "main.run"),
        ] {
            assert_eq!(bare(function), path);
        }
    }

    #[test]
    fn what_a_compiler_makes_of_a_function_is_the_function() {
        for (function, path) in [
            ("work.constprop.0", "work"),
            ("encoder_list.obj.isra.0", "encoder_list.obj"),
            ("work.part.0.cold", "work"),
            ("a::f(int) [clone .isra.0]", "a::f"),
            ("run.llvm.1234567", "run"),
            ("nested.17", "nested"),
            (".text", ".text"),
        ] {
            assert_eq!(bare(function), path);
        }
    }

    #[test]
    fn the_first_namespace_is_that_of_the_function_itself() {
        for (function, namespace) in [
            ("reference::Engine::step", Some("reference")),
            ("<alloc::vec::Vec<T> as Drop>::drop", Some("alloc")),
            ("<&mut a::B as Read>::read", Some("a")),
            ("void ggml::run<int>(int)", Some("ggml")),
            ("process(std::vector<int>&)", None),
            ("run(core::X)", None),
            ("memcpy", None),
        ] {
            assert_eq!(first_namespace(function).as_deref(), namespace, "{function}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}", code in "[a-c:<>(){}. \\-*&]{0,40}") {
            for text in [text, code] {
                let path = bare(&text);
                prop_assert!(path.len() <= text.len());
                let _ = first_namespace(&text);
            }
        }
    }
}
