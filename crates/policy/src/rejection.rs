//! Every answer we make ourselves, and every ending without one: one enum, one table.
//!
//! A user who sees such an answer finds the same word in the access log, in the metric and here.

use std::fmt;

/// Why an exchange did not end with an endpoint's complete answer, or a TCP session not by both sides' closing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// The request is not HTTP/1.1 as RFC 9112 has it.
    MalformedRequest,
    /// The request's end could be read in two ways: repeated or mixed `Content-Length`, `Transfer-Encoding`.
    AmbiguousFraming,
    /// `Host` is missing, repeated, malformed or contradicts the target.
    BadHost,
    /// The request target does not fit the header limit.
    UriTooLong,
    /// The header section does not fit its limit.
    HeaderTooLarge,
    /// The body does not fit its limit.
    BodyTooLarge,
    /// The header section was not complete in time.
    HeaderTimeout,
    /// The body stopped coming.
    BodyTimeout,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    UnsupportedVersion,
    /// A transfer coding other than `chunked`.
    UnsupportedTransferCoding,
    /// An expectation other than `100-continue`.
    UnsupportedExpectation,
    /// `CONNECT` and other methods that are no request to an endpoint.
    UnsupportedMethod,
    /// No route takes the request and the listener has no upstream of its own.
    NoRoute,
    /// No endpoint is up.
    EndpointsDown,
    /// Every endpoint that is up has as many requests as it may.
    EndpointsBusy,
    /// Every endpoint that is up has as many requests as it may, and so has the queue.
    QueueFull,
    /// No endpoint had a free place for as long as a request may wait for one.
    QueueTimeout,
    /// Every endpoint is draining or has weight 0.
    EndpointsDrained,
    /// The endpoint's name does not resolve.
    UnresolvedName,
    /// The endpoint refuses connections.
    ConnectRefused,
    /// The endpoint cannot be reached.
    ConnectFailed,
    /// The connection was not open in time.
    ConnectTimeout,
    /// The endpoint closed the connection before its answer began.
    UpstreamClosed,
    /// The endpoint's answer is not HTTP.
    ResponseMalformed,
    /// The header section of the answer does not fit its limit.
    ResponseHeaderTooLarge,
    /// The answer did not begin in time.
    ResponseTimeout,
    /// More client connections than the listener may have.
    ConnectionLimit,
    /// We are stopping.
    ShuttingDown,
    /// File descriptors, ports or memory of our own machine are used up.
    OutOfResources,
    /// A bug of ours.
    InternalError,
    /// No answer: the client went away.
    ClientClosed,
    /// No complete answer: the endpoint stopped in the middle of its body.
    ResponseIncomplete,
    /// No complete answer: the client stopped reading.
    ClientStalled,
    /// A session's endpoint reset the connection.
    UpstreamReset,
    /// Nothing passed through a session for too long.
    IdleTimeout,
    /// A session's endpoint was found down, and the upstream says that sessions end then.
    EndpointDown,
}

/// What the table says of one rejection.
struct Row {
    status: u16,
    error: &'static str,
    word: &'static str,
    sentence: &'static str,
}

impl Rejection {
    /// Every rejection in order of declaration: `rejection as usize` is its place here.
    pub const ALL: [Self; 36] = [
        Self::MalformedRequest,
        Self::AmbiguousFraming,
        Self::BadHost,
        Self::UriTooLong,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::UnsupportedVersion,
        Self::UnsupportedTransferCoding,
        Self::UnsupportedExpectation,
        Self::UnsupportedMethod,
        Self::NoRoute,
        Self::EndpointsDown,
        Self::EndpointsBusy,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::EndpointsDrained,
        Self::UnresolvedName,
        Self::ConnectRefused,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::UpstreamClosed,
        Self::ResponseMalformed,
        Self::ResponseHeaderTooLarge,
        Self::ResponseTimeout,
        Self::ConnectionLimit,
        Self::ShuttingDown,
        Self::OutOfResources,
        Self::InternalError,
        Self::ClientClosed,
        Self::ResponseIncomplete,
        Self::ClientStalled,
        Self::UpstreamReset,
        Self::IdleTimeout,
        Self::EndpointDown,
    ];

    /// The status answered; for an ending without an answer, the status logged when none was sent.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The `error` of `Proxy-Status`, a type registered by RFC 9209 §2.3.
    #[must_use]
    pub const fn error(self) -> &'static str {
        self.row().error
    }

    /// The access log's `reason` and the metric's label, in snake case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// The body: what happened and what to do, in one plain sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// Whether the client gets an answer made by us; the others are endings without one.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        !matches!(
            self,
            Self::ClientClosed
                | Self::ResponseIncomplete
                | Self::ClientStalled
                | Self::UpstreamReset
                | Self::IdleTimeout
                | Self::EndpointDown
        )
    }

    /// The table.
    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::MalformedRequest => row(400, "http_request_error", "malformed_request",
                "The request is not well-formed HTTP/1.1; correct the client that sent it."),
            Self::AmbiguousFraming => row(400, "http_request_error", "ambiguous_framing",
                "The length of the request body is ambiguous; send one valid Content-Length or Transfer-Encoding: chunked, not both."),
            Self::BadHost => row(400, "http_request_error", "bad_host",
                "The Host header is missing, repeated or not a valid host; send exactly one."),
            Self::UriTooLong => row(414, "http_request_error", "uri_too_long",
                "The request target is too long; shorten the URL."),
            Self::HeaderTooLarge => row(431, "http_request_error", "header_too_large",
                "The request header is too large; send fewer or smaller header fields."),
            Self::BodyTooLarge => row(413, "http_request_error", "body_too_large",
                "The request body is too large; send a smaller one."),
            Self::HeaderTimeout => row(408, "http_request_error", "header_timeout",
                "The request header did not arrive in time; send it again without pausing."),
            Self::BodyTimeout => row(408, "http_request_error", "body_timeout",
                "The request body stopped arriving; send it again without pausing."),
            Self::UnsupportedVersion => row(505, "proxy_internal_response", "unsupported_version",
                "This HTTP version is not served here; use HTTP/1.1."),
            Self::UnsupportedTransferCoding => row(501, "proxy_internal_response", "unsupported_transfer_coding",
                "This transfer coding is not served here; use chunked alone."),
            Self::UnsupportedExpectation => row(417, "http_request_error", "unsupported_expectation",
                "This expectation cannot be met; send Expect: 100-continue or none."),
            Self::UnsupportedMethod => row(501, "proxy_internal_response", "unsupported_method",
                "This method is not served here; use a method that addresses a resource."),
            Self::NoRoute => row(404, "destination_not_found", "no_route",
                "No route takes this request; check its host, path, method and headers."),
            Self::EndpointsDown => row(503, "destination_unavailable", "endpoints_down",
                "No server for this request is up; try again later."),
            Self::EndpointsBusy => row(503, "connection_limit_reached", "endpoints_busy",
                "Every server for this request is at its limit; try again shortly."),
            Self::QueueFull => row(503, "connection_limit_reached", "queue_full",
                "Every server for this is busy and as many requests wait as may; try again later."),
            Self::QueueTimeout => row(503, "connection_limit_reached", "queue_timeout",
                "No server for this had time for as long as a request may wait; try again later."),
            Self::EndpointsDrained => row(503, "destination_unavailable", "endpoints_drained",
                "Every server for this request has been taken out of service; try again later."),
            Self::UnresolvedName => row(502, "dns_error", "unresolved_name",
                "The server's name does not resolve; try again later."),
            Self::ConnectRefused => row(502, "connection_refused", "connect_refused",
                "The server refused the connection; try again later."),
            Self::ConnectFailed => row(502, "destination_ip_unroutable", "connect_failed",
                "The server cannot be reached; try again later."),
            Self::ConnectTimeout => row(504, "connection_timeout", "connect_timeout",
                "The server did not accept a connection in time; try again later."),
            Self::UpstreamClosed => row(502, "connection_terminated", "upstream_closed",
                "The server closed the connection before answering; whether it acted on the request is unknown."),
            Self::ResponseMalformed => row(502, "http_protocol_error", "response_malformed",
                "The server's answer is not valid HTTP; whether it acted on the request is unknown."),
            Self::ResponseHeaderTooLarge => row(502, "http_response_header_section_size", "response_header_too_large",
                "The header of the server's answer is too large; whether it acted on the request is unknown."),
            Self::ResponseTimeout => row(504, "http_response_timeout", "response_timeout",
                "The server did not answer in time; whether it acted on the request is unknown."),
            Self::ConnectionLimit => row(503, "proxy_internal_response", "connection_limit",
                "Too many connections are open here; try again shortly."),
            Self::ShuttingDown => row(503, "proxy_internal_response", "shutting_down",
                "This proxy is stopping; try again on a new connection."),
            Self::OutOfResources => row(503, "proxy_internal_response", "out_of_resources",
                "The load balancer itself is out of file descriptors, ports or memory; try again, and raise its limits (ulimit -n, LimitNOFILE)."),
            Self::InternalError => row(500, "proxy_internal_error", "internal_error",
                "The proxy failed on this request; please report it with the request's id."),
            Self::ClientClosed => row(499, "http_request_error", "client_closed",
                "The client closed the connection before the answer was complete."),
            Self::ResponseIncomplete => row(502, "http_response_incomplete", "response_incomplete",
                "The server stopped in the middle of its answer; the connection was cut so that the client notices."),
            Self::ClientStalled => row(499, "http_request_error", "client_stalled",
                "The client stopped reading the answer; the connection was closed."),
            Self::UpstreamReset => row(502, "connection_terminated", "upstream_reset",
                "The server reset the connection; the client's was reset as well, so that it does not take what it has for everything."),
            Self::IdleTimeout => row(504, "connection_read_timeout", "idle_timeout",
                "Nothing passed in either direction for as long as the listener's timeouts.idle or, once one side had ended, its timeouts.half_close; both connections were reset."),
            Self::EndpointDown => row(503, "destination_unavailable", "endpoint_down",
                "The server was found down by its probes and the upstream has on_down = \"close\"; both connections were reset."),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

const fn row(status: u16, error: &'static str, word: &'static str, sentence: &'static str) -> Row {
    Row { status, error, word, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// RFC 9209 §2.3 with the recommended status of each type; `None` where it recommends no single one.
    const TYPES: [(&str, Option<u16>); 32] = [
        ("dns_timeout", Some(504)),
        ("dns_error", Some(502)),
        ("destination_not_found", Some(500)),
        ("destination_unavailable", Some(503)),
        ("destination_ip_prohibited", Some(502)),
        ("destination_ip_unroutable", Some(502)),
        ("connection_refused", Some(502)),
        ("connection_terminated", Some(502)),
        ("connection_timeout", Some(504)),
        ("connection_read_timeout", Some(504)),
        ("connection_write_timeout", Some(504)),
        ("connection_limit_reached", Some(503)),
        ("tls_protocol_error", Some(502)),
        ("tls_certificate_error", Some(502)),
        ("tls_alert_received", Some(502)),
        ("http_request_error", None),
        ("http_request_denied", Some(403)),
        ("http_response_incomplete", Some(502)),
        ("http_response_header_section_size", Some(502)),
        ("http_response_header_size", Some(502)),
        ("http_response_body_size", Some(502)),
        ("http_response_trailer_section_size", Some(502)),
        ("http_response_trailer_size", Some(502)),
        ("http_response_transfer_coding", Some(502)),
        ("http_response_content_coding", Some(502)),
        ("http_response_timeout", Some(504)),
        ("http_upgrade_failed", Some(502)),
        ("http_protocol_error", Some(502)),
        ("proxy_internal_response", None),
        ("proxy_internal_error", Some(500)),
        ("proxy_configuration_error", Some(500)),
        ("proxy_loop_detected", Some(502)),
    ];

    #[test]
    fn the_list_is_complete_and_each_once() {
        let discriminants: Vec<_> = Rejection::ALL.iter().map(|rejection| *rejection as usize).collect();
        assert_eq!(discriminants, (0..Rejection::ALL.len()).collect::<Vec<_>>());
        assert_eq!(Rejection::EndpointDown as usize, Rejection::ALL.len() - 1, "the last variant");
    }

    #[test]
    fn words_are_unique_snake_case() {
        let words: BTreeSet<_> = Rejection::ALL.iter().map(|rejection| rejection.word()).collect();
        assert_eq!(words.len(), Rejection::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn tokens_are_registered_and_statuses_as_recommended() {
        for rejection in Rejection::ALL {
            let (_, recommended) = TYPES.into_iter().find(|(token, _)| *token == rejection.error()).unwrap();
            let status = rejection.status();
            match rejection {
                // 404 is what people expect of a URL nobody serves; the RFC's 500 would page someone.
                Rejection::NoRoute => assert_eq!(status, 404),
                _ => assert_eq!(recommended.unwrap_or(status), status, "{rejection}"),
            }
            let request_error = rejection.error() == "http_request_error";
            assert_eq!(request_error, (400..500).contains(&status) && rejection != Rejection::NoRoute);
            assert!((400..600).contains(&status));
        }
    }

    #[test]
    fn sentences_are_sentences() {
        for rejection in Rejection::ALL {
            let sentence = rejection.sentence();
            assert!(
                sentence.is_ascii() && sentence.ends_with('.') && !sentence.contains('\n'),
                "{rejection}"
            );
            assert!(sentence.starts_with(|first: char| first.is_ascii_uppercase()));
            if rejection.is_answer() {
                assert!(sentence.contains("; "), "{rejection} says what happened and what follows");
            }
        }
    }

    #[test]
    fn endings_without_an_answer() {
        let endings: Vec<_> = Rejection::ALL.into_iter().filter(|rejection| !rejection.is_answer()).collect();
        assert_eq!(
            endings,
            [
                Rejection::ClientClosed,
                Rejection::ResponseIncomplete,
                Rejection::ClientStalled,
                Rejection::UpstreamReset,
                Rejection::IdleTimeout,
                Rejection::EndpointDown
            ]
        );
    }
}
