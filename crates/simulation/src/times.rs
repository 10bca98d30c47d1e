//! What came out of a run: the times of its requests.

/// Times in seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    all: Vec<f64>,
    is_sorted: bool,
}

impl Times {
    /// Adds one.
    pub(crate) fn add(&mut self, seconds: f64) {
        self.all.push(seconds);
        self.is_sorted = false;
    }

    /// Their mean; 0 of none.
    #[must_use]
    pub(crate) fn mean(&self) -> f64 {
        self.all.iter().sum::<f64>() / self.all.len().max(1) as f64
    }

    /// The share of those that took at most that long; 1 of none.
    #[must_use]
    pub(crate) fn share_within(&self, seconds: f64) -> f64 {
        if self.all.is_empty() {
            return 1.0;
        }
        self.all.iter().filter(|time| **time <= seconds).count() as f64 / self.all.len() as f64
    }

    /// The time that this share of them does not exceed; 0 of none.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        if !self.is_sorted {
            self.all.sort_unstable_by(f64::total_cmp);
            self.is_sorted = true;
        }
        let rank = (share * self.all.len() as f64).ceil() as usize;
        self.all.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}
