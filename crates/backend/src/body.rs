//! The bodies of answers: whole, a long pattern without an allocation, or events over time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::capacity::Place;
use crate::traffic::Exchange;

/// One answer's body, together with the place in service that it holds until it is sent or given up, and the
/// exchange that ends then.
#[derive(Debug)]
pub(crate) struct Body {
    content: Content,
    _place: Option<Place>,
    _exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Pattern { left: u64 },
    Events(Box<Events>),
}

impl Body {
    pub(crate) fn empty() -> Body {
        Body::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
        Body::with(Content::Whole(bytes.into()))
    }

    /// `length` bytes of a pattern of 64 that starts over and over: the byte at offset `i` is that at `i % 64`.
    pub(crate) fn pattern(length: u64) -> Body {
        Body::with(Content::Pattern { left: length })
    }

    /// `count` server-sent events, the first at once and then one each `pause`, and a trailer with their number.
    /// To be called within a runtime unless `pause` is zero.
    pub(crate) fn events(count: u64, pause: Duration) -> Body {
        let ticks = (!pause.is_zero()).then(|| {
            let mut ticks = interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Body::with(Content::Events(Box::new(Events { sent: 0, count, ticks, ended: false })))
    }

    /// The same body, which now keeps `place` taken while it lives.
    pub(crate) fn holding(self, place: Option<Place>) -> Body {
        Body { _place: place, ..self }
    }

    /// The same body, with which `exchange` ends.
    pub(crate) fn of(self, exchange: Option<Exchange>) -> Body {
        Body { _exchange: exchange, ..self }
    }

    fn with(content: Content) -> Body {
        Body { content, _place: None, _exchange: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Frame::data(std::mem::take(bytes))),
            Content::Pattern { left: 0 } => None,
            Content::Pattern { left } => {
                let size = (*left).min(CHUNK as u64);
                *left -= size;
                let chunk: &'static [u8] = PATTERN.get(..size as usize).unwrap_or(&PATTERN);
                Some(Frame::data(Bytes::from_static(chunk)))
            }
            Content::Events(events) => ready!(events.poll(cx)),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Pattern { left } => *left == 0,
            Content::Events(events) => events.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pattern { left } => SizeHint::with_exact(*left),
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// Bytes that a pattern body hands over at a time: big enough for few writes, small enough for the CPU's cache.
const CHUNK: usize = 64 * 1024;

static PATTERN: [u8; CHUNK] = {
    let alphabet = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    let mut chunk = [0; CHUNK];
    let (blocks, _) = chunk.as_chunks_mut::<64>();
    let mut rest: &mut [[u8; 64]] = blocks;
    while let Some((block, others)) = rest.split_first_mut() {
        *block = *alphabet;
        rest = others;
    }
    chunk
};

#[derive(Debug)]
struct Events {
    sent: u64,
    count: u64,
    ticks: Option<Interval>,
    ended: bool,
}

impl Events {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.sent == self.count {
            self.ended = true;
            let trailers = HeaderMap::from_iter([(crate::answer::X_EVENTS, HeaderValue::from(self.count))]);
            return Poll::Ready(Some(Frame::trailers(trailers)));
        }
        if let Some(ticks) = &mut self.ticks {
            ready!(ticks.poll_tick(cx));
        }
        self.sent += 1;
        let event = format!("id: {0}\ndata: {{\"event\":{0},\"of\":{1}}}\n\n", self.sent, self.count);
        Poll::Ready(Some(Frame::data(Bytes::from(event))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_pattern_has_its_length_and_its_bytes() {
        for length in [0, 1, 63, 64, 65, CHUNK as u64, CHUNK as u64 + 1, 3 * CHUNK as u64 + 17] {
            let body = Body::pattern(length);
            assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(length));
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(bytes.len() as u64, length);
            assert!(bytes.iter().enumerate().all(|(i, b)| *b == PATTERN[i % 64]));
        }
        assert_eq!(&PATTERN[..12], b"0123456789ab");
    }

    #[tokio::test(start_paused = true)]
    async fn events_keep_their_pace_and_end_with_a_trailer() {
        let start = tokio::time::Instant::now();
        let collected = Body::events(3, Duration::from_millis(500)).collect().await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!(collected.trailers().unwrap().get("x-events").unwrap(), "3");
        let text = String::from_utf8(collected.to_bytes().to_vec()).unwrap();
        assert!(text.starts_with("id: 1\ndata: {\"event\":1,\"of\":3}\n\n"), "{text}");
        assert_eq!(text.matches("data: ").count(), 3);
    }
}
