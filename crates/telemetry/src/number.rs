//! Numbers as decimal text, written straight into a byte buffer.

/// Writes `n`.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Writes `n` with leading zeros to `width` digits.
#[inline]
pub(crate) fn put_padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n).as_bytes();
    for _ in digits.len()..width {
        out.push(b'0');
    }
    out.extend_from_slice(digits);
}

/// Writes microseconds as seconds, exactly and without trailing zeros: 1_500_000 is `1.5`, 2_000_000 is `2`.
pub(crate) fn put_seconds(out: &mut Vec<u8>, micros: u64) {
    put(out, micros / 1_000_000);
    let (mut part, mut width) = (micros % 1_000_000, 6);
    if part == 0 {
        return;
    }
    while part % 10 == 0 {
        part /= 10;
        width -= 1;
    }
    out.push(b'.');
    put_padded(out, part, width);
}

/// Writes microseconds as milliseconds with the unit, always three decimals: 1_500 is `1.500ms`.
pub(crate) fn put_milliseconds(out: &mut Vec<u8>, micros: u64) {
    put(out, micros / 1_000);
    out.push(b'.');
    put_padded(out, micros % 1_000, 3);
    out.extend_from_slice(b"ms");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_and_milliseconds() {
        for (micros, seconds) in [
            (0, "0"),
            (1, "0.000001"),
            (500, "0.0005"),
            (1_500_000, "1.5"),
            (30_000_000, "30"),
            (10_010_100, "10.0101"),
        ] {
            assert_eq!(text(|out| put_seconds(out, micros)), seconds);
        }
        assert_eq!(text(|out| put_milliseconds(out, 1_234)), "1.234ms");
        assert_eq!(text(|out| put_milliseconds(out, 61_000_005)), "61000.005ms");
    }

    proptest! {
        #[test]
        fn like_format(n in any::<u64>(), width in 0usize..12) {
            prop_assert_eq!(text(|out| put(out, n)), format!("{n}"));
            prop_assert_eq!(text(|out| put_padded(out, n, width)), format!("{n:0width$}"));
        }

        #[test]
        fn seconds_read_back(micros in 0u64..1 << 50) {
            let read: f64 = text(|out| put_seconds(out, micros)).parse().unwrap();
            prop_assert_eq!((read * 1e6).round() as u64, micros);
        }
    }
}
