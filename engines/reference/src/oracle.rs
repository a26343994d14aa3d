//! The same arithmetic as `cpp/network.cc`, in one thread, in plain vectors: it tells which tokens
//! a model gives, so that a read torn between two models shows as a wrong digest.
//!
//! Deliberately absent: speed, arenas, sessions. All divisions truncate toward zero.

use crate::models::{ENTRY_BYTES, HEADER_BYTES, VOCABULARY, extents};

/// A matrix of whole numbers.
struct Matrix {
    columns: usize,
    weights: Vec<i16>,
}

impl Matrix {
    fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.weights.chunks_exact(self.columns)
    }

    fn times(&self, input: &[i16]) -> Vec<i32> {
        self.rows().map(|row| dot(row, input)).collect()
    }
}

/// A model that was read from a file's bytes.
pub(crate) struct Network {
    context: u64,
    embed: Matrix,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    output: Matrix,
    up: Matrix,
    down: Matrix,
    head: Matrix,
}

impl Network {
    /// Reads a file; `None` when it is none that the engine would load.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
        let (width, hidden, context) = (number(16)?, number(20)?, number(24)?);
        let mut rest = file.get(HEADER_BYTES + 8 * ENTRY_BYTES..)?;
        let mut matrices = extents(width, hidden).into_iter().map(|(rows, columns)| {
            let length = usize::try_from(u64::from(rows) * u64::from(columns)).ok()?;
            let (bytes, behind) = rest.split_at_checked(length)?;
            rest = behind;
            let weights = bytes.iter().map(|byte| i16::from(byte.cast_signed())).collect();
            Some(Matrix { columns: usize::try_from(columns).ok()?.max(1), weights })
        });
        let mut next = || matrices.next().flatten();
        Some(Self {
            context: u64::from(context.max(1)),
            embed: next()?,
            query: next()?,
            key: next()?,
            value: next()?,
            output: next()?,
            up: next()?,
            down: next()?,
            head: next()?,
        })
    }

    /// The first `count` tokens behind `prompt`.
    pub(crate) fn generate(&self, prompt: &[u8], count: usize) -> Vec<u8> {
        let mut cache = Cache::default();
        let mut token = self.step(&mut cache, 0);
        for byte in prompt {
            token = self.step(&mut cache, byte.to_ascii_lowercase());
        }
        let mut tokens = Vec::with_capacity(count);
        while tokens.len() < count {
            tokens.push(token);
            token = self.step(&mut cache, token);
        }
        tokens
    }

    fn step(&self, cache: &mut Cache, token: u8) -> u8 {
        let position = cache.position;
        cache.position += 1;
        let mut stream = self.embedding(token, position);
        let input = normalise(&stream);
        let query = normalise(&self.query.times(&input));
        let pair = (normalise(&self.key.times(&input)), normalise(&self.value.times(&input)));
        let slot = usize::try_from(position % self.context).unwrap_or(0);
        match cache.pairs.get_mut(slot) {
            Some(old) => *old = pair,
            None => cache.pairs.push(pair),
        }
        add_scaled(&mut stream, &self.output.times(&cache.attend(&query)));

        let mut hidden = self.up.times(&normalise(&stream));
        hidden.iter_mut().for_each(|sum| *sum = (*sum).max(0));
        add_scaled(&mut stream, &self.down.times(&normalise(&hidden)));
        pick(&self.head.times(&normalise(&stream)), position)
    }

    fn embedding(&self, token: u8, position: u64) -> Vec<i32> {
        let row = self.embed.rows().nth(usize::from(token)).unwrap_or_default();
        (0u64..)
            .zip(row)
            .map(|(at, weight)| {
                let wave = (position * (2 * at + 1) % 31) as i32 - 15;
                i32::from(*weight) * 64 + wave * 64
            })
            .collect()
    }
}

/// What has been seen: keys and values of the last tokens.
#[derive(Default)]
struct Cache {
    position: u64,
    pairs: Vec<(Vec<i16>, Vec<i16>)>,
}

impl Cache {
    fn attend(&self, query: &[i16]) -> Vec<i16> {
        let mut sums = vec![0i64; query.len()];
        let mut total = 1i64;
        for (key, value) in &self.pairs {
            let score = i64::from(dot(query, key).max(0));
            total += score;
            for (sum, number) in sums.iter_mut().zip(value) {
                *sum += score * i64::from(*number);
            }
        }
        sums.into_iter().map(|sum| (sum / total) as i16).collect()
    }
}

fn dot(left: &[i16], right: &[i16]) -> i32 {
    left.iter().zip(right).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

fn normalise(values: &[i32]) -> Vec<i16> {
    let greatest = values.iter().map(|value| value.abs()).fold(1, i32::max);
    values.iter().map(|value| (i64::from(*value) * 127 / i64::from(greatest)) as i16).collect()
}

fn add_scaled(values: &mut [i32], sums: &[i32]) {
    for (value, sum) in values.iter_mut().zip(sums) {
        *value += sum / 128;
    }
}

fn pick(logits: &[i32], position: u64) -> u8 {
    let mut best = (i64::MIN, 0u8);
    for (token, logit) in (0..VOCABULARY).zip(logits) {
        let place = (position * 256 + u64::from(token)) as u32;
        let stir = place.wrapping_mul(2_654_435_761) >> 19;
        let score = i64::from(*logit) + i64::from(stir);
        if score > best.0 {
            best = (score, token as u8);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::model_bytes;

    fn tokens(model: &str, prompt: &str, count: usize) -> Vec<u8> {
        Network::read(&model_bytes(model).unwrap()).unwrap().generate(prompt.as_bytes(), count)
    }

    #[test]
    fn models_and_prompts_differ_and_a_shorter_text_is_a_prefix() {
        let long = tokens("tiny", "hotfire", 300);
        assert_eq!(long[..16], tokens("tiny", "hotfire", 16));
        assert_ne!(long[..16], tokens("other", "hotfire", 16));
        assert_ne!(long[..16], tokens("tiny", "cold", 16));
    }

    #[test]
    fn the_text_does_not_run_in_circles() {
        let long = tokens("tiny", "hotfire", 256);
        let kinds: std::collections::BTreeSet<u8> = long.iter().copied().collect();
        assert!(kinds.len() > 20, "{} kinds of token", kinds.len());
    }
}
