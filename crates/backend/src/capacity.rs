//! How many requests are served at once: the others wait in the order they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::count::Time;

/// A limit on requests in service, or none.
#[derive(Debug)]
pub(crate) struct Capacity {
    places: Option<Arc<Semaphore>>,
    limit: Option<usize>,
    waiting: AtomicUsize,
    waited: Time,
}

/// The place of one request; dropping it lets the next one in. It lives until the last byte of the answer.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Capacity {
    pub(crate) fn new(limit: Option<usize>) -> Capacity {
        let limit = limit.map(|limit| limit.min(Semaphore::MAX_PERMITS));
        let places = limit.map(|limit| Arc::new(Semaphore::new(limit)));
        Capacity { places, limit, waiting: AtomicUsize::new(0), waited: Time::default() }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.places.is_some()
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Places taken; 0 without a limit.
    pub(crate) fn in_use(&self) -> usize {
        let free = self.places.as_ref().map_or(0, |places| places.available_permits());
        self.limit.unwrap_or(0).saturating_sub(free)
    }

    /// How long requests have waited for a place, also those that gave up.
    pub(crate) fn waited(&self) -> Duration {
        self.waited.value()
    }

    /// Requests that wait for a place now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a place, in order; giving up is dropping the future.
    pub(crate) async fn enter(&self) -> Place {
        let Some(places) = &self.places else { return Place { _permit: None } };
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            return Place { _permit: Some(permit) };
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted { capacity: self, since: Instant::now() };
        // The semaphore is never closed, so this only ever yields a permit.
        Place { _permit: Arc::clone(places).acquire_owned().await.ok() }
    }
}

struct Counted<'a> {
    capacity: &'a Capacity,
    since: Instant,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.capacity.waiting.fetch_sub(1, Ordering::Relaxed);
        self.capacity.waited.add(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn the_third_of_two_waits_until_one_leaves() {
        let capacity = Capacity::new(Some(2));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(capacity.enter()).poll(&mut context) else { panic!("first waits") };
        let Poll::Ready(_second) = pin!(capacity.enter()).poll(&mut context) else { panic!("second waits") };
        let mut third = pin!(capacity.enter());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert_eq!((capacity.waiting(), capacity.in_use(), capacity.limit()), (1, 2, Some(2)));
        assert_eq!(capacity.waited(), Duration::ZERO, "while it waits it is not known for how long");
        drop(first);
        assert!(third.as_mut().poll(&mut context).is_ready());
        assert_eq!(capacity.waiting(), 0);
        assert!(capacity.waited() > Duration::ZERO);
    }

    #[test]
    fn giving_up_leaves_no_trace() {
        let capacity = Capacity::new(Some(1));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(place) = pin!(capacity.enter()).poll(&mut context) else { panic!("first waits") };
        {
            let mut second = Box::pin(capacity.enter());
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!((capacity.waiting(), capacity.in_use()), (0, 1));
        drop(place);
        assert!(pin!(capacity.enter()).poll(&mut context).is_ready());
    }
}
