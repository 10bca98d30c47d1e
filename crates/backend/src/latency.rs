//! How long a request takes beyond its work: a distribution, written as `fixed:5ms` and the like.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::random::Random;

/// No sample is longer, however heavy the tail: ten minutes.
const LONGEST: Duration = Duration::from_secs(600);

/// The time added to each request, drawn anew for each. Waiting is done by a timer that rounds up to whole
/// milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// Nothing is added.
    #[default]
    None,
    /// The same for each request: `fixed:5ms`.
    Fixed(Duration),
    /// Evenly between two bounds: `uniform:1ms-9ms`.
    Uniform(Duration, Duration),
    /// Memoryless with this mean, as an M/M/1 server has: `exponential:5ms`.
    Exponential(Duration),
    /// Median and sigma of the logarithm, the long tail of real services: `lognormal:5ms,0.8`.
    LogNormal(Duration, f64),
}

impl Latency {
    pub(crate) fn sample(&self, random: &Random) -> Duration {
        let seconds = match *self {
            Latency::None => return Duration::ZERO,
            Latency::Fixed(time) => return time.min(LONGEST),
            Latency::Uniform(low, high) => {
                low.as_secs_f64() + random.unit() * high.saturating_sub(low).as_secs_f64()
            }
            Latency::Exponential(mean) => -mean.as_secs_f64() * (1.0 - random.unit()).ln(),
            Latency::LogNormal(median, sigma) => median.as_secs_f64() * (sigma * random.normal()).exp(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
    }
}

impl FromStr for Latency {
    type Err = LatencyError;

    fn from_str(text: &str) -> Result<Latency, LatencyError> {
        if text == "none" {
            return Ok(Latency::None);
        }
        let wrong = || LatencyError(None);
        let time = |text: &str| parse_duration(text).map_err(|reason| LatencyError(Some(reason)));
        let (kind, value) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "fixed" => Ok(Latency::Fixed(time(value)?)),
            "exponential" => Ok(Latency::Exponential(time(value)?)),
            "uniform" => {
                let (low, high) = value.split_once('-').ok_or_else(wrong)?;
                let (low, high) = (time(low)?, time(high)?);
                if low > high {
                    return Err(LatencyError(Some(format!("{low:?} is more than {high:?}"))));
                }
                Ok(Latency::Uniform(low, high))
            }
            "lognormal" => {
                let (median, sigma) = value.split_once(',').ok_or_else(wrong)?;
                let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=5.0).contains(&sigma) {
                    return Err(LatencyError(Some("sigma has to be between 0 and 5".to_owned())));
                }
                Ok(Latency::LogNormal(time(median)?, sigma))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Latency::None => f.write_str("none"),
            Latency::Fixed(time) => write!(f, "fixed:{time:?}"),
            Latency::Uniform(low, high) => write!(f, "uniform:{low:?}-{high:?}"),
            Latency::Exponential(mean) => write!(f, "exponential:{mean:?}"),
            Latency::LogNormal(median, sigma) => write!(f, "lognormal:{median:?},{sigma}"),
        }
    }
}

/// Why a text is not a latency; its sentence says what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyError(Option<String>);

impl fmt::Display for LatencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.0 {
            write!(f, "{reason}; ")?;
        }
        f.write_str("expected none, fixed:5ms, uniform:1ms-9ms, exponential:5ms or lognormal:5ms,0.8")
    }
}

impl std::error::Error for LatencyError {}

/// Reads `250us`, `5ms`, `1.5s` or `2m`; at most ten minutes.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{text}` is not a time; write it with a unit: 250us, 5ms, 1.5s or 2m")),
    };
    let seconds: f64 = number.parse().map_err(|_| format!("`{text}` is not a time such as 5ms or 1.5s"))?;
    match Duration::try_from_secs_f64(seconds * scale) {
        Ok(time) if time <= LONGEST => Ok(time),
        _ => Err(format!("`{text}` is more than ten minutes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_ms(text: &str) -> f64 {
        let (latency, random) = (text.parse::<Latency>().unwrap(), Random::new(Some(42)));
        (0..50_000).map(|_| latency.sample(&random).as_secs_f64() * 1e3).sum::<f64>() / 50_000.0
    }

    #[test]
    fn means_are_those_of_the_distributions() {
        assert_eq!(mean_ms("none"), 0.0);
        assert!((mean_ms("fixed:5ms") - 5.0).abs() < 1e-6);
        assert!((mean_ms("uniform:1ms-9ms") - 5.0).abs() < 0.1);
        assert!((mean_ms("exponential:5ms") - 5.0).abs() < 0.15);
        // The mean of a log-normal is median × exp(sigma² / 2).
        assert!((mean_ms("lognormal:5ms,0.5") - 5.0 * 0.125f64.exp()).abs() < 0.15);
    }

    #[test]
    fn bounds_hold_and_tails_end() {
        let random = Random::new(Some(3));
        let uniform: Latency = "uniform:1ms-9ms".parse().unwrap();
        let bounds = Duration::from_millis(1)..=Duration::from_millis(9);
        assert!((0..10_000).all(|_| bounds.contains(&uniform.sample(&random))));
        let heavy: Latency = "lognormal:10m,5".parse().unwrap();
        assert!((0..1_000).all(|_| heavy.sample(&random) <= LONGEST));
    }

    #[test]
    fn texts_come_back() {
        let texts =
            ["none", "fixed:5ms", "uniform:1ms-9ms", "exponential:1.5s", "lognormal:5ms,0.8", "fixed:250µs"];
        for text in texts {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_texts_are_refused_with_what_is_expected() {
        for text in ["", "5ms", "fixed", "fixed:5", "fixed:-5ms", "fixed:1..5ms", "fixed:ms", "fixed:11m"] {
            assert!(
                text.parse::<Latency>().unwrap_err().to_string().contains("expected none, fixed"),
                "{text}"
            );
        }
        for text in
            ["uniform:9ms-1ms", "uniform:5ms", "lognormal:5ms", "lognormal:5ms,-1", "lognormal:5ms,NaN"]
        {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }
}
