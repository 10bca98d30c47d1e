//! Fewer points that look the same: a pixel cannot show more than its extremes.

use std::collections::HashSet;

/// A place on the picture.
pub(super) type Pixel = (f64, f64);

/// The pieces of a curve between its gaps.
pub(super) fn pieces(points: impl Iterator<Item = Option<Pixel>>) -> Vec<Vec<Pixel>> {
    let mut pieces = vec![Vec::new()];
    for point in points {
        match (point, pieces.last_mut()) {
            (Some(point), Some(piece)) => piece.push(point),
            (None, Some(piece)) if !piece.is_empty() => pieces.push(Vec::new()),
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Of each run of points in one column of pixels: the first, the lowest, the highest and the last, in their order.
pub(super) fn thinned(points: &[Pixel]) -> Vec<Pixel> {
    let mut kept = Vec::new();
    for run in points.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let indices = || run.iter().enumerate();
        let lowest = indices().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(index, _)| index);
        let highest = indices().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(index, _)| index);
        let mut wanted = [Some(0), lowest, highest, Some(run.len() - 1)];
        wanted.sort_unstable();
        let mut before = None;
        for index in wanted.into_iter().flatten() {
            if before != Some(index) {
                kept.extend(run.get(index));
            }
            before = Some(index);
        }
    }
    kept
}

/// One of the dots on each spot of two by two pixels, besides the lowest and the highest of their column.
pub(super) fn scattered(points: &[Pixel]) -> Vec<Pixel> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.floor().total_cmp(&b.0.floor()).then(a.1.total_cmp(&b.1)));
    let mut taken = HashSet::new();
    let mut kept = Vec::new();
    for column in sorted.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let last = column.len() - 1;
        for (index, point) in column.iter().enumerate() {
            let spot = ((point.0 / 2.0).floor() as i64, (point.1 / 2.0).floor() as i64);
            if taken.insert(spot) || index == 0 || index == last {
                kept.push(*point);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_cut_a_curve_into_pieces() {
        let [a, b, c] = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)];
        let pieces_of = |points: &[Option<Pixel>]| pieces(points.iter().copied());
        assert_eq!(pieces_of(&[None, Some(a), Some(b), None, None, Some(c)]), [vec![a, b], vec![c]]);
        assert!(pieces_of(&[None, None]).is_empty());
        assert!(pieces_of(&[]).is_empty());
    }

    #[test]
    fn extremes_are_kept() {
        let mut points: Vec<Pixel> =
            (0..10_000).map(|i| (f64::from(i) / 100.0, f64::from(i * 7 % 50))).collect();
        points[4_321].1 = -300.0;
        points[7_777].1 = 900.0;
        let line = thinned(&points);
        assert!(line.len() <= 400, "{}", line.len());
        let dots = scattered(&points);
        assert!(dots.len() < 2_500, "{}", dots.len());
        for kept in [&line, &dots] {
            assert!(kept.contains(&points[4_321]) && kept.contains(&points[7_777]));
            for column in 0..100 {
                let of = |points: &[Pixel]| {
                    let of_column =
                        points.iter().filter(|point| point.0.floor() as i32 == column).map(|point| point.1);
                    of_column.fold((f64::MAX, f64::MIN), |(low, high), y| (low.min(y), high.max(y)))
                };
                assert_eq!(of(kept), of(&points), "column {column}");
            }
        }
        assert_eq!(line.first(), points.first());
        assert_eq!(line.last(), points.last());
        assert!(line.is_sorted_by(|a, b| a.0 <= b.0), "the order stays");
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = [(0.0, 3.0), (10.0, 1.0), (5.0, 2.0)];
        assert_eq!(thinned(&points), points);
        assert_eq!(scattered(&points).len(), 3);
    }
}
