//! Bytes from outside, made harmless: no line ends, no quotes, nothing a terminal would obey.

const HEX: [u8; 16] = *b"0123456789abcdef";

/// Writes client bytes as one word of a text line: everything but visible ASCII, and `"` and `\`, as `\xHH`.
/// Nothing at all is `-`.
pub(super) fn put_word(out: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    if bytes.is_empty() {
        return out.push(b'-');
    }
    put(out, cut(bytes, limit), |b| matches!(b, 0x21..=0x7e) && b != b'"' && b != b'\\', put_x);
}

/// Writes a name from the configuration as one word of a text line: as [`put_word`], but UTF-8 stays readable.
pub(super) fn put_name_word(out: &mut Vec<u8>, name: &str, limit: usize) {
    put(
        out,
        cut(name.as_bytes(), boundary(name, limit)),
        |b| !matches!(b, 0..=0x20 | 0x7f | b'"' | b'\\'),
        put_x,
    );
}

/// Writes client bytes as a JSON string. A byte beyond ASCII is read as Latin-1 (`\u00HH`), as RFC 9110 section 5.5
/// suggests: valid whatever was sent, and nothing is lost.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    out.push(b'"');
    put(out, cut(bytes, limit), |b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\', put_u);
    out.push(b'"');
}

/// Writes a name from the configuration as a JSON string.
pub(super) fn put_name_string(out: &mut Vec<u8>, name: &str, limit: usize) {
    out.push(b'"');
    put(
        out,
        cut(name.as_bytes(), boundary(name, limit)),
        |b| !matches!(b, 0..=0x1f | 0x7f | b'"' | b'\\'),
        put_u,
    );
    out.push(b'"');
}

/// Writes the bytes, and `...` where more were cut off.
#[inline]
fn put(
    out: &mut Vec<u8>,
    (bytes, more): (&[u8], bool),
    plain: impl Fn(u8) -> bool,
    escape: impl Fn(&mut Vec<u8>, u8),
) {
    if bytes.iter().all(|b| plain(*b)) {
        out.extend_from_slice(bytes);
    } else {
        for b in bytes {
            if plain(*b) { out.push(*b) } else { escape(out, *b) }
        }
    }
    if more {
        out.extend_from_slice(b"...");
    }
}

/// The first `limit` bytes, and whether there are more.
fn cut(bytes: &[u8], limit: usize) -> (&[u8], bool) {
    bytes.split_at_checked(limit).map_or((bytes, false), |(first, rest)| (first, !rest.is_empty()))
}

/// `limit`, or the start of the character that it would cut in two.
fn boundary(name: &str, limit: usize) -> usize {
    if name.len() <= limit {
        return limit;
    }
    (0..=limit).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0)
}

fn put_x(out: &mut Vec<u8>, b: u8) {
    out.extend_from_slice(b"\\x");
    put_hex(out, b);
}

fn put_u(out: &mut Vec<u8>, b: u8) {
    match b {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
        _ => {
            out.extend_from_slice(b"\\u00");
            put_hex(out, b);
        }
    }
}

fn put_hex(out: &mut Vec<u8>, b: u8) {
    out.extend([b >> 4, b & 15].iter().filter_map(|nibble| HEX.get(usize::from(*nibble))));
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
    fn words() {
        assert_eq!(text(|out| put_word(out, b"", 9)), "-");
        assert_eq!(text(|out| put_word(out, b"/a?b=c", 9)), "/a?b=c");
        assert_eq!(text(|out| put_word(out, b"a b\n\x1b\"\\\xff", 9)), r"a\x20b\x0a\x1b\x22\x5c\xff");
        assert_eq!(text(|out| put_word(out, b"0123456789", 9)), "012345678...");
        assert_eq!(text(|out| put_name_word(out, "wëb x", 9)), r"wëb\x20x");
    }

    #[test]
    fn strings() {
        assert_eq!(text(|out| put_string(out, b"a\"\\\n\x7f\xe9", 9)), r#""a\"\\\u000a\u007f\u00e9""#);
        assert_eq!(text(|out| put_name_string(out, "wëb\t", 9)), r#""wëb\u0009""#);
    }

    proptest! {
        #[test]
        fn json_reads_back_as_latin_1(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let read: String = serde_json::from_str(&text(|out| put_string(out, &bytes, 300))).unwrap();
            prop_assert_eq!(read, bytes.iter().map(|b| char::from(*b)).collect::<String>());
        }

        #[test]
        fn names_read_back(name in ".{0,100}") {
            let read: String = serde_json::from_str(&text(|out| put_name_string(out, &name, 400))).unwrap();
            prop_assert_eq!(read, name);
        }

        #[test]
        fn a_cut_name_is_still_text(name in ".{0,100}", limit in 0usize..100) {
            let read: String = serde_json::from_str(&text(|out| put_name_string(out, &name, limit))).unwrap();
            prop_assert!(read == name || read.strip_suffix("...").is_some_and(|start| name.starts_with(start)));
            prop_assert_eq!(read == name, name.len() <= limit);
        }

        #[test]
        fn a_word_has_no_space_and_no_control(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(text(|out| put_word(out, &bytes, 200)).bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
