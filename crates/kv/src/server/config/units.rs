//! Sizes and times as people write them.

use std::time::Duration;

/// A size in bytes: `100`, `64kb` (1024), `64k` (1000), `10mb`, `2gb`, in any case, `MiB` and the like included.
pub(crate) fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let number: usize = digits.parse().ok()?;
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" | "kib" => 1 << 10,
        "m" => 1_000_000,
        "mb" | "mib" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time with its unit: `500ms`, `5s`, `10m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(end)?;
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    })
}

/// A size as `INFO` shows it: `918.98K`.
pub(crate) fn human_size(bytes: usize) -> String {
    let exact = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..0x10_0000 => format!("{:.2}K", exact / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.2}M", exact / f64::from(1 << 20)),
        _ => format!("{:.2}G", exact / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_of_redis() {
        for (text, bytes) in
            [("0", 0), ("1k", 1000), ("1KB", 1024), ("3mb", 3 << 20), ("2gb", 2 << 30), ("64MiB", 64 << 20)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "kb", "-1", "1.5mb", "1tb", "99999999999999999999", "99999999999gb"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!([human_size(12), human_size(941_032), human_size(3 << 30)], ["12B", "918.98K", "3.00G"]);
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for text in ["5", "s", "1.5s", "5 s", "1d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
