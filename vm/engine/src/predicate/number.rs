//! Text that is a number: exact, however many digits it has.
//!
//! Decimal with or without sign and fraction, or hexadecimal of at most [`HEX_DIGITS_MAX`] digits after `0x`, as Windows
//! writes numbers. Blanks around it are left out. Exponents, digit groups and words are no numbers.

use std::cmp::Ordering;

/// The most digits of a hexadecimal number: 64 bits, without a sign.
pub const HEX_DIGITS_MAX: usize = 16;
/// Decimal digits that 64 bits can take.
const DIGITS_MAX: usize = 20;

/// A number: digits without zeros that change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    whole: Box<[u8]>,
    fraction: Box<[u8]>,
}

/// A number whose digits are those of a text.
#[derive(Clone, Copy)]
struct Digits<'t> {
    negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
}

impl Number {
    /// Reads a decimal number. None if it is none.
    pub(super) fn new(text: &str) -> Option<Self> {
        let Digits { negative, whole, fraction } = decimal(text.as_bytes())?;
        Some(Self { negative, whole: whole.into(), fraction: fraction.into() })
    }

    /// How a text compares with this number; None if it is no number.
    pub(super) fn compared(&self, text: &[u8]) -> Option<Ordering> {
        let text = text.trim_ascii();
        let own = Digits { negative: self.negative, whole: &self.whole, fraction: &self.fraction };
        match text {
            [b'0', b'x' | b'X', digits @ ..] => {
                let mut room = [0; DIGITS_MAX];
                Some(order(Digits { negative: false, whole: hexadecimal(digits, &mut room)?, fraction: &[] }, own))
            }
            _ => decimal(text).map(|digits| order(digits, own)),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |digits| std::str::from_utf8(digits).unwrap_or_default();
        f.write_str(if self.negative { "-" } else { "" })?;
        f.write_str(if self.whole.is_empty() { "0" } else { text(&self.whole) })?;
        if self.fraction.is_empty() { Ok(()) } else { write!(f, ".{}", text(&self.fraction)) }
    }
}

fn decimal(text: &[u8]) -> Option<Digits<'_>> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = parts.next()?;
    let fraction = parts.next();
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        return None;
    }
    let fraction = fraction.unwrap_or_default();
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    let zeros_behind = fraction.iter().rev().take_while(|byte| **byte == b'0').count();
    let whole = whole.get(zeros..)?;
    let fraction = fraction.get(..fraction.len() - zeros_behind)?;
    // There is one zero.
    Some(Digits { negative: negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction })
}

/// The decimal digits of a hexadecimal number.
fn hexadecimal<'r>(digits: &[u8], room: &'r mut [u8; DIGITS_MAX]) -> Option<&'r [u8]> {
    if digits.is_empty() || digits.len() > HEX_DIGITS_MAX {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        value = value << 4 | u64::from(char::from(*digit).to_digit(16)?);
    }
    let mut start = DIGITS_MAX;
    for (at, place) in room.iter_mut().enumerate().rev() {
        if value == 0 {
            break;
        }
        // A digit.
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        start = at;
    }
    room.get(start..)
}

fn order(left: Digits<'_>, right: Digits<'_>) -> Ordering {
    let size = |number: Digits<'_>, other: Digits<'_>| {
        (number.whole.len(), number.whole, number.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    };
    match (left.negative, right.negative) {
        (false, false) => size(left, right),
        (true, true) => size(right, left),
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(text: &str, number: &str) -> Option<Ordering> {
        Number::new(number).unwrap().compared(text.as_bytes())
    }

    #[test]
    fn numbers_are_compared_by_value() {
        use Ordering::{Equal, Greater, Less};
        for (text, number, expected) in [
            ("1", "1", Equal),
            ("01.50", "1.5", Equal),
            ("-0", "0", Equal),
            ("+7", "7", Equal),
            (" 7\t", "7", Equal),
            ("10", "9", Greater),
            ("-10", "-9", Less),
            ("-1", "1", Less),
            ("1", "-1", Greater),
            ("0.5", "0.25", Greater),
            ("0.5", "0.51", Less),
            ("0.50000000000000000000000000001", "0.5", Greater),
            ("100000000000000000000000000000", "99999999999999999999999999999", Greater),
            ("9007199254740993", "9007199254740992", Greater),
            ("0x1f4", "500", Equal),
            ("0X1F4", "499.5", Greater),
            ("0x0", "0", Equal),
            ("0xffffffffffffffff", "18446744073709551615", Equal),
        ] {
            assert_eq!(compared(text, number), Some(expected), "{text} {number}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["", "-", "+", ".", "1.", ".5", "1e5", "1,000", "1 0", "--1", "0x", "0xg", "-0x1", "inf", "NaN", "١"]
        {
            assert_eq!(compared(text, "1"), None, "{text}");
        }
        assert_eq!(Number::new("0x1f"), None);
        assert_eq!(Number::new(" 1"), None);
    }

    #[test]
    fn hexadecimal_digits_at_and_over_their_number() {
        for (len, good) in [(HEX_DIGITS_MAX - 1, true), (HEX_DIGITS_MAX, true), (HEX_DIGITS_MAX + 1, false)] {
            assert_eq!(compared(&format!("0x{}", "0".repeat(len)), "0").is_some(), good, "{len}");
        }
    }

    #[test]
    fn one_text_for_each_number() {
        for (text, shown) in [("007", "7"), ("-0.0", "0"), ("+1.50", "1.5"), ("-0.5", "-0.5")] {
            assert_eq!(Number::new(text).unwrap().to_string(), shown);
        }
    }
}
