//! [`Below`]: what others ask, below a path.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use crate::load::Requests;

/// What others ask, with a path before each of theirs: `/shop/items/1`.
#[derive(Clone)]
pub struct Below {
    /// Without a slash at its end.
    pub path: String,
    /// Those that are asked below it.
    pub requests: Arc<dyn Requests>,
}

impl Requests for Below {
    fn request(&self, number: u64, chance: f64) -> Request<Bytes> {
        let mut request = self.requests.request(number, chance);
        if let Ok(uri) = format!("{}{}", self.path, request.uri()).parse() {
            *request.uri_mut() = uri;
        }
        request
    }
}

impl fmt::Debug for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Below").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Get;

    #[test]
    fn the_path_comes_first_and_the_query_stays_last() {
        let below = Below { path: "/shop".to_owned(), requests: Arc::new(Get("/a?b=c".to_owned())) };
        assert_eq!(below.request(0, 0.5).uri(), "/shop/a?b=c");
    }
}
