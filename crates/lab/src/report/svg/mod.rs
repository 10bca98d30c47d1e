//! A plot as SVG that takes its colours from the page's style sheet.

mod place;
mod scale;
mod thin;

use std::fmt::Write as _;

use super::html::Escaped;
use super::{Direction, Line, Mark, Plot, Style};
use place::{LINE_HEIGHT, Place};
use scale::{Fit, Scale};
use thin::Pixel;

/// Curves that differ in colour; more of them begin again.
pub(super) const COLOURS: usize = 6;

/// Up to so many points of a curve are shown one by one.
const FEW: usize = 40;

/// The height of a label's letters over its base line.
const ASCENT: f64 = 11.0;

/// A picture's size in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Of the whole.
    width: f64,
    /// Of the area between the axes.
    area: f64,
}

/// For a page on a desk, and on paper.
pub(super) const WIDE: Size = Size { width: 760.0, area: 260.0 };

/// For a telephone.
pub(super) const NARROW: Size = Size { width: 350.0, area: 220.0 };

/// A plot on its way to a picture.
struct Drawing<'a> {
    plot: &'a Plot,
    x: Scale,
    y: Scale,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The names of vertical lines: shortened, lane, left end.
    names: Vec<(String, usize, f64)>,
    svg: String,
}

/// Draws it; `class` is the picture's class in the style sheet.
pub(super) fn draw(plot: &Plot, size: Size, class: &str) -> String {
    let mut drawing = Drawing::new(plot, size);
    let height = drawing.bottom + 42.0;
    let label = Escaped(&plot.title);
    let said = format!("{}, by {}", plot.y.label, plot.x.label);
    drawing.svg = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}: {}\">\n",
        short(size.width),
        short(height),
        Escaped(&said)
    );
    drawing.axes(size.width);
    drawing.mark_lines();
    let ink = drawing.curves();
    drawing.mark_names(&ink);
    drawing.svg.push_str("</svg>\n");
    drawing.svg
}

/// How a curve looks, for the legend.
pub(super) fn swatch(index: usize, style: Style) -> String {
    let mut svg = "<svg class=\"swatch\" viewBox=\"0 0 30 12\" aria-hidden=\"true\">".to_owned();
    match style {
        Style::Dots => {
            _ = write!(svg, "<path class=\"dots c{}\" d=\"M5 8h0M14 4h0M23 7h0\"/>", index % COLOURS)
        }
        Style::Solid | Style::Dashed => {
            _ = write!(svg, "<path class=\"{} c{}\" d=\"M1 6H29\"/>", word(style), index % COLOURS);
            if style == Style::Solid {
                svg.push_str(&marker(index, (15.0, 6.0), ""));
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

/// How many points have no place on a logarithmic axis.
pub(super) fn hidden(plot: &Plot) -> usize {
    let is_hidden = |(x, y): &&(f64, f64)| {
        (plot.x.logarithmic && x.is_finite() && *x <= 0.0)
            || (plot.y.logarithmic && y.is_finite() && *y <= 0.0)
    };
    plot.lines.iter().map(|line| line.points.iter().filter(is_hidden).count()).sum()
}

impl<'a> Drawing<'a> {
    fn new(plot: &'a Plot, size: Size) -> Self {
        let points = || plot.lines.iter().flat_map(|line| &line.points);
        let marked = |on| plot.marks.iter().filter(move |mark| mark.on == on).map(|mark| mark.at);
        let both = || points().filter(|(x, y)| x.is_finite() && y.is_finite());
        let across = both().map(|point| point.0).chain(marked(Direction::X));
        let up = both().map(|point| point.1).chain(marked(Direction::Y));
        let y = Scale::new(up, plot.y.logarithmic, Fit::Ticks, size.area / 45.0);
        let widest = y.ticks().iter().map(|(_, label)| place::width(label)).fold(0.0, f64::max);
        let (left, right) = ((widest + 10.0).max(24.0), size.width - 16.0);
        let x =
            Scale::new(across, plot.x.logarithmic, Fit::Tight, (right - left) / 80.0).between(left, right);
        let named: Vec<(f64, String)> = plot
            .marks
            .iter()
            .filter(|mark| mark.on == Direction::X)
            .filter_map(|mark| Some((x.at(mark.at)?, place::shortened(&mark.label, right - left))))
            .collect();
        let sizes: Vec<(f64, f64)> = named.iter().map(|(at, name)| (*at, place::width(name))).collect();
        let places = place::lanes(&sizes, left, right);
        let lanes = places.iter().map(|(lane, _)| lane + 1).max().unwrap_or(0);
        let top = 26.0 + lanes as f64 * LINE_HEIGHT;
        let bottom = top + size.area;
        let names =
            named.into_iter().zip(places).map(|((_, name), (lane, left))| (name, lane, left)).collect();
        let y = y.between(bottom, top);
        Self { plot, x, y, left, right, top, bottom, names, svg: String::new() }
    }

    fn axes(&mut self, width: f64) {
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        for (at, label) in self.y.ticks() {
            self.path("grid", &format!("M{} {}H{}", short(left), short(at), short(right)));
            self.text("end", left - 6.0, at + 4.0, &label);
        }
        let mut free = 0.0;
        for (at, label) in self.x.ticks() {
            self.path("axis", &format!("M{} {}v5", short(at), short(bottom)));
            let half = place::width(&label) / 2.0;
            let middle = at.min(width - half).max(half);
            if middle - half >= free {
                self.text("middle", middle, bottom + 18.0, &label);
                free = middle + half + 4.0;
            }
        }
        self.path("axis", &format!("M{} {}H{}", short(left), short(bottom), short(right)));
        let (x, y) = (&self.plot.x.label, &self.plot.y.label);
        self.text("name", 0.0, 12.0, &place::shortened(y, width));
        self.text("name end", right, bottom + 36.0, &place::shortened(x, width - 20.0));
    }

    fn mark_lines(&mut self) {
        let plot = self.plot;
        let mut lanes: Vec<usize> = self.names.iter().rev().map(|(_, lane, _)| *lane).collect();
        for mark in &plot.marks {
            match mark.on {
                Direction::X => {
                    let Some(at) = self.x.at(mark.at) else { continue };
                    let from = self.lane(lanes.pop().unwrap_or(0));
                    self.path(
                        "mark",
                        &format!("M{} {}V{}", short(at), short(from + 2.0), short(self.bottom)),
                    );
                }
                Direction::Y => {
                    let Some(at) = self.y.at(mark.at) else { continue };
                    self.path("mark", &format!("M{} {}H{}", short(self.left), short(at), short(self.right)));
                }
            }
        }
    }

    fn mark_names(&mut self, ink: &[Pixel]) {
        for (name, lane, left) in self.names.clone() {
            let base = self.lane(lane) + ASCENT;
            self.text("halo", left, base, &name);
        }
        let area = (self.left, self.right, self.top, self.bottom);
        let mut taken: Vec<Place> = Vec::new();
        let plot = self.plot;
        let across = |mark: &&Mark| mark.on == Direction::Y;
        for mark in plot.marks.iter().filter(across) {
            let Some(at) = self.y.at(mark.at) else { continue };
            let name = place::shortened(&mark.label, self.right - self.left - 8.0);
            let place = place::beside(at, place::width(&name), area, &taken, ink);
            taken.push(place);
            // Set to the end where it stands at the right: its width is an estimate.
            if place.right > self.right - 10.0 {
                self.text("halo end", place.right, place.top + ASCENT, &name);
            } else {
                self.text("halo", place.left, place.top + ASCENT, &name);
            }
        }
    }

    /// Draws the curves; returns where there is colour now.
    fn curves(&mut self) -> Vec<Pixel> {
        let mut ink = Vec::new();
        let plot = self.plot;
        for (index, line) in plot.lines.iter().enumerate() {
            let pixel = |(x, y): &(f64, f64)| Some((self.x.at(*x)?, self.y.at(*y)?));
            let pieces = thin::pieces(line.points.iter().map(pixel));
            let colour = format!("{} c{}", word(line.style), index % COLOURS);
            if line.style == Style::Dots {
                let dots = thin::scattered(&pieces.concat());
                let path: String =
                    dots.iter().map(|(x, y)| format!("M{} {}h0", short(*x), short(*y))).collect();
                self.path(&colour, &path);
                ink.extend(dots);
                continue;
            }
            let mut path = String::new();
            for piece in &pieces {
                let piece = thin::thinned(piece);
                for (at, (x, y)) in piece.iter().enumerate() {
                    _ = write!(path, "{}{} {}", if at == 0 { 'M' } else { 'L' }, short(*x), short(*y));
                }
                if piece.len() == 1 {
                    path.push_str("h0");
                }
                ink.extend(stepped(&piece));
            }
            self.path(&colour, &path);
            if line.style == Style::Solid && line.points.len() <= FEW {
                self.markers(index, line);
            }
        }
        ink
    }

    /// Points one by one, each of which says its values.
    fn markers(&mut self, index: usize, line: &Line) {
        for (x, y) in &line.points {
            let (Some(across), Some(up)) = (self.x.at(*x), self.y.at(*y)) else { continue };
            let said = format!("{}: {} at {}", line.name, digits(*y), digits(*x));
            self.svg.push_str(&marker(index, (across, up), &said));
            self.svg.push('\n');
        }
    }

    /// The top of a lane over the plot; the first is the lowest.
    fn lane(&self, lane: usize) -> f64 {
        self.top - 4.0 - (lane + 1) as f64 * LINE_HEIGHT
    }

    fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            _ = writeln!(self.svg, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let (x, y) = (short(x), short(y));
        _ = writeln!(self.svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(text));
    }
}

/// A point of a curve: a shape for each of four, so that colour is not all that tells them apart.
fn marker(index: usize, (x, y): Pixel, said: &str) -> String {
    let path = match index % 4 {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        1 => "m-3.5 -3.5h7v7h-7z",
        2 => "m0 -4.5l4.5 8h-9z",
        _ => "m0 -5l5 5l-5 5l-5 -5z",
    };
    let title = if said.is_empty() { String::new() } else { format!("<title>{}</title>", Escaped(said)) };
    let colour = index % COLOURS;
    format!("<path class=\"point c{colour}\" d=\"M{} {}{path}\">{title}</path>", short(x), short(y))
}

/// Points along a curve, close enough to see whether a label is in its way.
fn stepped(piece: &[Pixel]) -> Vec<Pixel> {
    let mut along = piece.to_vec();
    for (from, to) in piece.iter().zip(piece.iter().skip(1)) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = (dx.hypot(dy) / 8.0).floor() as i32;
        let at = |step: i32| f64::from(step) / f64::from(steps);
        along.extend((1..steps).map(|step| (dx.mul_add(at(step), from.0), dy.mul_add(at(step), from.1))));
    }
    along
}

fn word(style: Style) -> &'static str {
    match style {
        Style::Solid => "solid",
        Style::Dashed => "dashed",
        Style::Dots => "dots",
    }
}

/// A coordinate with a digit behind the point, if it needs one.
fn short(pixels: f64) -> String {
    let text = format!("{pixels:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A value with up to four digits behind the point.
fn digits(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
