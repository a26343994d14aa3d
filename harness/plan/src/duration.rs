//! Times in text: a whole number with a unit, `5us`, `5ms` or `5s`.
//!
//! Deliberately absent: fractions and longer units; plans and limits need neither.

const UNITS: [(&str, u64); 3] = [("us", 1), ("ms", 1_000), ("s", 1_000_000)];

/// The longest time that a plan or scenario may name, in microseconds: one day.
pub(crate) const DURATION_MAX_US: u64 = 24 * 3600 * 1_000_000;

/// Microseconds of a time like `5ms`; none where it is malformed or longer than a day.
#[must_use]
pub fn parse_duration_us(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|duration_us| *duration_us <= DURATION_MAX_US)
}

/// The shortest exact form, e.g. `50ms`: the largest unit in which it is a whole number.
#[must_use]
pub fn print_duration_us(duration_us: u64) -> String {
    UNITS
        .into_iter()
        .rev()
        .find(|(_, factor)| duration_us != 0 && duration_us.is_multiple_of(*factor))
        .map_or_else(
            || format!("{duration_us}us"),
            |(name, factor)| format!("{}{name}", duration_us / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, duration_us, printed) in [
            ("5us", 5, "5us"),
            ("5ms", 5_000, "5ms"),
            ("2s", 2_000_000, "2s"),
            ("1000us", 1_000, "1ms"),
            ("0s", 0, "0us"),
            ("1500ms", 1_500_000, "1500ms"),
        ] {
            assert_eq!(parse_duration_us(text), Some(duration_us));
            assert_eq!(print_duration_us(duration_us), printed);
        }
        for text in
            ["", "5", "ms", "-5ms", "5 ms", "5min", "1.5s", "86401s", "99999999999999999999s"]
        {
            assert_eq!(parse_duration_us(text), None, "{text}");
        }
    }
}
