//! Patterns as in `KEYS h[ae]llo*`: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant as it stands.

/// Whether the whole of `text` fits `pattern`. Takes time in proportion to both lengths multiplied at worst.
///
/// As Redis has it: a range may be written backwards, a class that is not closed ends with the pattern, and a `\` at
/// the end stands for itself. Other than there, `*` fits the empty text too.
pub(crate) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Behind the last star, and where the text would have to fit that next. No earlier star has to be tried again:
    // whatever it could leave to the last, the last can take itself.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            if rest.is_empty() {
                return true;
            }
            pattern = rest;
            star = Some((rest, text));
            continue;
        }
        let [byte, after @ ..] = text else { return pattern.is_empty() };
        if let Some(rest) = step(pattern, *byte) {
            (pattern, text) = (rest, after);
            continue;
        }
        let Some((behind, [_, later @ ..])) = star else { return false };
        star = Some((behind, later));
        (pattern, text) = (behind, later);
    }
}

/// The same, and letters of ASCII fit those of the other case.
pub(crate) fn matches_any_case(pattern: &[u8], text: &[u8]) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// What remains of the pattern if `byte` fits the beginning of it, which is no star.
fn step(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (fits, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte, rest),
    };
    fits.then_some(rest)
}

/// Whether `byte` is in the class whose `[` has been read, and what follows the class.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut pattern) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        pattern = match pattern {
            [] => break,
            [b']', rest @ ..] => {
                pattern = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != negated, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers are those of Redis 7.0.15 to `KEYS` with the text as the only key.
    #[test]
    fn patterns_fit_what_they_fit_in_redis() {
        for (pattern, yes, no) in [
            ("h?llo", "hello hallo h[llo", "hllo heello"),
            ("h*llo", "hllo heeeello hllollo", "hell ello hllox"),
            ("h[ae]llo", "hello hallo", "hillo hllo"),
            ("h[^e]llo", "hallo hbllo", "hello hllo"),
            ("h[a-b]llo", "hallo hbllo", "hcllo h-llo"),
            ("h[b-a]llo", "hallo hbllo", "hcllo"),
            ("*", "a abc", ""),
            ("**a", "a ba", "b"),
            ("a*b*c", "abc aXbXc abcbc", "ab acb abcd"),
            (r"a\*", "a*", "ab a"),
            (r"a\", r"a\", "a"),
            (r"[\]]", "]", r"\"),
            ("[a", "a", "b ["),
            ("[^a", "b [", "a"),
            ("[", "", "[ a"),
            ("[]", "", "[ ] a"),
            ("[^]", "a ]", ""),
            ("[a-", "a -", "b"),
            ("[a-]", "a ] ^", "- b Z"),
            ("[-a]", "- a", "b"),
            ("x[0-9]*", "x1 x12a", "x xa"),
            ("*[ab]", "xa b", "xc"),
        ] {
            for text in yes.split_whitespace() {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in no.split_whitespace() {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
        assert!(matches(b"", b"") && !matches(b"", b"a") && !matches(b"?", b"") && matches(b"**", b""));
    }

    #[test]
    fn letters_of_either_case() {
        assert!(matches_any_case(b"MAX[A-M]emory*", b"maxmemory-policy"));
        assert!(!matches(b"MAX*", b"maxmemory"));
        assert!(!matches_any_case(b"max", b"min"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = [b"a*".repeat(50), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(10_000)));
    }
}
