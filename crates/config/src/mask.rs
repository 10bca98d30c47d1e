//! [`masked`]: a source line as it may be shown, without the passwords in it.

use std::borrow::Cow;

/// How the keys begin whose values are not shown; short, so that a misspelt `password` is one of them.
const SECRET: &str = "pas";

/// The line with a `*` for each character of a password: as many characters as before, so that a caret still stands
/// where it should. Any value counts, in quotes or not: what is shown may be no proper TOML.
pub(crate) fn masked(line: &str) -> Cow<'_, str> {
    if !line.to_ascii_lowercase().contains(SECRET) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let (mut rest, mut before) = (line, None);
    while let Some(next) = rest.chars().next() {
        let word = rest.find(|c| !is_of_key(c)).unwrap_or(rest.len());
        let is_start = !before.is_some_and(is_of_key);
        let shown = match secret_behind(rest, word) {
            Some((from, length)) if is_start => {
                let (shown, behind) = rest.split_at(from);
                let (secret, _) = behind.split_at(length);
                out.push_str(shown);
                out.extend(secret.chars().map(|_| '*'));
                from + length
            }
            _ => {
                let length = word.max(next.len_utf8());
                out.push_str(rest.split_at(length).0);
                length
            }
        };
        let (done, remaining) = rest.split_at(shown);
        (rest, before) = (remaining, done.chars().next_back());
    }
    Cow::Owned(out)
}

/// Where the value stands, and how long it is, if `text` begins with a secret key of `word` bytes.
fn secret_behind(text: &str, word: usize) -> Option<(usize, usize)> {
    let (key, behind) = text.split_at(word);
    if !key.to_ascii_lowercase().starts_with(SECRET) {
        return None;
    }
    let value = behind.trim_start_matches(['"', '\'']).trim_start().strip_prefix('=')?.trim_start();
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| value.starts_with(quote));
    let secret = value.strip_prefix(quote.unwrap_or_default())?;
    let length = match quote {
        Some(quote) => quoted(secret, quote),
        None => secret.find([',', '}', '#']),
    };
    Some((text.len() - secret.len(), length.unwrap_or(secret.len())))
}

/// How far it is to the quote that closes; a backslash takes the next character along in `"`.
fn quoted(secret: &str, quote: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in secret.char_indices() {
        if !escaped && secret.get(at..).is_some_and(|rest| rest.starts_with(quote)) {
            return Some(at);
        }
        escaped = !escaped && c == '\\' && quote.starts_with('"');
    }
    None
}

fn is_of_key(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_however_they_are_written() {
        for (line, shown) in [
            ("password = \"s3cret\" # mine", "password = \"******\" # mine"),
            ("health = { password = 'a b', intervall = 1 }", "health = { password = '***', intervall = 1 }"),
            (r#"health.password="a\"b\\", x = "y""#, r#"health.password="******", x = "y""#),
            ("\"password\" = \"\"\"päß", "\"password\" = \"\"\"***"),
            ("pasword = my s3cret, rise = 2", "pasword = *********, rise = 2"),
            ("PASSWORD = [\"a\"]", "PASSWORD = *****"),
            ("password = \"open", "password = \"****"),
            ("x.password = '1'; password = '2'", "x.password = '*'; password = '*'"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }

    #[test]
    fn nothing_else_is() {
        for line in ["path = \"/password\"", "host = \"pas\"", "password", "bypass = \"on\"", "", "pas ="] {
            assert_eq!(masked(line), line);
        }
    }
}
