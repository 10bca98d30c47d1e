//! The path that routes are matched against: what an endpoint would make of the path that was sent.

use std::borrow::Cow;

/// Resolves dot segments, double slashes and needless percent-encoding (RFC 3986 §6.2.2), so that a route cannot be
/// walked around by spelling its path differently. Only for matching: an endpoint gets the path as it was sent.
///
/// Allocates only where there is something to resolve.
#[must_use]
pub fn normalize_path(path: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = !path.contains(&b'%') && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if is_plain || path.first() != Some(&b'/') {
        return Cow::Borrowed(path);
    }
    let decoded = decode_unreserved(path);
    let mut normal: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b".." => {
                let parent = normal.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                normal.truncate(parent);
            }
            b"." => {}
            b"" if !is_last => continue,
            segment => {
                normal.push(b'/');
                normal.extend_from_slice(segment);
                continue;
            }
        }
        // A path that ends in a dot segment names a folder.
        if is_last {
            normal.push(b'/');
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    Cow::Owned(normal)
}

/// Decodes what needed no encoding: letters, digits, `-._~`.
fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let digit = |byte: &u8| (*byte as char).to_digit(16);
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
            && let byte = (high * 16 + low) as u8
            && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
        {
            decoded.push(byte);
            rest = after;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> String {
        String::from_utf8(normalize_path(path.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn other_spellings_of_a_path_are_that_path() {
        for spelling in [
            "/items/1",
            "//items/1",
            "/x/../items/1",
            "/./items/1",
            "/%69tems/1",
            "/items//1",
            "/x/%2e%2E/items/1",
        ] {
            assert_eq!(normal(spelling), "/items/1", "{spelling}");
        }
    }

    #[test]
    fn folders_stay_folders_and_nothing_leaves_the_root() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/", "/a/"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%zz", "/a%zz"),
            ("/a%4", "/a%4"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn normal_paths_stay_as_they_are(path in "/[a-z./%2eE~]{0,40}") {
            let once = normal(&path);
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(|segment| segment == ".." || segment == "."), "{}", once);
        }
    }
}
