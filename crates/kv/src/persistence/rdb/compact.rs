//! The encodings in which Redis keeps small collections in one piece of memory, and writes them as such: integer sets,
//! listpacks, ziplists. Only read here.
//!
//! All of them: `Err` says what is wrong, and what `visit` refuses ends the reading.

use crate::store::Text;

/// What is wrong with a piece.
pub(super) type Malformed = &'static str;

/// Visits the numbers of an integer set: width and count in four bytes each, then the numbers, all little-endian
/// (`intset.h`).
pub(super) fn intset(bytes: &[u8], mut visit: impl FnMut(Text)) -> Result<(), Malformed> {
    const MALFORMED: Malformed = "a malformed integer set";
    let (width, bytes) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let (count, bytes) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    let (width, count) = (u32::from_le_bytes(*width) as usize, u32::from_le_bytes(*count) as usize);
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width) != Some(bytes.len()) {
        return Err(MALFORMED);
    }
    for number in bytes.chunks_exact(width) {
        visit(Text::from(integer(number)));
    }
    Ok(())
}

/// Visits the elements of a listpack: its size in four bytes, their number in two, the elements, 255. Behind each
/// element stands its length, for reading backwards (`listpack.c`).
pub(super) fn listpack(bytes: &[u8], mut visit: impl FnMut(Text)) -> Result<(), Malformed> {
    const MALFORMED: Malformed = "a malformed listpack";
    let mut rest = framed(bytes, 4, 2).ok_or(MALFORMED)?;
    while !rest.is_empty() {
        let (head, element, after) = packed(rest).ok_or(MALFORMED)?;
        let length = head + if let Packed::Bytes(bytes) = &element { bytes.len() } else { 0 };
        visit(element.text());
        rest = after.get(backwards(length)..).ok_or(MALFORMED)?;
    }
    Ok(())
}

/// Visits the entries of a ziplist: its size and the place of its tail in four bytes each, their number in two, the
/// entries, 255. Before each entry stands the length of the one before it (`ziplist.c`).
pub(super) fn ziplist(bytes: &[u8], mut visit: impl FnMut(Text)) -> Result<(), Malformed> {
    const MALFORMED: Malformed = "a malformed ziplist";
    let mut rest = framed(bytes, 8, 2).ok_or(MALFORMED)?;
    while let [before, after @ ..] = rest {
        let entry = if *before < 254 { after } else { after.get(4..).ok_or(MALFORMED)? };
        let (entry, after) = zipped(entry).ok_or(MALFORMED)?;
        visit(entry.text());
        rest = after;
    }
    Ok(())
}

/// One element of a piece.
enum Packed<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
}

impl Packed<'_> {
    fn text(&self) -> Text {
        match *self {
            Self::Bytes(bytes) => Text::new(bytes),
            Self::Integer(number) => Text::from(number),
        }
    }
}

/// What stands between the head of a piece and the 255 at its end; the head begins with the size of the whole.
fn framed(bytes: &[u8], sizes: usize, count: usize) -> Option<&[u8]> {
    let size = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    if size != bytes.len() {
        return None;
    }
    bytes.get(sizes + count..)?.strip_suffix(&[255])
}

/// An element of a listpack: bytes before its content (all bytes for a number), the element, what follows.
fn packed(bytes: &[u8]) -> Option<(usize, Packed<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let text = |head: usize, length: usize| {
        let (content, after) = bytes.get(head..)?.split_at_checked(length)?;
        Some((head, Packed::Bytes(content), after))
    };
    let number = |width: usize| {
        let (content, after) = rest.split_at_checked(width)?;
        Some((1 + width, Packed::Integer(integer(content)), after))
    };
    match *first {
        small @ 0..=0x7f => Some((1, Packed::Integer(i64::from(small)), rest)),
        0x80..=0xbf => text(1, usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let (low, after) = rest.split_first()?;
            let unsigned = i64::from(first & 0x1f) << 8 | i64::from(*low);
            let signed = if unsigned >= 1 << 12 { unsigned - (1 << 13) } else { unsigned };
            Some((2, Packed::Integer(signed), after))
        }
        0xe0..=0xef => text(2, usize::from(first & 0x0f) << 8 | usize::from(*rest.first()?)),
        0xf0 => text(5, u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize),
        0xf1 => number(2),
        0xf2 => number(3),
        0xf3 => number(4),
        0xf4 => number(8),
        _ => None,
    }
}

/// Bytes that the length of an element takes behind it (`lpEncodeBacklenBytes`).
fn backwards(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16382 => 2,
        16383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// An entry of a ziplist, from its encoding on, and what follows.
fn zipped(bytes: &[u8]) -> Option<(Packed<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let text = |head: usize, length: usize| {
        let (content, after) = bytes.get(head..)?.split_at_checked(length)?;
        Some((Packed::Bytes(content), after))
    };
    let number = |width: usize| {
        let (content, after) = rest.split_at_checked(width)?;
        Some((Packed::Integer(integer(content)), after))
    };
    match *first {
        0..=0x3f => text(1, usize::from(*first)),
        0x40..=0x7f => text(2, usize::from(first & 0x3f) << 8 | usize::from(*rest.first()?)),
        0x80 => text(5, u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize),
        0xc0 => number(2),
        0xd0 => number(4),
        0xe0 => number(8),
        0xf0 => number(3),
        0xfe => number(1),
        0xf1..=0xfd => Some((Packed::Integer(i64::from(first & 0x0f) - 1), rest)),
        _ => None,
    }
}

/// A signed little-endian number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let unsigned = bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let unused = 64 - 8 * bytes.len().min(8) as u32;
    (unsigned << unused) as i64 >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(
        read: impl Fn(&[u8], &mut Vec<String>) -> Result<(), Malformed>,
        bytes: &[u8],
    ) -> Vec<String> {
        let mut elements = Vec::new();
        read(bytes, &mut elements).unwrap();
        elements
    }

    fn shown(text: &Text) -> String {
        text.as_bytes().escape_ascii().to_string()
    }

    #[test]
    fn integer_sets_of_all_widths() {
        let read = |bytes: &[u8], out: &mut Vec<String>| intset(bytes, |text| out.push(shown(&text)));
        assert_eq!(elements(read, b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0"), ["-1", "5"]);
        assert_eq!(elements(read, b"\x04\0\0\0\x01\0\0\0\0\0\0\x80"), ["-2147483648"]);
        assert_eq!(
            elements(read, b"\x08\0\0\0\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f"),
            [i64::MAX.to_string()]
        );
        for bad in
            [&b""[..], b"\x03\0\0\0\0\0\0\0", b"\x02\0\0\0\x02\0\0\0\0\0", b"\x08\0\0\0\xff\xff\xff\xff"]
        {
            assert!(intset(bad, |_| {}).is_err());
        }
    }

    #[test]
    fn listpacks_and_ziplists_with_every_encoding() {
        let framed = |sizes: usize, body: &[u8]| {
            let size = (sizes + 2 + body.len() + 1) as u32;
            let mut bytes = size.to_le_bytes().to_vec();
            bytes.resize(sizes + 2, 0);
            bytes.extend_from_slice(body);
            bytes.push(255);
            bytes
        };
        let read = |bytes: &[u8], out: &mut Vec<String>| listpack(bytes, |text| out.push(shown(&text)));
        let mut body =
            b"\x7f\x01\x83abc\x04\xdf\xff\x02\xc0\x05\x02\xf1\0\x80\x03\xf2\xff\xff\x7f\x04".to_vec();
        body.extend_from_slice(b"\xf3\0\0\0\x80\x05\xf4\0\0\0\0\0\0\0\x80\x09");
        body.extend_from_slice(&[&b"\xe0\xc8"[..], &[b'x'; 200], b"\x01\xca"].concat());
        body.extend_from_slice(&[&b"\xf0\x01\0\0\0y"[..], b"\x06"].concat());
        let mut wanted: Vec<_> =
            ["127", "abc", "-1", "5", "-32768", "8388607", "-2147483648"].map(str::to_owned).into();
        wanted.extend([i64::MIN.to_string(), "x".repeat(200), "y".to_owned()]);
        assert_eq!(elements(read, &framed(4, &body)), wanted);

        let read = |bytes: &[u8], out: &mut Vec<String>| ziplist(bytes, |text| out.push(shown(&text)));
        let mut body = b"\0\x03abc\x05\xf1\x02\xfd\x02\xfe\xff\x03\xc0\xff\x7f\x04\xf0\0\0\x80".to_vec();
        body.extend_from_slice(b"\xfe\x05\0\0\0\xd0\xff\xff\xff\x7f\x06\xe0\xff\xff\xff\xff\xff\xff\xff\xff");
        body.extend_from_slice(&[&b"\x0a\x40\xc8"[..], &[b'x'; 200], b"\xca\x80\0\0\0\x01y"].concat());
        let mut wanted: Vec<_> =
            ["abc", "0", "12", "-1", "32767", "-8388608", "2147483647", "-1"].map(str::to_owned).into();
        wanted.extend(["x".repeat(200), "y".to_owned()]);
        assert_eq!(elements(read, &framed(8, &body)), wanted);
    }

    #[test]
    fn wrong_pieces_are_refused() {
        for bad in [&b""[..], b"\x07\0\0\0\0\0\xfe", b"\x08\0\0\0\0\0\xff", b"\x09\0\0\0\0\0\xf9\x01\xff"] {
            assert!(listpack(bad, |_| {}).is_err(), "{}", bad.escape_ascii());
        }
        for bad in [&b""[..], b"\x0b\0\0\0\0\0\0\0\0\0\xfe", b"\x0c\0\0\0\0\0\0\0\0\0\0\xff"] {
            assert!(ziplist(bad, |_| {}).is_err(), "{}", bad.escape_ascii());
        }
    }
}
