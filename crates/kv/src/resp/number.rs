//! Numbers as the protocol writes and reads them.

/// A 64-bit integer as Redis accepts it: digits with an optional `-`, no `+`, no space, no leading zero.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    let mut value: i64 = 0;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

/// A floating-point number: decimal, with exponent, or `inf`, `+inf`, `-inf`, `infinity` in any case; never NaN, nor what
/// is too large to be finite or too small to be anything but zero.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let lost = match value {
        _ if value.is_nan() => true,
        _ if value.is_infinite() => text.iter().any(u8::is_ascii_digit),
        0.0 => {
            let digits = text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
            digits.into_iter().any(|digit| (b'1'..=b'9').contains(digit))
        }
        _ => false,
    };
    (!lost).then_some(value)
}

/// Writes a number the way Redis 7 prints scores: the shortest text that reads back as the same number, `inf`, `-inf`;
/// whole numbers without a point, an exponent outside 1e-5 … 1e21 as `1e+21`, `1e-7`.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    use std::io::Write;
    // Writing into a vector cannot fail.
    let _ = match value {
        _ if value.is_infinite() => out.write_all(if value > 0.0 { b"inf" } else { b"-inf" }),
        _ if value == 0.0 => out.write_all(if value.is_sign_negative() { b"-0" } else { b"0" }),
        _ if (1e-5..1e21).contains(&value.abs()) => write!(out, "{value}"),
        _ => {
            let text = format!("{value:e}");
            match text.split_once('e') {
                Some((digits, exponent)) if !exponent.starts_with('-') => write!(out, "{digits}e+{exponent}"),
                _ => write!(out, "{text}"),
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        assert_eq!(parse_integer(b"0"), Some(0));
        assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_integer(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "9223372036854775808", "1.0", "1a"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn floats_are_written_as_redis_writes_them() {
        let written = |value| {
            let mut out = Vec::new();
            write_float(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(3.0), "3");
        assert_eq!(written(0.1), "0.1");
        assert_eq!(written(-1.5), "-1.5");
        assert_eq!(written(f64::INFINITY), "inf");
        assert_eq!(written(f64::NEG_INFINITY), "-inf");
        assert_eq!(written(1e22), "1e+22");
        assert_eq!(written(1.5e-7), "1.5e-7");
    }

    #[test]
    fn a_float_is_no_nan() {
        assert_eq!(parse_float(b"nan"), None);
        assert_eq!(parse_float(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_float(b"1e3"), Some(1000.0));
        assert_eq!(parse_float(b""), None);
        assert_eq!(parse_float(b"0e9"), Some(0.0));
        for text in ["1e400", "-1e400", "1e-400", "0.1e-400"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
    }
}
