//! The models that the engine knows by name, made from nothing, the same on every machine, and
//! the file format.
//!
//! A file, little-endian: magic `HOTFIREM`, version, vocabulary, width, hidden, context and tensor
//! count (4 bytes each), FNV-1a of these six and the weights (8); a table of 32 bytes per tensor (role, rows,
//! columns, 0: 4 bytes each; offset, length: 8 each); the weights, one signed byte each, without
//! gaps. Deliberately absent: reading, see `oracle.rs` and `cpp/model.cc`.

/// The names that `load` knows.
pub const KNOWN_MODELS: [&str; 3] = ["tiny", "other", "broken"];

pub(crate) const HEADER_BYTES: usize = 40;
pub(crate) const ENTRY_BYTES: usize = 32;
pub(crate) const VOCABULARY: u32 = 256;

const MAGIC: &[u8; 8] = b"HOTFIREM";
const VERSION: u32 = 1;
const WIDTH: u32 = 32;
const HIDDEN: u32 = 64;
const CONTEXT: u32 = 128;
/// The first tensor of `broken` whose entry in the table is damaged.
const DAMAGED: usize = 5;

/// The bytes of a known model; `None` for other names.
///
/// `broken` has a sound header and a damaged table: it fails late in a load.
#[must_use]
pub fn model_bytes(name: &str) -> Option<Vec<u8>> {
    match name {
        "tiny" => Some(build(1)),
        "other" => Some(build(2)),
        "broken" => Some(damage(build(3))),
        _ => None,
    }
}

/// Rows and columns of the tensors in file order, for a width and a hidden size.
pub(crate) fn extents(width: u32, hidden: u32) -> [(u32, u32); 8] {
    let square = (width, width);
    let table = (VOCABULARY, width);
    [table, square, square, square, square, (hidden, width), (width, hidden), table]
}

fn build(seed: u64) -> Vec<u8> {
    let extents = extents(WIDTH, HIDDEN);
    let lengths = extents.map(|(rows, columns)| u64::from(rows) * u64::from(columns));
    let data = weights(seed, lengths.iter().sum());
    let shape = [VERSION, VOCABULARY, WIDTH, HIDDEN, CONTEXT, 8].map(u32::to_le_bytes);
    let mut file = [MAGIC.as_slice(), shape.as_flattened()].concat();
    let checksum = fnv(&[shape.as_flattened(), &data].concat());
    file.extend_from_slice(&checksum.to_le_bytes());
    let mut offset = (HEADER_BYTES + extents.len() * ENTRY_BYTES) as u64;
    for ((role, (rows, columns)), length) in (0u32..).zip(extents).zip(lengths) {
        for number in [role, rows, columns, 0] {
            file.extend_from_slice(&number.to_le_bytes());
        }
        file.extend_from_slice(&offset.to_le_bytes());
        file.extend_from_slice(&length.to_le_bytes());
        offset += length;
    }
    file.extend_from_slice(&data);
    file
}

/// Numbers of a 64-bit linear congruential generator (Knuth, MMIX), their high bytes.
fn weights(seed: u64, count: u64) -> Vec<u8> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

fn damage(mut file: Vec<u8>) -> Vec<u8> {
    for byte in file.iter_mut().skip(HEADER_BYTES + DAMAGED * ENTRY_BYTES).take(ENTRY_BYTES) {
        *byte = !*byte;
    }
    file
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
