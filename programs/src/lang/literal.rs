//! What the text of a literal means: escapes, numbers with units, times, hex. Pure functions over text.

use std::ops::Range;

/// Nanoseconds of a second.
pub(crate) const SECOND_NS: i64 = 1_000_000_000;
/// Slot value of the decimal 1.
pub(crate) const DECIMAL_ONE: i64 = 1_000_000;

/// A string with its escapes resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cooked {
    /// The text it stands for.
    pub text: String,
    /// Mistakes: byte range within the token, and what is wrong.
    pub errors: Vec<(Range<usize>, String)>,
    /// Where escapes moved things: (byte in `text`, byte in the token) pairs, each holding until the next.
    steps: Vec<(usize, usize)>,
}

impl Cooked {
    /// Text that was never written in a rule.
    pub(crate) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The byte within the token that byte `at` of the text came from.
    pub fn origin(&self, at: usize) -> usize {
        let index = self.steps.partition_point(|(cooked, _)| *cooked <= at);
        match index.checked_sub(1).and_then(|index| self.steps.get(index)) {
            Some((cooked, raw)) => raw + (at - cooked),
            None => at,
        }
    }
}

/// Resolves the escapes of a `"…"` token, or strips the quotes of a `'…'` one.
pub(crate) fn cook(token: &str) -> Cooked {
    let mut out = Cooked::default();
    let Some(quote) = token.chars().next() else { return out };
    out.steps.push((0, quote.len_utf8()));
    let body = token.get(quote.len_utf8()..).unwrap_or_default();
    if quote != '"' {
        out.text = body.strip_suffix(quote).unwrap_or(body).to_owned();
        return out;
    }
    let mut chars = body.char_indices().map(|(at, c)| (at + 1, c)).peekable();
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => break,
            '\\' => {
                let Some((_, escape)) = chars.next() else { break };
                let simple = match escape {
                    'n' => Some('\n'),
                    'r' => Some('\r'),
                    't' => Some('\t'),
                    '0' => Some('\0'),
                    '\\' | '"' | '\'' => Some(escape),
                    _ => None,
                };
                if let Some(simple) = simple {
                    out.text.push(simple);
                } else if escape == '\n' || escape == '\r' {
                    // The string goes on at the first thing on the next line.
                    while chars.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
                } else if escape == 'x' {
                    let mut digits = String::new();
                    while digits.len() < 2 {
                        let Some((_, digit)) = chars.next_if(|(_, c)| c.is_ascii_hexdigit()) else { break };
                        digits.push(digit);
                    }
                    match u8::from_str_radix(&digits, 16) {
                        Ok(byte) if digits.len() == 2 && byte < 0x80 => out.text.push(char::from(byte)),
                        _ => out.errors.push((
                            at..at + 2 + digits.len(),
                            "`\\x` takes two hex digits up to 7F; write `\\u{…}` for other characters".to_owned(),
                        )),
                    }
                } else if escape == 'u' {
                    let mut digits = String::new();
                    let mut closed = false;
                    if chars.next_if(|(_, c)| *c == '{').is_some() {
                        while let Some((_, digit)) = chars.next_if(|(_, c)| c.is_ascii_hexdigit() || *c == '}') {
                            if digit == '}' {
                                closed = true;
                                break;
                            }
                            digits.push(digit);
                        }
                    }
                    match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                        Some(c) if closed => out.text.push(c),
                        _ => {
                            let end = chars.peek().map_or(token.len(), |(end, _)| *end);
                            let message = "`\\u` takes a character's number in hex: `\\u{20AC}`".to_owned();
                            out.errors.push((at..end, message));
                        }
                    }
                } else {
                    out.errors
                        .push((at..at + 1 + escape.len_utf8(), format!("`\\{}` is no escape", escape.escape_debug())));
                    out.text.push('\\');
                    out.text.push(escape);
                }
                let resume = chars.peek().map_or(token.len(), |(resume, _)| *resume);
                out.steps.push((out.text.len(), resume));
            }
            other => out.text.push(other),
        }
    }
    out
}

/// A number with its unit applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// `42`, `1_000`, `0x1F`, `8KiB`.
    Int(i64),
    /// `1.5`, in millionths.
    Decimal(i64),
    /// `30s`, `1h30m`, in nanoseconds.
    Duration(i64),
}

/// What a unit multiplies with: nanoseconds, or bytes.
enum Unit {
    Duration(i64),
    Size(i64),
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "ns" => Unit::Duration(1),
        "us" => Unit::Duration(1_000),
        "ms" => Unit::Duration(1_000_000),
        "s" => Unit::Duration(SECOND_NS),
        "m" => Unit::Duration(60 * SECOND_NS),
        "h" => Unit::Duration(3_600 * SECOND_NS),
        "d" => Unit::Duration(86_400 * SECOND_NS),
        "w" => Unit::Duration(7 * 86_400 * SECOND_NS),
        "B" => Unit::Size(1),
        "kB" => Unit::Size(1_000),
        "MB" => Unit::Size(1_000_000),
        "GB" => Unit::Size(1_000_000_000),
        "TB" => Unit::Size(1_000_000_000_000),
        "KiB" => Unit::Size(1 << 10),
        "MiB" => Unit::Size(1 << 20),
        "GiB" => Unit::Size(1 << 30),
        "TiB" => Unit::Size(1 << 40),
        _ => return None,
    })
}

const UNITS: &str = "durations end in ns, us, ms, s, m, h, d or w; sizes in B, kB, MB, GB, TB, KiB, MiB, GiB or TiB";
const TOO_LARGE: &str = "the number does not fit 64 bits";

/// Reads a number token: `Err` says what is wrong with it.
pub(crate) fn number(token: &str) -> Result<Number, String> {
    let clean: String = token.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = clean.strip_prefix("0x").or_else(|| clean.strip_prefix("0X")) {
        if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("a hex number is `0x` and hex digits".to_owned());
        }
        return i64::from_str_radix(hex, 16).map(Number::Int).map_err(|_| TOO_LARGE.to_owned());
    }
    let mut rest = clean.as_str();
    let mut total: i128 = 0;
    let mut duration: Option<bool> = None;
    while !rest.is_empty() {
        let whole_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(whole_len);
        let fraction = match after.strip_prefix('.') {
            Some(tail) => tail.split_at(tail.bytes().take_while(u8::is_ascii_digit).count()).0,
            None => "",
        };
        let after = if fraction.is_empty() { after } else { after.split_at(fraction.len() + 1).1 };
        let name_len = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, next) = after.split_at(name_len);
        if whole.is_empty() || next.starts_with('.') {
            return Err("this is no number".to_owned());
        }
        let whole: i128 = whole.parse().map_err(|_| TOO_LARGE.to_owned())?;
        if name.is_empty() {
            if duration.is_some() || !next.is_empty() {
                return Err(format!("a unit is missing: {UNITS}"));
            }
            if fraction.is_empty() {
                return i64::try_from(whole).map(Number::Int).map_err(|_| TOO_LARGE.to_owned());
            }
            if fraction.len() > 6 {
                return Err("decimals have at most six digits after the point".to_owned());
            }
            let scaled: i128 = format!("{fraction:0<6}").parse().map_err(|_| TOO_LARGE.to_owned())?;
            let value = whole.checked_mul(i128::from(DECIMAL_ONE)).and_then(|value| value.checked_add(scaled));
            let value = value.and_then(|value| i64::try_from(value).ok());
            return value.map(Number::Decimal).ok_or_else(|| TOO_LARGE.to_owned());
        }
        let Some(unit) = unit(name) else { return Err(format!("`{name}` is no unit: {UNITS}")) };
        let (factor, is_duration) = match unit {
            Unit::Duration(factor) => (factor, true),
            Unit::Size(factor) => (factor, false),
        };
        // `1h30m` adds up; sizes come alone.
        if duration.is_some() && !(duration == Some(true) && is_duration) {
            return Err("only durations are written in several parts (`1h30m`)".to_owned());
        }
        duration = Some(is_duration);
        let mut value = whole.checked_mul(i128::from(factor)).ok_or_else(|| TOO_LARGE.to_owned())?;
        if !fraction.is_empty() {
            let digits = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
            let scale = 10i128.checked_pow(digits).filter(|_| digits <= 12);
            let parts: Option<i128> = fraction.parse().ok();
            let (Some(scale), Some(parts)) = (scale, parts) else {
                return Err("too many digits after the point".to_owned());
            };
            value += parts * i128::from(factor) / scale;
        }
        total = total.checked_add(value).ok_or_else(|| TOO_LARGE.to_owned())?;
        rest = next;
    }
    let total = i64::try_from(total).map_err(|_| TOO_LARGE.to_owned())?;
    match duration {
        Some(true) => Ok(Number::Duration(total)),
        Some(false) => Ok(Number::Int(total)),
        None => Err("this is no number".to_owned()),
    }
}

/// Whether these digits with a minus before them are the least integer.
pub(crate) fn is_least(token: &str) -> bool {
    token.chars().filter(|c| *c != '_').eq(i64::MIN.unsigned_abs().to_string().chars())
}

/// Bytes from hex digits; `Err` says what is wrong.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>, String> {
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!("`{}` is no hex digit", bad.escape_debug()));
    }
    if !text.len().is_multiple_of(2) {
        return Err("hex digits come in pairs".to_owned());
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    Ok(text.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect())
}

/// Days from 1970-01-01 of a date of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last; 400 years have 146 097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Nanoseconds since 1970 of an RFC 3339 time, or of a date alone (its first instant, UTC).
pub(crate) fn time(text: &str) -> Result<i64, String> {
    const SHAPE: &str =
        "times are written like \"2027-01-31T18:30:00Z\", \"2027-01-31T18:30:00.5+02:00\" or \"2027-01-31\"";
    parse_time(text).ok_or_else(|| SHAPE.to_owned())
}

fn parse_time(text: &str) -> Option<i64> {
    fn digits(text: &mut &str, count: usize) -> Option<i64> {
        let (head, tail) = text.split_at_checked(count)?;
        if !head.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *text = tail;
        head.parse().ok()
    }
    fn mark(text: &mut &str, marks: &[char]) -> Option<()> {
        *text = text.strip_prefix(marks)?;
        Some(())
    }
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    mark(&mut rest, &['-'])?;
    let month = digits(&mut rest, 2)?;
    mark(&mut rest, &['-'])?;
    let day = digits(&mut rest, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_len = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_len).contains(&day) {
        return None;
    }
    let mut seconds = days_from_civil(year, month, day) * 86_400;
    let mut fraction_ns = 0;
    if !rest.is_empty() {
        mark(&mut rest, &['T', 't', ' '])?;
        let hour = digits(&mut rest, 2)?;
        mark(&mut rest, &[':'])?;
        let minute = digits(&mut rest, 2)?;
        mark(&mut rest, &[':'])?;
        let second = digits(&mut rest, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds += hour * 3_600 + minute * 60 + second;
        if mark(&mut rest, &['.']).is_some() {
            let len = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&len) {
                return None;
            }
            let value = digits(&mut rest, len)?;
            fraction_ns = value * 10i64.pow(9 - u32::try_from(len).ok()?);
        }
        match rest {
            "Z" | "z" => {}
            _ => {
                let sign = if rest.starts_with('-') { -1 } else { 1 };
                mark(&mut rest, &['+', '-'])?;
                let hours = digits(&mut rest, 2)?;
                mark(&mut rest, &[':'])?;
                let minutes = digits(&mut rest, 2)?;
                if hours > 23 || minutes > 59 || !rest.is_empty() {
                    return None;
                }
                seconds -= sign * (hours * 3_600 + minutes * 60);
            }
        }
    }
    seconds.checked_mul(SECOND_NS)?.checked_add(fraction_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(cook(r#""a\n\t\\\"\x41\u{20ac}""#).text, "a\n\t\\\"A€");
        assert_eq!(cook(r"'C:\Windows\new'").text, r"C:\Windows\new");
        assert_eq!(cook("\"one \\\n     two\"").text, "one two");
        assert_eq!(cook("\"\"").text, "");
        assert_eq!(cook("\"open").text, "open");
        assert_eq!(cook("'open").text, "open");
        let bad = cook(r#""C:\Windows\é""#);
        assert_eq!(bad.errors.iter().map(|(range, _)| range.clone()).collect::<Vec<_>>(), [3..5, 11..14]);
        for text in [r#""\x8""#, r#""\xff""#, r#""\u{}""#, r#""\u{110000}""#, r#""\u41""#, r#""\u{41""#] {
            assert_eq!(cook(text).errors.len(), 1, "{text}");
        }
    }

    #[test]
    fn origin_of_cooked_bytes() {
        let cooked = cook(r#""a\nb\\c""#);
        assert_eq!(cooked.text, "a\nb\\c");
        assert_eq!((0..5).map(|at| cooked.origin(at)).collect::<Vec<_>>(), [1, 2, 4, 5, 7]);
    }

    #[test]
    fn numbers() {
        assert_eq!(number("1_000"), Ok(Number::Int(1000)));
        assert_eq!(number("0x1F"), Ok(Number::Int(31)));
        assert_eq!(number("8KiB"), Ok(Number::Int(8192)));
        assert_eq!(number("1.5"), Ok(Number::Decimal(1_500_000)));
        assert_eq!(number("1.5MB"), Ok(Number::Int(1_500_000)));
        assert_eq!(number("30s"), Ok(Number::Duration(30 * SECOND_NS)));
        assert_eq!(number("1h30m"), Ok(Number::Duration(5400 * SECOND_NS)));
        assert_eq!(number("9223372036854775807"), Ok(Number::Int(i64::MAX)));
        for bad in
            ["9223372036854775808", "1.1234567", "5x", "1h30", "1KiB2KiB", "0x", "0xg", "1.2.3", "1__", "9999999w"]
        {
            let read = number(bad);
            if bad == "1__" {
                assert_eq!(read, Ok(Number::Int(1)));
            } else {
                assert!(read.is_err(), "{bad}: {read:?}");
            }
        }
    }

    #[test]
    fn times() {
        assert_eq!(time("1970-01-01"), Ok(0));
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
        assert_eq!(time("2024-07-19T04:09:00Z"), Ok(1_721_362_140 * SECOND_NS));
        assert_eq!(time("2024-07-19T06:09:00+02:00"), Ok(1_721_362_140 * SECOND_NS));
        assert_eq!(time("2000-02-29"), Ok(951_782_400 * SECOND_NS));
        assert_eq!(time("1969-12-31T23:59:59Z"), Ok(-SECOND_NS));
        for bad in [
            "",
            "2024",
            "2024-13-01",
            "2023-02-29",
            "2024-01-01T",
            "2024-01-01T00:00:00",
            "2024-01-01T24:00:00Z",
            "9999-12-31",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0200",
            "2024-01-0é",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_digits() {
        assert_eq!(hex("00fF"), Ok(vec![0, 255]));
        assert!(hex("0").is_err());
        assert!(hex("zz").is_err());
        assert!(hex("é").is_err());
    }
}
