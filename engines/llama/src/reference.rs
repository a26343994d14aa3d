//! What a model's tokens ought to be: the digest of its first undisturbed generate.
//!
//! Deliberately absent: an answer from outside of the process. A model that is wrong from the
//! start stays wrong here; what shows is a result that differs from the one before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Model and count to digest, for the whole process: a model is the same in every engine.
static FIRST: Mutex<BTreeMap<(String, u32), u64>> = Mutex::new(BTreeMap::new());

/// Keeps the digest unless there is one, and returns the one kept. The caller knows that nothing
/// disturbed the generate.
pub(crate) fn keep(model: &str, count: u32, digest: u64) -> u64 {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    *first.entry((model.to_owned(), count)).or_insert(digest)
}

/// The digest kept.
pub(crate) fn get(model: &str, count: u32) -> Option<u64> {
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.get(&(model.to_owned(), count)).copied()
}

/// FNV-1a, 64 bits, over the tokens' little-endian bytes
/// (<https://datatracker.ietf.org/doc/draft-eastlake-fnv/>).
pub(crate) fn digest(tokens: &[i32]) -> u64 {
    tokens.iter().flat_map(|token| token.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv_1a() {
        // Published vectors: the empty text, and "foob" (one token's four bytes).
        assert_eq!(digest(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(&[i32::from_le_bytes(*b"foob")]), 0xdd12_0e79_0c25_12af);
    }

    #[test]
    fn the_first_digest_stays() {
        assert_eq!(get("a model of this test", 3), None);
        assert_eq!(keep("a model of this test", 3, 7), 7);
        assert_eq!(keep("a model of this test", 3, 8), 7);
        assert_eq!(get("a model of this test", 3), Some(7));
    }
}
