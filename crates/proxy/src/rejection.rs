//! The answers we make ourselves, as bytes. What they say is policy's table; this is only their form.

use std::time::SystemTime;

use evenkeel_net::Stream;
use evenkeel_policy::rejection::Rejection;
use http::StatusCode;

/// What is the same for every answer of ours to one request.
#[derive(Clone, Copy)]
pub(crate) struct Form<'r> {
    /// Echoed, so that a user can name the request to an operator.
    pub(crate) request_id: &'r [u8],
    /// Whether the connection ends with this answer.
    pub(crate) close: bool,
    /// Whether the client is HTTP/1.0 and asked to keep the connection.
    pub(crate) say_keep_alive: bool,
    /// Whether the request was HEAD: the body is described, not sent.
    pub(crate) to_head: bool,
}

/// The reason phrase of a status.
pub(crate) fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}

/// Writes the answer to a rejected request; `detail` says what exactly was wrong, if that is known.
pub(crate) fn write(output: &mut Vec<u8>, rejection: Rejection, detail: Option<&str>, form: Form<'_>) {
    let mut body = String::from(rejection.sentence());
    if let Some(detail) = detail {
        let cut = body.trim_end_matches('.').len();
        body.truncate(cut);
        body.push_str(": ");
        body.push_str(detail);
        body.push('.');
    }
    body.push('\n');
    let proxy_status = format!("Proxy-Status: evenkeel; error={}\r\n", rejection.error());
    answer(output, rejection.status(), &proxy_status, &body, form);
}

/// Writes an answer of ours: `fields` are whole lines.
pub(crate) fn answer(output: &mut Vec<u8>, status: u16, fields: &str, body: &str, form: Form<'_>) {
    use std::io::Write;
    let _ = write!(
        output,
        "HTTP/1.1 {status} {}\r\nDate: {}\r\n{fields}",
        reason(status),
        httpdate::fmt_http_date(SystemTime::now())
    );
    if !matches!(status, 204 | 304) {
        let _ =
            write!(output, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n", body.len());
    }
    if !form.request_id.is_empty() {
        output.extend_from_slice(b"X-Request-Id: ");
        output.extend_from_slice(form.request_id);
        output.extend_from_slice(b"\r\n");
    }
    if form.close {
        output.extend_from_slice(b"Connection: close\r\n");
    } else if form.say_keep_alive {
        output.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    output.extend_from_slice(b"\r\n");
    if !form.to_head && !matches!(status, 204 | 304) {
        output.extend_from_slice(body.as_bytes());
    }
}

/// Answers a connection that is not served at all, without waiting: a new connection's buffer is empty.
pub(crate) fn refuse(stream: &Stream, rejection: Rejection) {
    let mut output = Vec::new();
    let form = Form { request_id: b"", close: true, say_keep_alive: false, to_head: false };
    write(&mut output, rejection, None, form);
    let _ = stream.try_write(&output);
    let _ = stream.finish_writing();
}
