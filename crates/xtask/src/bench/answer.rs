//! An answer as it arrives: a 200 with a Content-Length, or a failure.

/// What is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The rest of the head, after this.
    Head(Vec<u8>),
    /// That much of the body.
    Body(usize),
}

impl Default for Answer {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Answer {
    /// Takes in bytes; true when they were the last.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let left = match self {
            Self::Body(left) => left.checked_sub(bytes.len()),
            // Heads come whole almost always: then nothing is copied.
            Self::Head(before) => {
                let whole = if before.is_empty() { bytes } else { &[before.as_slice(), bytes].concat() };
                let Some((head, body)) = lengths(whole)? else {
                    *before = whole.to_vec();
                    return Ok(false);
                };
                body.checked_sub(whole.len() - head)
            }
        };
        let left = left.ok_or("more bytes than the answer has")?;
        *self = Self::Body(left);
        Ok(left == 0)
    }
}

/// Length of the head and of the body, once the head is whole.
fn lengths(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = bytes.get(..end).unwrap_or_default();
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(head).into_owned());
    }
    let length = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| String::from_utf8_lossy(value).trim().parse().ok())?
    });
    length.map(|length| Some((end + 4, length))).ok_or_else(|| "no Content-Length".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_last_byte_however_it_arrives() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(Answer::default().take(bytes), Ok(true));
        for cut in 1..bytes.len() {
            let mut answer = Answer::default();
            assert_eq!(answer.take(&bytes[..cut]), Ok(false), "{cut}");
            assert_eq!(answer.take(&bytes[cut..]), Ok(true), "{cut}");
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        for bad in [
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
        ] {
            Answer::default().take(bad.as_bytes()).unwrap_err();
        }
    }
}
