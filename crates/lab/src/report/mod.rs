//! What came out of an experiment, for reading: on the terminal, as one HTML file that needs nothing else, and as JSON.

mod circumstances;
mod file;
mod grid;
mod html;
mod index;
#[cfg(test)]
mod sample;
mod svg;
mod text;

use serde::Serialize;

pub use circumstances::Begun;
pub use file::prepare;
pub use index::index;

/// An experiment's result.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The experiment's word: `availability`. Names the files.
    pub name: String,
    /// What it asks: `What do clients see of a server that dies?`
    pub question: String,
    /// How it was done, in a paragraph or two.
    pub method: Vec<String>,
    /// The answer, in words to be quoted, with the numbers in it.
    pub verdict: Vec<String>,
    /// What was promised and what came out.
    pub promises: Vec<Promise>,
    /// Tables, plots and what there is to say of them, in order.
    pub blocks: Vec<Block>,
    /// What it ran on and with.
    pub circumstances: Circumstances,
    /// Everything that was measured, as the experiment likes it.
    pub data: serde_json::Value,
}

/// Something promised.
#[derive(Debug, Clone, Serialize)]
pub struct Promise {
    /// What: `requests that failed with one backend killed`.
    pub what: String,
    /// What was promised: `0`.
    pub wanted: String,
    /// What came out: `0 of 48,211`.
    pub got: String,
    /// Whether that keeps it.
    pub kept: bool,
}

/// What a result depends on.
#[derive(Debug, Clone, Serialize)]
pub struct Circumstances {
    /// The command that repeats it.
    pub command: String,
    /// Processor, cores, kernel.
    pub machine: String,
    /// Of Evenkeel.
    pub version: String,
    /// Of everything drawn by chance.
    pub seed: u64,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A part of a report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Block {
    /// A heading.
    Heading {
        /// Its text.
        text: String,
    },
    /// A paragraph.
    Text {
        /// Its text.
        text: String,
    },
    /// A table.
    Table(Table),
    /// A plot.
    Plot(Plot),
}

/// A table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The columns' headings, units included.
    pub head: Vec<String>,
    /// The first cell of a row names it; cells that begin with a digit are set to the right.
    pub rows: Vec<Vec<String>>,
}

/// Values over something that runs.
#[derive(Debug, Clone, Serialize)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What runs.
    pub x: Axis,
    /// What is measured.
    pub y: Axis,
    /// The curves.
    pub lines: Vec<Line>,
    /// Moments or values worth a name: `kill -9 of toy-2`.
    pub marks: Vec<Mark>,
}

/// An axis.
#[derive(Debug, Clone, Serialize)]
pub struct Axis {
    /// Quantity and unit: `seconds`, `p99, ms`.
    pub label: String,
    /// Whether equal distances are equal ratios.
    pub logarithmic: bool,
}

/// A curve.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Its points, x and y; a gap where y is not finite.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A line through its points.
    #[default]
    Solid,
    /// What would be: an ideal, a limit, a fit.
    Dashed,
    /// Points that nothing joins.
    Dots,
}

/// A vertical line (at an x) or a horizontal one (at a y) with a name.
#[derive(Debug, Clone, Serialize)]
pub struct Mark {
    /// On which axis.
    pub on: Direction,
    /// Where.
    pub at: f64,
    /// What it is.
    pub label: String,
}

/// The axis a [`Mark`] stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is a vertical line.
    X,
    /// It is a horizontal line.
    Y,
}

impl Report {
    /// Whether all promises were kept.
    pub fn is_kept(&self) -> bool {
        self.promises.iter().all(|promise| promise.kept)
    }
}
