//! HTTP/1.1 messages as they were received: heads with every field in its order, bodies by their framing.

use std::fmt::Write as _;

use crate::wire::{End, Wire};

/// Header fields in the order and spelling they arrived in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of a field; names are compared without case.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The names as spelled.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn parse(lines: &str) -> Result<Self, End> {
        lines
            .split_terminator("\r\n")
            .map(|line| match line.split_once(':') {
                Some((name, value)) => Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned())),
                None => Err(End::Malformed(format!("a field line without a colon: {line:?}"))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a comma-separated field has a token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).iter().flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// The first line of a message and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The three parts of the first line: method, target, version; or version, status, reason.
    pub line: [String; 3],
    /// The fields.
    pub fields: Fields,
    /// The bytes as they arrived, with the empty line.
    pub raw: Vec<u8>,
}

impl Head {
    pub(crate) fn read(wire: &mut Wire) -> Result<Self, End> {
        let raw = wire.through(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&raw).into_owned();
        let (line, fields) =
            text.split_once("\r\n").ok_or_else(|| End::Malformed("a head without a line".into()))?;
        let mut parts = line.splitn(3, ' ').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let line = [part(), part(), part()];
        let fields = Fields::parse(fields.strip_suffix("\r\n").unwrap_or_default())?;
        Ok(Self { line, fields, raw })
    }

    /// The status, when this is a response's head.
    pub fn status(&self) -> Result<u16, End> {
        self.line[1].parse().map_err(|_| End::Malformed(format!("a status line {:?}", self.line.join(" "))))
    }
}

/// How a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    pub(crate) fn of_request(fields: &Fields) -> Result<Self, End> {
        if fields.has("transfer-encoding") {
            return Ok(Self::Chunked);
        }
        Ok(length(fields)?.map_or(Self::None, Self::Length))
    }

    pub(crate) fn of_response(method: &str, status: u16, fields: &Fields) -> Result<Self, End> {
        if method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status) {
            return Ok(Self::None);
        }
        if fields.has_token("transfer-encoding", "chunked") {
            return Ok(Self::Chunked);
        }
        Ok(length(fields)?.map_or(Self::UntilClose, Self::Length))
    }
}

fn length(fields: &Fields) -> Result<Option<u64>, End> {
    let Some(text) = fields.value("content-length") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| End::Malformed(format!("a Content-Length of {text:?}")))
}

/// A body with what its framing carried.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) raw: Vec<u8>,
    pub(crate) chunks: usize,
}

impl Body {
    /// Reads a body; on failure what came of it is in the wire's transcript.
    pub(crate) fn read(wire: &mut Wire, framing: Framing) -> Result<Self, End> {
        match framing {
            Framing::None => Ok(Self::default()),
            Framing::Length(length) => {
                let bytes = wire.exactly(length as usize)?;
                Ok(Self { raw: bytes.clone(), bytes, ..Self::default() })
            }
            Framing::Chunked => Self::read_chunks(wire),
            Framing::UntilClose => match wire.until_end() {
                (bytes, End::Closed) => Ok(Self { raw: bytes.clone(), bytes, ..Self::default() }),
                (_, end) => Err(end),
            },
        }
    }

    fn read_chunks(wire: &mut Wire) -> Result<Self, End> {
        let mut body = Self::default();
        loop {
            let line = wire.through(b"\r\n")?;
            body.raw.extend_from_slice(&line);
            let size = chunk_size(&line)?;
            if size == 0 {
                break;
            }
            let chunk = wire.exactly(size + 2)?;
            body.raw.extend_from_slice(&chunk);
            if !chunk.ends_with(b"\r\n") {
                return Err(End::Malformed("a chunk that does not end with its line".into()));
            }
            body.bytes.extend_from_slice(&chunk[..size]);
            body.chunks += 1;
        }
        let mut lines = Vec::new();
        loop {
            let line = wire.through(b"\r\n")?;
            body.raw.extend_from_slice(&line);
            if line == b"\r\n" {
                break;
            }
            lines.extend_from_slice(&line);
        }
        body.trailers = Fields::parse(&String::from_utf8_lossy(&lines))?;
        Ok(body)
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, End> {
    let text = String::from_utf8_lossy(line);
    let digits = text.trim_end().split(';').next().unwrap_or_default();
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match usize::from_str_radix(digits, 16) {
        Ok(size) if valid => Ok(size),
        _ => Err(End::Malformed(format!("a chunk size line {text:?}"))),
    }
}

/// A response as the client received it.
#[derive(Debug, Clone)]
pub struct Response {
    /// `HTTP/1.1`
    pub version: String,
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The fields in order.
    pub fields: Fields,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
    /// How many chunks carried it.
    pub chunks: usize,
    /// Heads of 1xx responses that came before.
    pub informational: Vec<Head>,
    /// The head's bytes.
    pub raw_head: Vec<u8>,
}

impl Response {
    pub(crate) fn read(wire: &mut Wire, method: &str) -> Result<Self, End> {
        let mut response = Self::read_head(wire)?;
        let framing = Framing::of_response(method, response.status, &response.fields)?;
        let body = Body::read(wire, framing)?;
        response.body = body.bytes;
        response.trailers = body.trailers;
        response.chunks = body.chunks;
        Ok(response)
    }

    pub(crate) fn read_head(wire: &mut Wire) -> Result<Self, End> {
        let mut informational = Vec::new();
        loop {
            let head = Head::read(wire)?;
            let status = head.status()?;
            if (100..200).contains(&status) && status != 101 {
                informational.push(head);
                continue;
            }
            let [version, _, reason] = head.line;
            return Ok(Self {
                version,
                status,
                reason,
                fields: head.fields,
                body: Vec::new(),
                trailers: Fields::default(),
                chunks: 0,
                informational,
                raw_head: head.raw,
            });
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the response was not a {status}:\n{self}");
        self
    }

    /// Fails the test unless the body is this one.
    #[track_caller]
    pub fn expect_body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        assert!(self.body == body, "the body was not {}:\n{self}", describe(body));
        self
    }

    /// Fails the test unless the field has this value.
    #[track_caller]
    pub fn expect_field(self, name: &str, value: &str) -> Self {
        assert_eq!(self.fields.value(name), Some(value), "wrong {name}:\n{self}");
        self
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for head in &self.informational {
            write!(f, "{}", describe(&head.raw))?;
        }
        write!(f, "{}{}", describe(&self.raw_head), describe(&self.body[..self.body.len().min(2000)]))?;
        if self.body.len() > 2000 {
            write!(f, "… (a body of {} bytes)", self.body.len())?;
        }
        for (name, value) in &self.trailers.0 {
            write!(f, "\n(trailer) {name}: {value}")?;
        }
        Ok(())
    }
}

/// Bytes for a message: text as it is, line ends kept, everything else escaped.
pub fn describe(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push('\n'),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}
