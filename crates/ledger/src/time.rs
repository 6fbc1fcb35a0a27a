//! Times, dates and periods as entries write them. No clock: the time comes in.

use core::fmt;

use crate::value::parse_number;

const DAY_MS: u64 = 86_400_000;
/// The last day that has a date: 9999-12-31.
const LAST_DAY: u32 = 2_932_896;
/// The longest period, in its unit: a thousand years in months, and more in days.
const MAX_COUNT: u32 = 400_000;

/// A time in UTC, in milliseconds since 1970, before the year 10000: `YYYY-MM-DDThh:mm:ss.mmmZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time of so many milliseconds; `None` from the year 10000 on.
    pub fn from_millis(millis: u64) -> Option<Timestamp> {
        (millis / DAY_MS <= u64::from(LAST_DAY)).then_some(Timestamp(millis))
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0
    }

    /// The day it falls on, in UTC.
    pub fn date(self) -> Date {
        Date::from_days((self.0 / DAY_MS) as u32).expect("a time has a date")
    }

    /// Reads a time; `None` for anything but the one text of one.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let (date, clock) = text.split_once('T')?;
        let date = Date::parse(date)?;
        let number = |from, to| clock.get(from..to).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = |from, to| number(from, to).and_then(|text: &str| text.parse::<u64>().ok());
        let (hour, minute, second, millis) = (number(0, 2)?, number(3, 5)?, number(6, 8)?, number(9, 12)?);
        let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + millis;
        let time = Timestamp(u64::from(date.days()) * DAY_MS + of_day);
        // The text is right if it is the one text of the time it seems to be.
        (hour < 24 && minute < 60 && second < 60 && alloc::format!("{time}") == text).then_some(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, seconds) = (self.0 % 1000, self.0 / 1000);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", self.date())
    }
}

/// A day of the Gregorian calendar, from 1970-01-01 to 9999-12-31: `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// The last day there is.
    pub const LAST: Date = Date { year: 9999, month: 12, day: 31 };

    /// Reads a date; `None` for anything but the one text of one.
    pub fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
        let digits = bytes.iter().enumerate().all(|(at, byte)| at == 4 || at == 7 || byte.is_ascii_digit());
        if !shaped || !digits {
            return None;
        }
        let date =
            Date { year: text[..4].parse().ok()?, month: text[5..7].parse().ok()?, day: text[8..].parse().ok()? };
        let held = (1970..=9999).contains(&date.year) && (1..=12).contains(&date.month);
        (held && (1..=days_in(date.year, date.month)).contains(&date.day)).then_some(date)
    }

    /// The day so many days after 1970-01-01; `None` after the last one.
    pub fn from_days(days: u32) -> Option<Date> {
        if days > LAST_DAY {
            return None;
        }
        // Days since 0000-03-01: years that begin in March end with the day that may be missing.
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2);
        Some(Date { year, month, day })
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> u32 {
        let year = self.year - u32::from(self.month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let shifted = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let of_year = (153 * shifted + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Its last millisecond: what is kept until a date is kept through this.
    pub fn end(self) -> Timestamp {
        Timestamp(u64::from(self.days()) * DAY_MS + DAY_MS - 1)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// How long something is kept: through a day, or `forever`, which is later than any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Until {
    /// Through this day's last millisecond, in UTC.
    Date(Date),
    /// For ever.
    Forever,
}

impl Until {
    /// Reads a date or `forever`.
    pub fn parse(text: &str) -> Option<Until> {
        if text == "forever" { Some(Until::Forever) } else { Date::parse(text).map(Until::Date) }
    }

    /// Whether it has passed at this time.
    pub fn has_passed(self, now: Timestamp) -> bool {
        match self {
            Until::Date(date) => now > date.end(),
            Until::Forever => false,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Date(date) => date.fmt(f),
            Until::Forever => f.write_str("forever"),
        }
    }
}

/// A length of time as retention counts it: `PnY`, `PnM`, `PnD`, n from 1 to 400,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// Years.
    Years(u32),
    /// Months.
    Months(u32),
    /// Days.
    Days(u32),
}

impl Period {
    /// Reads a period; `None` for anything but the one text of one.
    pub fn parse(text: &str) -> Option<Period> {
        let unit = text.chars().last()?;
        let count = parse_number(text.strip_prefix('P')?.strip_suffix(unit)?)?;
        let count = u32::try_from(count).ok().filter(|count| (1..=MAX_COUNT).contains(count))?;
        match unit {
            'Y' => Some(Period::Years(count)),
            'M' => Some(Period::Months(count)),
            'D' => Some(Period::Days(count)),
            _ => None,
        }
    }

    /// The day it ends, counted from a day: a day that does not exist becomes the first of the next month. [`Date::LAST`] for what is later.
    pub fn after(self, start: Date) -> Date {
        let months = match self {
            Period::Days(days) => return Date::from_days(start.days() + days).unwrap_or(Date::LAST),
            Period::Years(years) => years * 12,
            Period::Months(months) => months,
        };
        let total = start.year * 12 + start.month - 1 + months;
        let (year, month) = (total / 12, total % 12 + 1);
        let date = match start.day <= days_in(year, month) {
            true => Date { year, month, day: start.day },
            // Only December is followed by another year, and it lacks no day.
            false => Date { year, month: month + 1, day: 1 },
        };
        date.min(Date::LAST)
    }

    /// Whether there is a day from which this one ends sooner than the other.
    pub fn is_shorter_somewhere(self, other: Period) -> bool {
        match (self, other) {
            (Period::Days(mine), Period::Days(theirs)) => mine < theirs,
            (Period::Days(_), _) | (_, Period::Days(_)) => {
                // The calendar repeats after 400 years.
                let first = Date { year: 2000, month: 1, day: 1 }.days();
                let mut days = (first..first + 146_097).filter_map(Date::from_days);
                days.any(|day| self.after(day) < other.after(day))
            }
            (mine, theirs) => mine.months() < theirs.months(),
        }
    }

    fn months(self) -> u32 {
        match self {
            Period::Years(years) => years * 12,
            Period::Months(months) => months,
            Period::Days(_) => 0,
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Years(years) => write!(f, "P{years}Y"),
            Period::Months(months) => write!(f, "P{months}M"),
            Period::Days(days) => write!(f, "P{days}D"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn date(text: &str) -> Date {
        Date::parse(text).expect("a date")
    }

    #[test]
    fn every_day_has_one_text() {
        let mut before = None;
        for days in (0..=LAST_DAY).filter(|days| days % 17 < 2 || *days > LAST_DAY - 800) {
            let day = Date::from_days(days).expect("within the calendar");
            assert_eq!((day.days(), Date::parse(&day.to_string())), (days, Some(day)));
            assert!(before < Some(day));
            before = Some(day);
        }
        assert_eq!((Date::from_days(0), Date::from_days(LAST_DAY)), (Some(date("1970-01-01")), Some(Date::LAST)));
        assert_eq!(Date::from_days(LAST_DAY + 1), None);
        for bad in
            ["1969-12-31", "2026-02-29", "2026-13-01", "2026-00-01", "2026-1-01", "2026-01-32", "2026-01-00", "x"]
        {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_has_one_text() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp::from_millis(millis).expect("within the calendar");
            assert_eq!((time.to_string().as_str(), Timestamp::parse(text)), (text, Some(time)));
        }
        assert_eq!(Timestamp::from_millis(253_402_300_800_000), None);
        for bad in [
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "2026-01-01T00:00:60.000Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01 00:00:00.000Z",
            "2026-01-01T00:00:00.000z",
            "2026-01-01T+1:00:00.000Z",
            "2026-01-01T0é:00:00.000Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn periods_end() {
        for (start, period, end) in [
            ("2024-02-29", "P1Y", "2025-03-01"),
            ("2024-02-29", "P4Y", "2028-02-29"),
            ("2026-01-31", "P1M", "2026-03-01"),
            ("2026-12-31", "P2M", "2027-03-01"),
            ("2026-12-31", "P1M", "2027-01-31"),
            ("2026-12-31", "P1D", "2027-01-01"),
            ("2026-05-31", "P1M", "2026-07-01"),
            ("9990-01-01", "P10Y", "9999-12-31"),
            ("9999-12-31", "P400000D", "9999-12-31"),
        ] {
            let period = Period::parse(period).expect("a period");
            assert_eq!(period.after(date(start)).to_string(), end);
        }
        for bad in ["", "P", "P0Y", "P01Y", "1Y", "P1W", "P400001D", "P-1Y", "P1Y1M", "PY", "Pä"] {
            assert_eq!(Period::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn periods_of_different_units_are_compared_by_the_calendar() {
        for (one, other, shorter) in [
            ("P1Y", "P12M", false),
            ("P11M", "P1Y", true),
            ("P366D", "P1Y", false),
            ("P365D", "P1Y", true),
            ("P1Y", "P365D", false),
            ("P1Y", "P366D", true),
            ("P28D", "P28D", false),
            ("P1M", "P28D", false),
            ("P1M", "P29D", true),
        ] {
            let (one, other) = (Period::parse(one).expect("a period"), Period::parse(other).expect("a period"));
            assert_eq!(one.is_shorter_somewhere(other), shorter, "{one} {other}");
        }
    }

    #[test]
    fn what_is_kept_until_a_day_is_kept_through_it() {
        let until = Until::parse("2026-01-01").expect("a date");
        assert!(!until.has_passed(Timestamp::parse("2026-01-01T23:59:59.999Z").expect("a time")));
        assert!(until.has_passed(Timestamp::parse("2026-01-02T00:00:00.000Z").expect("a time")));
        assert!(until < Until::Forever && !Until::Forever.has_passed(Date::LAST.end()));
    }
}
