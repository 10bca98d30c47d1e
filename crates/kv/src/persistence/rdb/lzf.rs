//! Unpacks LZF, which Redis packs long strings with.
//!
//! A control byte below 32 announces that many bytes and one as they are; any other a repetition of 3 to 264 bytes that
//! were unpacked before: 3 bits of length (7: another byte is added), 13 bits of distance (liblzf, `lzf_d.c`).

/// Most that one packed byte can stand for: 264 bytes from a repetition written in 3.
const MOST: usize = 264;

/// The `length` bytes that `packed` stands for; `None` when it does not stand for so many.
pub(super) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > packed.len().saturating_mul(MOST) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = packed;
    while let [control, after @ ..] = rest {
        let control = usize::from(*control);
        if control < 32 {
            let (literal, after) = after.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            rest = after;
        } else {
            let (repeated, after) = match control >> 5 {
                7 => after.split_first().map(|(more, after)| (7 + usize::from(*more) + 2, after))?,
                short => (short + 2, after),
            };
            let (low, after) = after.split_first()?;
            let distance = ((control & 31) << 8 | usize::from(*low)) + 1;
            let from = out.len().checked_sub(distance)?;
            // Source and destination may overlap: what is repeated may be what the repetition made.
            let mut left = repeated;
            while left > 0 {
                let step = left.min(out.len() - from);
                out.extend_from_within(from..from + step);
                left -= step;
            }
            rest = after;
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn literals_and_repetitions_come_back() {
        assert_eq!(unpack(b"\x02abc", 3).unwrap(), b"abc");
        // "ab", then 8 bytes from 2 back, which overlap themselves.
        assert_eq!(unpack(b"\x01ab\xc0\x01", 10).unwrap(), b"ababababab");
        // The long form: 7 + 10 + 2.
        assert_eq!(unpack(b"\x00a\xe0\x0a\x00", 20).unwrap(), [b'a'; 20]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (packed, length) in [
            (&b"\x02ab"[..], 3),
            (b"\x02abc", 4),
            (b"\x02abc", 2),
            (b"\x00a\x20\x05", 4),
            (b"\x20", 3),
            (b"\xe0", 3),
            (b"\x02abc", usize::MAX),
        ] {
            assert_eq!(unpack(packed, length), None, "{}", packed.escape_ascii());
        }
    }
}
