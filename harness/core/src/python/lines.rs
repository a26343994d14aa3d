//! From an instruction to its line: the three forms that code objects have had for it.
//!
//! Sources: CPython's Objects/lnotab_notes.txt (3.8, 3.9; and 3.10), Objects/locations.md (3.11).
//! Deliberately absent: columns, and the lines at which instructions end.

use super::conventions::Lines;

/// The line of the instruction at a byte offset; negative: before the first. `None` where the table
/// has no line for it, or does not cover it.
pub(super) fn line(form: Lines, table: &[u8], first_line: i32, offset: i64) -> Option<u32> {
    if offset < 0 {
        return positive(first_line.into());
    }
    match form {
        Lines::Steps => steps(table, first_line.into(), offset),
        Lines::Ranges => ranges(table, first_line.into(), offset),
        Lines::Locations => locations(table, first_line.into(), offset),
    }
}

/// Lines count from 1; more than this many, nobody has written.
const LINE_MAX: i64 = 100_000_000;

fn positive(line: i64) -> Option<u32> {
    (1..=LINE_MAX).contains(&line).then(|| u32::try_from(line).ok()).flatten()
}

/// Pairs: so many bytes further, so many lines further.
fn steps(table: &[u8], first_line: i64, offset: i64) -> Option<u32> {
    let (mut line, mut place) = (first_line, 0);
    let (pairs, _) = table.as_chunks::<2>();
    for [bytes, lines] in pairs {
        place += i64::from(*bytes);
        if place > offset {
            break;
        }
        line += i64::from(lines.cast_signed());
    }
    positive(line)
}

/// Pairs: so many lines further, for so many bytes; −128: no line.
fn ranges(table: &[u8], first_line: i64, offset: i64) -> Option<u32> {
    let (mut line, mut end) = (first_line, 0);
    let (pairs, _) = table.as_chunks::<2>();
    for [bytes, lines] in pairs {
        let lines = lines.cast_signed();
        if lines != i8::MIN {
            line += i64::from(lines);
        }
        end += i64::from(*bytes);
        if end > offset {
            return (lines != i8::MIN).then(|| positive(line)).flatten();
        }
    }
    None
}

/// Entries whose first byte alone has the highest bit, with the form and the number of instructions
/// (two bytes each) in the others.
fn locations(table: &[u8], first_line: i64, offset: i64) -> Option<u32> {
    let (mut line, mut end) = (first_line, 0);
    let mut rest = table;
    while let Some((head, behind)) = rest.split_first() {
        if head & 0x80 == 0 {
            return None;
        }
        let length = behind.iter().position(|byte| byte & 0x80 != 0).unwrap_or(behind.len());
        let (entry, next) = behind.split_at_checked(length)?;
        let form = head >> 3 & 15;
        line += match form {
            // Without a number of lines: on the line before, or on none.
            0..=9 | 15 => 0,
            10..=12 => i64::from(form - 10),
            _ => signed(entry),
        };
        end += 2 * (i64::from(head & 7) + 1);
        if end > offset {
            return (form != 15).then(|| positive(line)).flatten();
        }
        rest = next;
    }
    None
}

/// Six bits a byte, the lowest first; the lowest bit of all is the sign. Longer ones are cut.
fn signed(entry: &[u8]) -> i64 {
    let mut value = 0;
    for (place, byte) in (0..).zip(entry.iter().take(8)) {
        value |= i64::from(byte & 63) << (6 * place);
        if byte & 64 == 0 {
            break;
        }
    }
    if value & 1 == 1 { -(value >> 1) } else { value >> 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(form: Lines, table: &[u8], offsets: &[i64]) -> Vec<Option<u32>> {
        offsets.iter().map(|offset| line(form, table, 10, *offset)).collect()
    }

    #[test]
    fn steps_of_bytes_and_lines_add_up() {
        // The sample of Objects/lnotab_notes.txt: lines 1, 2, 7, 361, 311, at 0, 6, 50, 350, 360.
        let table = [6, 1, 44, 5, 255, 0, 45, 127, 0, 127, 0, 100, 10, 206];
        let found = |offset| line(Lines::Steps, &table, 1, offset);
        let lines: Vec<_> = [0, 5, 6, 49, 50, 349, 350, 360].into_iter().map(found).collect();
        assert_eq!(lines, [1, 1, 2, 2, 7, 7, 361, 311].map(Some));
        assert_eq!(found(-1), Some(1));
    }

    #[test]
    fn ranges_may_have_no_line() {
        let table = [4, 0, 2, 128, 6, 3, 8, 0xfe];
        assert_eq!(
            at(Lines::Ranges, &table, &[-2, 0, 2, 4, 6, 11, 12, 19, 20]),
            [Some(10), Some(10), Some(10), None, Some(13), Some(13), Some(11), Some(11), None]
        );
    }

    #[test]
    fn locations_of_every_form_are_read() {
        // Short (1 instruction), one line (+2, 2), long (−3, 1), none (1), no columns (+40, 3).
        let table = [
            0x80,
            0x11,
            0x80 | 12 << 3 | 1,
            3,
            4,
            0x80 | 14 << 3,
            7,
            0,
            1,
            1,
            0x80 | 15 << 3,
            0x80 | 13 << 3 | 2,
            0x50,
            1,
        ];
        let lines = at(Lines::Locations, &table, &[0, 2, 4, 6, 8, 10, 14, 16]);
        assert_eq!(lines, [10, 12, 12, 9, 0, 49, 49, 0].map(|it| (it > 0).then_some(it)));
    }

    #[test]
    fn lines_that_nobody_wrote_are_none() {
        assert_eq!(line(Lines::Steps, &[], -5, 0), None);
        assert_eq!(line(Lines::Locations, &[0x11], 1, 0), None);
        assert_eq!(
            line(Lines::Locations, &[0x80 | 13 << 3, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x3e], 1, 0),
            None
        );
    }
}
