//! A recorder that its child has scribbled on.
#![no_main]

use hotfire_recorder::{ReadError, read_gate, read_progress, read_snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (words, _) = data.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    // What is not there reads as zero, as in a fresh memfd.
    let mut fetch = |start: usize, count: usize| {
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        Ok::<_, ReadError>((start..start.saturating_add(count)).map(word).collect())
    };
    let _ = read_snapshot(&mut fetch);
    let _ = read_progress(&mut fetch);
    let _ = read_gate(&mut fetch);
});
