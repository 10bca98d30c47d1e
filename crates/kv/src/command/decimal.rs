//! Sums of decimal numbers for `INCRBYFLOAT` and `HINCRBYFLOAT`.
//!
//! Redis adds in 80-bit floating point and prints 17 digits behind the point, so that 10.5 and 0.1 make 10.6. Here the
//! sum is exact to 17 digits behind the point for numbers up to 10^21, and in 64-bit floating point beyond.

use crate::resp::parse_float;

/// Digits behind the point.
const DIGITS: u32 = 17;
/// One, in units of the last digit.
const ONE: i128 = 10_i128.pow(DIGITS);

/// The sum as text, without an exponent or trailing zeros. `None` if it is infinite, or if one is no number at all.
pub(super) fn sum(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let float = parse_float(one)? + parse_float(other)?;
    if !float.is_finite() {
        return None;
    }
    let exact = fixed(one).zip(fixed(other)).and_then(|(one, other)| one.checked_add(other));
    let mut text = match exact {
        Some(sum) => {
            let (whole, part) =
                (sum.unsigned_abs() / ONE.unsigned_abs(), sum.unsigned_abs() % ONE.unsigned_abs());
            format!("{}{whole}.{part:0width$}", if sum < 0 { "-" } else { "" }, width = DIGITS as usize)
        }
        None => format!("{float:.width$}", width = DIGITS as usize),
    };
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    Some(text.into_bytes())
}

/// A number in units of the last digit, rounded; `None` if it is too large. The text is a number without an infinity.
fn fixed(text: &[u8]) -> Option<i128> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut parts = text.split(|byte| matches!(byte, b'e' | b'E'));
    let digits = parts.next()?;
    let mut exponent: i64 = match parts.next() {
        Some(exponent) => std::str::from_utf8(exponent).ok()?.parse().ok()?,
        None => 0,
    };
    let (mut value, mut behind_point) = (0_i128, false);
    for digit in digits {
        if *digit == b'.' {
            behind_point = true;
            continue;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit.wrapping_sub(b'0')))?;
        exponent -= i64::from(behind_point);
    }
    let shift = exponent.saturating_add(i64::from(DIGITS));
    let power = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
    let value = match (shift < 0, power) {
        _ if value == 0 => 0,
        (false, power) => value.checked_mul(power?)?,
        (true, Some(power)) => value / power + i128::from(value % power >= power - value % power),
        (true, None) => 0,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_redis() {
        for (one, other, expected) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3", "-1.5", "1.5"),
            ("1", "-1", "0"),
            ("-1.5", "1.25", "-0.25"),
            ("1e-17", "0", "0.00000000000000001"),
            ("1e-18", "0", "0"),
            ("5e-18", "0", "0.00000000000000001"),
            ("1e-300", "2.", "2"),
            (".5", "+.5", "1"),
            ("1e20", "1", "100000000000000000001"),
            ("-0", "0", "0"),
            ("1e22", "1e22", "20000000000000000000000"),
        ] {
            let sum = sum(one.as_bytes(), other.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(sum).unwrap(), expected, "{one} + {other}");
        }
        for (one, other) in [("inf", "1"), ("1e308", "1e308"), ("nan", "1"), ("", "1"), ("1", "x")] {
            assert_eq!(sum(one.as_bytes(), other.as_bytes()), None, "{one} + {other}");
        }
    }

    #[test]
    fn adding_a_tenth_a_thousand_times_makes_a_hundred() {
        let mut value = b"0".to_vec();
        for _ in 0..1000 {
            value = sum(&value, b"0.1").unwrap();
        }
        assert_eq!(value, b"100");
    }
}
