//! Numbers as people read them.

use std::time::Duration;

/// A duration to about three digits: `0.61 ms`, `12.3 ms`, `1.20 s`; `-` where there is none.
pub(crate) fn duration(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "-".to_owned() };
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        ..9.995 => format!("{millis:.2} ms"),
        ..99.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1e3),
    }
}

/// A rate per second: a digit behind the point where it is small.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// A share in percent: `86 %`; `-` of nothing.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// An amount of memory: `0.5 MiB`.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A count with commas: `12,345`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Time since a start: `0:42`, `1:02:03`.
pub(crate) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A curve of the last `width` values, `top` being as high as it gets. Nothing is a space, little is a low bar.
pub(crate) fn curve(values: impl DoubleEndedIterator<Item = f64>, top: f64, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |value: f64| {
        if value <= 0.0 || top <= 0.0 {
            return ' ';
        }
        let level = (value / top * BARS.len() as f64).ceil() as usize;
        BARS.get(level.clamp(1, BARS.len()) - 1).copied().unwrap_or(' ')
    };
    let mut bars: Vec<char> = values.rev().take(width).map(bar).collect();
    bars.reverse();
    bars.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        for (micros, text) in [
            (4, "0.00 ms"),
            (610, "0.61 ms"),
            (9_994, "9.99 ms"),
            (12_340, "12.3 ms"),
            (300_400, "300 ms"),
            (999_600, "1.00 s"),
            (12_000_000, "12.00 s"),
        ] {
            assert_eq!(duration(Some(Duration::from_micros(micros))), text);
        }
        assert_eq!(duration(None), "-");
    }

    #[test]
    fn counts_rates_and_clocks() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!([rate(0.0), rate(0.5), rate(9.96), rate(199.6)], ["0", "0.5", "10", "200"]);
        assert_eq!([percent(None), percent(Some(0.856))], ["-", "86 %"]);
        assert_eq!([mebibytes(0), mebibytes(1_500_000)], ["0.0 MiB", "1.4 MiB"]);
        assert_eq!(clock(Duration::from_secs(42)), "0:42");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }

    #[test]
    fn a_curve_shows_the_newest() {
        assert_eq!(curve([8.0, 0.0, 0.1, 4.0, 8.0].into_iter(), 8.0, 4), " ▁▄█");
        assert_eq!(curve([0.0, 1.0].into_iter(), 0.0, 4), "  ");
        assert_eq!(curve([9.0].into_iter(), 3.0, 4), "█");
    }
}
