//! [`Law`]: the universal scalability law, fitted to throughputs by how many shared the work. Pure.
//!
//! Gunther: `C(N) = λN / (1 + σ(N − 1) + κN(N − 1))`. λ is what one does, σ what they wait for each other (contention,
//! Amdahl's serial share), κ what each pays for each other one (coherence): with κ above 0 there is a most that more
//! of them make smaller.

/// Three parameters go through any three points: of fewer than this nothing can be learnt.
const FEWEST: usize = 4;

/// The law's parameters as they fit best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Law {
    /// Of one, in requests per second.
    pub(super) lambda: f64,
    /// Contention; never negative.
    pub(super) sigma: f64,
    /// Coherence; never negative.
    pub(super) kappa: f64,
    /// The share of the throughputs' variance that it explains; `None` where they do not vary.
    pub(super) r2: Option<f64>,
}

impl Law {
    /// The law of throughputs, each with how many made it, that makes the squares of the relative errors of
    /// `N / C(N)` least; in that form the law is linear in its parameters. `None` of fewer than four different
    /// N, and of values that are no throughputs.
    pub(super) fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let is_good = |(n, rate): &(f64, f64)| n.is_finite() && *n >= 1.0 && rate.is_finite() && *rate > 0.0;
        let mut counts: Vec<f64> = points.iter().map(|point| point.0).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        if counts.len() < FEWEST || !points.iter().all(is_good) {
            return None;
        }
        // The least of the squares under the bounds is where those parameters that are not at their bound, 0, have the
        // least without bounds: four cases.
        let cases = [(true, true), (true, false), (false, true), (false, false)];
        let fits =
            cases.iter().filter_map(|(contention, coherence)| Self::free(points, *contention, *coherence));
        fits.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(law, _)| law)
    }

    /// The throughput of that many.
    pub(super) fn at(&self, n: f64) -> f64 {
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// How many do the most, if that is not far beyond what was measured: at most twice `largest`.
    pub(super) fn peak(&self, largest: f64) -> Option<f64> {
        let peak = ((1.0 - self.sigma) / self.kappa).sqrt();
        (peak.is_finite() && peak >= 1.0 && peak <= 2.0 * largest).then_some(peak)
    }

    /// The fit with some parameters free and the others 0, and the sum of its squares; `None` if it breaks a bound.
    fn free(points: &[(f64, f64)], contention: bool, coherence: bool) -> Option<(Self, f64)> {
        let row = |(n, rate): &(f64, f64)| {
            let weight = rate / n;
            let term = |is_free: bool, value: f64| if is_free { weight * value } else { 0.0 };
            [weight, term(contention, n - 1.0), term(coherence, n * (n - 1.0))]
        };
        let mut matrix = [[0.0; 3]; 3];
        let mut right = [0.0; 3];
        for row in points.iter().map(row) {
            for ((line, sum), own) in matrix.iter_mut().zip(&mut right).zip(row) {
                line.iter_mut().zip(row).for_each(|(cell, other)| *cell += own * other);
                *sum += own;
            }
        }
        // One that is not free is its equation's only unknown, and 0.
        matrix[1][1] += f64::from(u8::from(!contention));
        matrix[2][2] += f64::from(u8::from(!coherence));
        let [a, b, c] = solve(matrix, right)?;
        if !(a > 0.0 && b >= 0.0 && c >= 0.0) {
            return None;
        }
        let squares = points.iter().map(row).map(|[x, y, z]| (a * x + b * y + c * z - 1.0).powi(2)).sum();
        let law = Self { lambda: 1.0 / a, sigma: b / a, kappa: c / a, r2: None };
        Some((Self { r2: law.explained(points), ..law }, squares))
    }

    fn explained(&self, points: &[(f64, f64)]) -> Option<f64> {
        let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
        let all: f64 = points.iter().map(|(_, rate)| (rate - mean).powi(2)).sum();
        let left: f64 = points.iter().map(|(n, rate)| (rate - self.at(*n)).powi(2)).sum();
        (all > mean * mean * 1e-12).then(|| 1.0 - left / all)
    }
}

/// Cramer's rule.
fn solve(matrix: [[f64; 3]; 3], right: [f64; 3]) -> Option<[f64; 3]> {
    let whole = determinant(&matrix);
    let with = |column: usize| {
        let mut changed = matrix;
        for (line, value) in changed.iter_mut().zip(right) {
            if let Some(cell) = line.get_mut(column) {
                *cell = value;
            }
        }
        determinant(&changed) / whole
    };
    let found = [with(0), with(1), with(2)];
    found.iter().all(|value| value.is_finite()).then_some(found)
}

fn determinant([[a, b, c], [d, e, f], [g, h, i]]: &[[f64; 3]; 3]) -> f64 {
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0];

    fn law(lambda: f64, sigma: f64, kappa: f64) -> Law {
        Law { lambda, sigma, kappa, r2: None }
    }

    fn fit(of: impl Fn(f64) -> f64) -> Law {
        Law::fit(&COUNTS.map(|n| (n, of(n)))).unwrap()
    }

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6 * expected.abs().max(1.0), "{got} for {expected}");
    }

    #[test]
    fn known_parameters_come_back() {
        for (sigma, kappa) in [(0.05, 0.02), (0.3, 0.0), (0.0, 0.004), (0.9, 0.001)] {
            let real = law(200.0, sigma, kappa);
            let found = fit(|n| real.at(n));
            close(found.lambda, 200.0);
            close(found.sigma, sigma);
            close(found.kappa, kappa);
            close(found.r2.unwrap(), 1.0);
        }
    }

    #[test]
    fn noise_of_two_percent_moves_them_little() {
        let real = law(200.0, 0.05, 0.01);
        let mut sign = -1.0;
        let points = COUNTS.map(|n| {
            sign = -sign;
            (n, real.at(n) * (1.0 + 0.02 * sign))
        });
        let found = Law::fit(&points).unwrap();
        assert!((found.sigma - 0.05).abs() < 0.05 && (found.kappa - 0.01).abs() < 0.01, "{found:?}");
        assert!(found.r2.unwrap() > 0.98, "{found:?}");
    }

    #[test]
    fn what_scales_perfectly_or_better_has_neither() {
        for more in [0.0, 0.01] {
            let found = fit(|n| 100.0 * n * (1.0 + more * n));
            close(found.sigma, 0.0);
            close(found.kappa, 0.0);
            assert_eq!(found.peak(8.0), None);
            assert!(found.r2.unwrap() > 0.99, "{found:?}");
        }
    }

    #[test]
    fn what_does_not_scale_is_all_contention_and_varies_by_nothing_to_explain() {
        let found = fit(|_| 100.0);
        close(found.sigma, 1.0);
        close(found.kappa, 0.0);
        assert_eq!((found.r2, found.peak(8.0)), (None, None));
    }

    #[test]
    fn a_peak_is_told_where_it_is_near() {
        close(law(1.0, 0.19, 0.01).peak(8.0).unwrap(), 9.0);
        assert_eq!(law(1.0, 0.19, 0.01).peak(4.0), None, "no word of what nobody has seen");
        assert_eq!(law(1.0, 1.5, 0.01).peak(8.0), None, "it falls from the start");
        assert_eq!(law(1.0, 0.5, 0.0).peak(8.0), None);
        let top = law(1.0, 0.19, 0.01);
        assert!(top.at(9.0) > top.at(8.0) && top.at(9.0) > top.at(10.0));
    }

    #[test]
    fn too_few_points_or_no_throughputs_have_no_fit() {
        assert_eq!(Law::fit(&[]), None);
        assert_eq!(Law::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]), None);
        assert_eq!(Law::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 4.0), (4.0, 4.1), (4.0, 3.9)]), None);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Law::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 4.0), (8.0, bad)]), None, "{bad}");
            assert_eq!(Law::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 4.0), (bad, 8.0)]), None, "{bad}");
        }
    }
}
