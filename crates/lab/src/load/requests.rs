//! What is asked: one path, popular items, or a mix.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;

/// What is asked.
pub trait Requests: Send + Sync {
    /// The request of that number, counted from 0. `chance` is uniform in `0..1`, drawn by the plan's seed. The
    /// target's authority is filled in by the load.
    fn request(&self, number: u64, chance: f64) -> Request<Bytes>;
}

/// `GET` of one path, again and again.
#[derive(Debug, Clone)]
pub struct Get(pub String);

/// `GET /items/{id}`, the id between 1 and `rows` drawn by Zipf's law: number 1 is asked for twice as often as number
/// 2, three times as often as number 3. So a cache has something to do.
#[derive(Debug, Clone, Copy)]
pub struct Items {
    /// The last id.
    pub rows: u32,
}

/// What others ask, below a path: `/shop` before each of theirs.
#[derive(Clone)]
pub struct Below {
    /// Without a slash at its end.
    pub path: String,
    /// Those that are asked below it.
    pub requests: Arc<dyn Requests>,
}

/// One of several, by weight: those of weight 3 are asked three times as often as those of weight 1. Which one is
/// drawn by chance.
#[derive(Clone)]
pub struct Mix(pub Vec<(f64, Arc<dyn Requests>)>);

impl Requests for Get {
    fn request(&self, _number: u64, _chance: f64) -> Request<Bytes> {
        get(&self.0)
    }
}

impl Requests for Items {
    fn request(&self, _number: u64, chance: f64) -> Request<Bytes> {
        get(&format!("/items/{}", popular(chance, self.rows)))
    }
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

impl Requests for Mix {
    fn request(&self, number: u64, chance: f64) -> Request<Bytes> {
        let all: f64 = self.0.iter().map(|(weight, _)| weight).sum();
        let mut left = chance * all;
        let mut last = None;
        for (weight, requests) in self.0.iter().filter(|(weight, _)| *weight > 0.0) {
            if left < *weight {
                // What is left of the chance is uniform again.
                return requests.request(number, left / weight);
            }
            left -= weight;
            last = Some(requests);
        }
        // Rounding may leave the very end to nobody.
        last.map_or_else(|| get("/"), |requests| requests.request(number, chance))
    }
}

impl fmt::Debug for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Below").field(&self.path).finish()
    }
}

impl fmt::Debug for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(weight, _)| weight)).finish()
    }
}

/// One of 1 to `rows`, after Zipf's law: its logarithm is spread evenly.
fn popular(chance: f64, rows: u32) -> u32 {
    // Row k gets what lies between the logarithms of k and k + 1.
    ((f64::from(rows) + 1.0).powf(chance) as u32).clamp(1, rows.max(1))
}

fn get(path: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    // A path that is none is asked for as `/`: a load's paths are written by its caller.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_get_most_requests() {
        let mut counts = vec![0_u32; 1_000];
        let mut chance = fastrand::Rng::with_seed(1);
        for _ in 0..100_000 {
            counts[popular(chance.f64(), 1_000) as usize - 1] += 1;
        }
        // The logarithm of 2 and of 11 in that of 1,001.
        assert!((counts[0].abs_diff(10_033)) < 500, "{}", counts[0]);
        assert!((counts[..10].iter().sum::<u32>().abs_diff(34_708)) < 1_000, "{:?}", &counts[..10]);
        assert!(counts.iter().all(|count| *count > 0), "all are asked for");
        assert_eq!((popular(0.5, 1), popular(0.5, 0)), (1, 1));
    }

    #[test]
    fn a_mix_keeps_its_weights_and_hands_on_chance() {
        let mix = Mix(vec![
            (3.0, Arc::new(Get("/a?b=c".to_owned()))),
            (0.0, Arc::new(Get("/never".to_owned()))),
            (1.0, Arc::new(Items { rows: 1_000 })),
        ]);
        let paths: Vec<String> =
            (0..1000_u32).map(|n| mix.request(0, f64::from(n) / 1000.0).uri().to_string()).collect();
        assert_eq!(paths.iter().filter(|path| *path == "/a?b=c").count(), 750);
        assert_eq!((paths[750].as_str(), paths[999].len()), ("/items/1", "/items/972".len()));
        assert!(!paths.contains(&"/never".to_owned()));
        assert_eq!(Mix(Vec::new()).request(0, 0.3).uri(), "/");
        let below = Below { path: "/shop".to_owned(), requests: Arc::new(mix) };
        assert_eq!(below.request(0, 0.1).uri(), "/shop/a?b=c");
    }
}
