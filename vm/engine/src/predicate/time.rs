//! Parts of times: of nanoseconds since 1970 in UTC, and of text by ISO 8601 as it is written.

use trapline_vm::predicate::TimePart;

const NANOSECONDS_A_MINUTE: i64 = 60_000_000_000;
const MINUTES_A_DAY: i64 = 24 * 60;

/// A date, and a time of day if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Hour and minute.
    time: Option<(i64, i64)>,
}

/// The part of a time.
pub(super) fn of_nanoseconds(part: TimePart, nanoseconds: i64) -> i64 {
    let minutes = nanoseconds.div_euclid(NANOSECONDS_A_MINUTE);
    let (year, month, day) = date(minutes.div_euclid(MINUTES_A_DAY));
    let minute = minutes.rem_euclid(MINUTES_A_DAY);
    let moment = Moment { year, month, day, time: Some((minute / 60, minute % 60)) };
    moment.part(part).unwrap_or(0)
}

/// The part of a text; None if it is no time, or has no such part.
pub(super) fn of_text(part: TimePart, text: &[u8]) -> Option<i64> {
    Moment::read(text.trim_ascii())?.part(part)
}

impl Moment {
    fn part(self, part: TimePart) -> Option<i64> {
        Some(match part {
            TimePart::Minute => self.time?.1,
            TimePart::Hour => self.time?.0,
            TimePart::Day => self.day,
            TimePart::Week => week(self.year, self.month, self.day),
            TimePart::Month => self.month,
            TimePart::Year => self.year,
        })
    }

    /// `2026-03-01`, or that with `T` or a blank and `10:00`, `10:00:00`, `10:00:00.5`, and `Z` or an offset.
    fn read(text: &[u8]) -> Option<Self> {
        let mut rest = Reader(text);
        let (year, month, day) = (rest.number(4)?, rest.after(b"-", 2)?, rest.after(b"-", 2)?);
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        let mut moment = Self { year, month, day, time: None };
        if rest.0.is_empty() {
            return Some(moment);
        }
        let (hour, minute) = (rest.after(b"Tt ", 2)?, rest.after(b":", 2)?);
        moment.time = Some((hour, minute));
        let mut second = 0;
        if rest.0.starts_with(b":") {
            second = rest.after(b":", 2)?;
            if matches!(rest.0, [b'.' | b',', b'0'..=b'9', ..]) {
                rest.skip(1);
                rest.skip(rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count());
            }
        }
        if rest.0.starts_with(b" ") {
            rest.skip(1);
        }
        let (offset_hours, offset_minutes) = match rest.0 {
            [] => (0, 0),
            [b'Z' | b'z'] => {
                rest.skip(1);
                (0, 0)
            }
            _ => {
                let hours = rest.after(b"+-", 2)?;
                if rest.0.starts_with(b":") {
                    rest.skip(1);
                }
                (hours, if rest.0.is_empty() { 0 } else { rest.number(2)? })
            }
        };
        // 60 is a leap second.
        let good = hour <= 23 && minute <= 59 && second <= 60 && offset_hours <= 23 && offset_minutes <= 59;
        (good && rest.0.is_empty()).then_some(moment)
    }
}

struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }

    /// So many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let value =
            number.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')));
        self.0 = rest;
        value
    }

    /// So many digits after one of these.
    fn after(&mut self, signs: &[u8], digits: usize) -> Option<i64> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        signs.contains(sign).then(|| self.number(digits))?
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Years begin in March here, and eras are 400
/// of them.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year_of_era, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// The day of the year, from 1.
fn day_of_year(year: i64, month: i64, day: i64) -> i64 {
    (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day
}

/// The day of the week of the first of January, from 0 for Monday.
fn first_weekday(year: i64) -> i64 {
    let before = year - 1;
    (365 * before + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)).rem_euclid(7)
}

/// Whether a year has 53 weeks: it begins on a Thursday, or is a leap year and begins on a Wednesday.
fn weeks_of(year: i64) -> i64 {
    let first = first_weekday(year);
    if first == 3 || (first == 2 && is_leap(year)) { 53 } else { 52 }
}

/// The week by ISO 8601.
fn week(year: i64, month: i64, day: i64) -> i64 {
    let day = day_of_year(year, month, day);
    let weekday = (first_weekday(year) + day - 1).rem_euclid(7);
    match (day - weekday + 9) / 7 {
        0 => weeks_of(year - 1),
        53 if weeks_of(year) == 52 => 1,
        week => week,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [TimePart; 6] =
        [TimePart::Year, TimePart::Month, TimePart::Day, TimePart::Hour, TimePart::Minute, TimePart::Week];

    #[test]
    fn parts_of_nanoseconds() {
        for (nanoseconds, expected) in [
            (0, [1970, 1, 1, 0, 0, 1]),
            (-1, [1969, 12, 31, 23, 59, 1]),
            (951_782_399_999_999_999, [2000, 2, 28, 23, 59, 9]),
            (951_782_400_000_000_000, [2000, 2, 29, 0, 0, 9]),
            (1_767_225_599_000_000_000, [2025, 12, 31, 23, 59, 1]),
            (i64::MAX, [2262, 4, 11, 23, 47, 15]),
            (i64::MIN, [1677, 9, 21, 0, 12, 38]),
        ] {
            assert_eq!(PARTS.map(|part| of_nanoseconds(part, nanoseconds)), expected, "{nanoseconds}");
        }
    }

    #[test]
    fn weeks_by_iso_8601() {
        for (date, expected) in [
            ("2005-01-01", 53),
            ("2005-01-02", 53),
            ("2005-12-31", 52),
            ("2006-01-01", 52),
            ("2006-01-02", 1),
            ("2007-12-31", 1),
            ("2008-12-28", 52),
            ("2008-12-29", 1),
            ("2009-12-31", 53),
            ("2010-01-03", 53),
            ("2010-01-04", 1),
            ("2020-12-31", 53),
            ("2021-01-03", 53),
        ] {
            assert_eq!(of_text(TimePart::Week, date.as_bytes()), Some(expected), "{date}");
        }
    }

    /// Every day of 800 years, counted one by one.
    #[test]
    fn days_follow_each_other() {
        let (mut expected, mut weekday, mut in_week) = ((1600, 1, 1), 5, 52);
        for days in -135_140..157_000 {
            assert_eq!(date(days), expected);
            let (year, month, day) = expected;
            assert_eq!(week(year, month, day), in_week, "{expected:?}");
            weekday = (weekday + 1) % 7;
            expected = match (month, day == days_in_month(year, month)) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
            if weekday == 0 {
                // The week belongs to the year of its Thursday.
                let (year, month, day) = date(days + 4);
                in_week = (day_of_year(year, month, day) + 6) / 7;
            }
        }
    }

    #[test]
    fn texts_are_taken_as_written() {
        for (text, hour) in [
            ("2026-03-01T10:00", 10),
            ("2026-03-01 10:00:00.627", 10),
            (" 2026-03-01T10:00:60Z ", 10),
            ("2026-03-01T23:30:00+02:00", 23),
            ("2026-03-01t00:30:00,123456789123-0530", 0),
            ("2026-03-01 10:00:00 +02", 10),
        ] {
            assert_eq!(of_text(TimePart::Hour, text.as_bytes()), Some(hour), "{text}");
        }
        assert_eq!(of_text(TimePart::Day, b"2026-03-01"), Some(1));
        assert_eq!(of_text(TimePart::Hour, b"2026-03-01"), None);
        for text in [
            "",
            "10:00",
            "2026",
            "2026-3-1",
            "2026-13-01",
            "2026-02-29",
            "2026-00-01",
            "2026-03-01T",
            "2026-03-01T24:00",
            "2026-03-01T10:60",
            "2026-03-01T10:00:61",
            "2026-03-01T10:00:00.",
            "2026-03-01T10:00:00x",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00Z1",
            "01.03.2026",
            "1700000000",
        ] {
            assert_eq!(of_text(TimePart::Day, text.as_bytes()), None, "{text}");
        }
    }
}
