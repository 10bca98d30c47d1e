//! Plain tables: columns as wide as they must be, nothing else.

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Lines of a table; what a row lacks stays empty, and no line ends in spaces. Control characters are not let out.
pub(crate) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> Vec<String> {
    let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row: &Vec<String>| row.iter().map(|cell| cell.replace(char::is_control, " ")).collect())
        .collect();
    let width =
        |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns.len()).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, (_, side)), width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// A span of time as people say it: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["app".into(), "7".into(), "a\nb".into()], vec!["ä".into(), "1000".into()]];
        let lines = table(&[("UP", Side::Left), ("N", Side::Right), ("WHY", Side::Left)], &rows);
        assert_eq!(lines, ["UP      N  WHY", "app     7  a b", "ä    1000"]);
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        let said: Vec<_> = [0, 59, 60, 3599, 3660, 86_399, 86_400, 200_000].map(span).into();
        assert_eq!(
            said,
            ["0 s", "59 s", "1 min", "59 min", "1 h 1 min", "23 h 59 min", "1 d 0 h", "2 d 7 h"]
        );
    }
}
