//! Texts of Python: `PyUnicodeObject`, in its compact forms.
//!
//! Source: CPython's Include/cpython/unicodeobject.h. Deliberately absent: texts that are not
//! compact, which names of functions and files are not.

use super::runtime::Runtime;
use super::source::{Read, Source};

/// Characters of a text that are kept.
const CHARACTERS_MAX: u64 = 1_024;
/// No text of a process has more.
const LENGTH_MAX: u64 = 1 << 40;

/// A text, cut where it is very long.
pub(super) fn text(source: &mut Source<'_>, runtime: &Runtime, object: u64) -> Read<String> {
    let layout = &runtime.layout;
    if source.word(object, layout.object_type)? != runtime.types.text {
        return Err(format!("the object at {object:#x} is no text"));
    }
    let length = source.word(object, layout.text_length)?;
    let state = source.int(object, layout.text_state)?.cast_unsigned();
    // `interned` has two bits before them.
    let (kind, is_compact, is_ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
    let is_sane = is_compact && matches!(kind, 1 | 2 | 4) && (!is_ascii || kind == 1);
    if !is_sane || length > LENGTH_MAX {
        return Err(format!("the text at {object:#x} has a form that no text has"));
    }
    let data = if is_ascii { layout.text_ascii } else { layout.text_wide };
    let kept = length.min(CHARACTERS_MAX);
    let is_whole = kept == length;
    // A zero ends each text, and stands in none that names a function or a file.
    let read = kept + u64::from(is_whole);
    let mut bytes = source.bytes(object, data, read * u64::from(kind))?;
    let wide = usize::try_from(kind).unwrap_or(1);
    let mut zeros = bytes.chunks_exact(wide).map(|letter| letter.iter().all(|byte| *byte == 0));
    if zeros.position(|is_zero| is_zero) != is_whole.then_some(bytes.len() / wide - 1) {
        return Err(format!("the text at {object:#x} does not end where it says"));
    }
    if is_whole {
        bytes.truncate(bytes.len() - wide);
    }
    let mut text = match kind {
        1 => bytes.iter().copied().map(char::from).collect::<String>(),
        2 => String::from_utf16_lossy(&words(&bytes)),
        _ => letters(&bytes),
    };
    if is_ascii && !text.is_ascii() {
        return Err(format!("the text at {object:#x} is not what it says of itself"));
    }
    if length > kept {
        text.push('…');
    }
    Ok(text)
}

fn words(bytes: &[u8]) -> Vec<u16> {
    let (words, _) = bytes.as_chunks::<2>();
    words.iter().copied().map(u16::from_le_bytes).collect()
}

fn letters(bytes: &[u8]) -> String {
    let (words, _) = bytes.as_chunks::<4>();
    let letters = words.iter().map(|word| char::from_u32(u32::from_le_bytes(*word)));
    letters.map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
