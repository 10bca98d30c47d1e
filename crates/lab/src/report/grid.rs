//! Which side the cells of a table are set to: numbers to the right, so that their digits stand below each other.

use super::Table;

/// Where a cell's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The side of each heading, then of each cell of each row.
pub(super) struct Sides {
    pub(super) head: Vec<Side>,
    pub(super) rows: Vec<Vec<Side>>,
}

impl Sides {
    pub(super) fn of(table: &Table) -> Self {
        let columns = table.columns();
        let head: Vec<Side> = (0..columns).map(|column| table.side(column)).collect();
        let side = |(column, cell): (usize, &String)| {
            let of_column = head.get(column).copied().unwrap_or(Side::Left);
            match is_number(cell) {
                // Names are ragged unless they stand on one side.
                _ if column == 0 => of_column,
                Some(true) => Side::Right,
                Some(false) => Side::Left,
                None => of_column,
            }
        };
        let rows = table.rows.iter().map(|row| row.iter().enumerate().map(side).collect()).collect();
        Self { head, rows }
    }
}

impl Table {
    /// How many columns there are, should rows differ.
    pub(super) fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).chain([self.head.len()]).max().unwrap_or(0)
    }

    /// The side of a column: the right if most of its cells (in the first column: all) are numbers.
    fn side(&self, column: usize) -> Side {
        let cells = || self.rows.iter().filter_map(|row| is_number(row.get(column)?));
        let (all, numbers) = (cells().count(), cells().filter(|is_number| *is_number).count());
        let is_right = if column == 0 { numbers == all } else { numbers * 2 > all };
        if is_right && numbers > 0 { Side::Right } else { Side::Left }
    }
}

/// Whether a cell begins with a digit, a sign aside; `None` if it says that there is nothing.
fn is_number(cell: &str) -> Option<bool> {
    let text = cell.trim();
    if ["", "-", "–", "—", "−"].contains(&text) {
        return None;
    }
    let digits = text.trim_start_matches(['-', '+', '−', '±', '<', '>', '≤', '≥', '~', '≈', '×', ' ']);
    Some(digits.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::Side::{Left, Right};
    use super::*;

    fn table(rows: &[&[&str]]) -> Table {
        let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        Table { title: String::new(), head: Vec::new(), rows }
    }

    #[test]
    fn numbers_to_the_right_and_words_to_the_left() {
        let sides =
            Sides::of(&table(&[&["1 backend", "12", "yes"], &["ideal", "-", "-"], &["x", "none", "5"]]));
        assert_eq!(sides.head, [Left, Left, Left]);
        assert_eq!(sides.rows, [[Left, Right, Left], [Left, Left, Left], [Left, Left, Right]]);
        let sides = Sides::of(&table(&[&["1", "≤ 12 ms"], &["16", "-"], &["2"]]));
        assert_eq!(sides.head, [Right, Right]);
        assert_eq!(sides.rows, [vec![Right, Right], vec![Right, Right], vec![Right]]);
    }
}
