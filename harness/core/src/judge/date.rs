//! A day of the Gregorian calendar: enough to say whether a date has passed.
//!
//! Deliberately absent: times of day, time zones and the clock; the command hands today in.

use std::fmt;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i32,
    month: u32,
    day: u32,
}

impl Date {
    /// Reads `YYYY-MM-DD`; `None` where that is no day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str, count: usize| {
            let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let date = Self {
            year: i32::try_from(digits(year, 4)?).ok()?,
            month: digits(month, 2)?,
            day: digits(day, 2)?,
        };
        // A day that is not in the calendar comes back as another one.
        let is_real = (1..=12).contains(&date.month) && Self::from_days(date.days()) == date;
        is_real.then_some(date)
    }

    /// The day so many days after 1970-01-01.
    ///
    /// Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
    #[must_use]
    pub fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on, so that the leap day is the year's last.
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |number: i64| u32::try_from(number).unwrap_or(0);
        Self { year: i32::try_from(year).unwrap_or(i32::MAX), month: small(month), day: small(day) }
    }

    /// Days from 1970-01-01; the inverse, `days_from_civil`.
    #[must_use]
    pub fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Days from here to `later`; negative where that is earlier.
    #[must_use]
    pub fn days_until(self, later: Self) -> i64 {
        later.days() - self.days()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn days_count_as_the_calendar_does() {
        // `date -u -d DATE +%s`, divided by 86400.
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2024-12-31", 20_088),
            ("2026-11-21", 20_778),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!(date(text).days(), days, "{text}");
            assert_eq!(Date::from_days(days).to_string(), text);
        }
        for days in -800_000..800_000 {
            assert_eq!(Date::from_days(days).days(), days);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "2026-04-00",
            "2026-4-1",
            "26-04-01",
            "2026-04-01 ",
            "2026-04-01T00:00",
            "+026-04-01",
            "soon",
            "",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(date("2024-02-29").to_string(), "2024-02-29");
    }

    #[test]
    fn dates_are_ordered_and_counted() {
        assert!(date("2026-12-31") < date("2027-01-01"));
        assert_eq!(date("2026-12-31").days_until(date("2027-01-01")), 1);
        assert_eq!(date("2027-01-01").days_until(date("2026-12-30")), -2);
    }
}
