//! Numbers out of buffers whose lengths nobody vouches for.

/// `N` bytes at a place.
pub(crate) fn array<const N: usize>(buffer: &[u8], place: usize) -> Option<[u8; N]> {
    buffer.get(place..place.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u16_at(buffer: &[u8], place: usize) -> Option<u16> {
    array(buffer, place).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(buffer: &[u8], place: usize) -> Option<u32> {
    array(buffer, place).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(buffer: &[u8], place: usize) -> Option<u64> {
    array(buffer, place).map(u64::from_le_bytes)
}
