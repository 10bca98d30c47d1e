//! What all connections of one backend share, and what each request passes: faults, capacity, latency, its route.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::answer::{self, X_BACKEND};
use crate::body::Body;
use crate::cache::Cache;
use crate::capacity::Capacity;
use crate::chaos::Chaos;
use crate::database::Pool;
use crate::latency::Latency;
use crate::random::Random;
use crate::routes;
use crate::traffic::{Exchange, Traffic};

/// The shared state of one backend.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) database: Arc<Pool>,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) capacity: Capacity,
    pub(crate) chaos: Chaos,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) latency: Latency,
    pub(crate) random: Random,
    /// How many serve connections.
    pub(crate) threads: usize,
    /// When the backend began.
    pub(crate) began: SystemTime,
    /// The name, as the value of `X-Backend`.
    pub(crate) signature: HeaderValue,
}

/// What the server is doing; every connection watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No new connections; running requests are finished.
    Stopping,
    /// Everything ends where it stands.
    Dead,
}

/// Answers the requests of one connection.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) app: Arc<App>,
    pub(crate) peer: SocketAddr,
}

/// The request is never answered and its connection closed, after a hang, or reset.
#[derive(Debug)]
pub(crate) struct Unanswered;

/// An answer that is still to come, and what will be made of it.
pub(crate) struct Later {
    answer: Pin<Box<dyn Future<Output = Result<Response<Body>, Unanswered>> + Send>>,
    signature: HeaderValue,
    exchange: Option<Exchange>,
}

/// An answer that is there at once, or later. The cheap routes answer at once and allocate no future.
pub(crate) enum Answer {
    Now(Option<Response<Body>>),
    Later(Later),
}

impl Service {
    /// The path alone decides what a request is spared: `/chaos` and `/metrics` answer whatever happens,
    /// `/healthz` waits for neither capacity nor latency but suffers from faults.
    fn hindrance(&self, path: &str) -> Option<Hindrance> {
        let app = &self.app;
        let faulty = !app.chaos.is_quiet();
        match path {
            "/chaos" | "/metrics" => None,
            "/healthz" => (faulty && app.chaos.faults().healthz).then_some(Hindrance { load: false }),
            _ if faulty || app.capacity.is_limited() || app.latency != Latency::None => {
                Some(Hindrance { load: true })
            }
            _ => None,
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Unanswered;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let is_counted = !matches!(path, "/healthz" | "/metrics" | "/chaos");
        let exchange = is_counted.then(|| self.app.traffic.begin());
        let answer = match self.hindrance(path) {
            None => routes::answer(&self.app, self.peer, request),
            Some(hindrance) => {
                Answer::later(&self.app, hindrance.pass(Arc::clone(&self.app), self.peer, request))
            }
        };
        answer.signed(&self.app.signature).counted(exchange)
    }
}

/// What stands between a request and its route.
#[derive(Clone, Copy, Debug)]
struct Hindrance {
    /// Capacity and latency count.
    load: bool,
}

impl Hindrance {
    async fn pass(
        self,
        app: Arc<App>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Unanswered> {
        let faults = app.chaos.faults();
        if faults.hang {
            app.chaos.until_hang_ends().await;
            return Err(Unanswered);
        }
        if faults.abort {
            return Err(Unanswered);
        }
        let (place, latency) = match self.load {
            true => (Some(app.capacity.enter().await), app.latency.sample(&app.random)),
            false => (None, std::time::Duration::ZERO),
        };
        let pause = faults.slow() + latency;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let response = if app.random.unit() * 100.0 < faults.fail_percent {
            let percent = faults.fail_percent;
            answer::refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("chaos: {percent} % of requests fail (/chaos?mode=reset ends it)"),
            )
        } else {
            routes::answer(&app, peer, request).await?
        };
        Ok(response.map(|body| body.holding(place)))
    }
}

impl Answer {
    pub(crate) fn later<F>(app: &App, answer: F) -> Answer
    where
        F: Future<Output = Result<Response<Body>, Unanswered>> + Send + 'static,
    {
        Answer::Later(Later { answer: Box::pin(answer), signature: app.signature.clone(), exchange: None })
    }

    fn signed(self, signature: &HeaderValue) -> Answer {
        match self {
            Answer::Now(Some(mut response)) => {
                response.headers_mut().insert(X_BACKEND, signature.clone());
                Answer::Now(Some(response))
            }
            other => other,
        }
    }

    /// The exchange ends with the answer's body, or when the answer is given up.
    fn counted(self, exchange: Option<Exchange>) -> Answer {
        match self {
            Answer::Now(Some(response)) => Answer::Now(Some(counted(response, exchange))),
            Answer::Later(later) => Answer::Later(Later { exchange, ..later }),
            other => other,
        }
    }
}

fn counted(response: Response<Body>, exchange: Option<Exchange>) -> Response<Body> {
    let exchange = exchange.map(|exchange| exchange.answered(response.status()));
    response.map(|body| body.of(exchange))
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Answer {
        Answer::Now(Some(response))
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answer::Now(response) => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            Answer::Later(Later { answer, signature, exchange }) => {
                answer.as_mut().poll(cx).map_ok(|mut response| {
                    response.headers_mut().insert(X_BACKEND, signature.clone());
                    counted(response, exchange.take())
                })
            }
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was taken while the backend hung or aborted, and is never answered")
    }
}

impl std::error::Error for Unanswered {}
