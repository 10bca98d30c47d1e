//! What the live view shows: the guide, the traffic, the endpoints, the last events, as many as there is room for.

use std::time::{Duration, Instant};

use tracing::Level;

use crate::demo::events::Happened;
use crate::demo::guide::Guide;
use crate::demo::load::LoadReading;
use crate::demo::meter::{EndpointReading, Light, Reading};
use crate::demo::screen::{Line, Style};
use crate::figures;

/// Columns of the table of endpoints before the curve.
const TABLE: usize = 80;
/// Events that are shown before the guide gets its last lines.
const LEAST_EVENTS: usize = 3;

/// Everything on the screen.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) guide: &'a Guide,
    pub(crate) reading: &'a Reading,
    pub(crate) load: Option<&'a LoadReading>,
    /// Oldest first.
    pub(crate) events: &'a [Happened],
    pub(crate) began: Instant,
    pub(crate) now: Instant,
}

/// The lines of a terminal this large.
pub(crate) fn lines(scene: &Scene<'_>, (columns, rows): (usize, usize)) -> Vec<Line> {
    let mut top = top(scene, columns);
    let middle = middle(scene, columns);
    let events: Vec<_> = scene.events.iter().map(|event| self::event(event, scene.began, columns)).collect();
    let height = |lines: &[Line]| lines.iter().map(|line| line.rows(columns)).sum::<usize>();

    if height(&top) + height(&middle) > rows {
        top.clear();
    }
    let mut left = rows.saturating_sub(height(&top) + height(&middle));
    let mut tries = vec![Line::default(), Line::of(Style::Bold, " Try, in another terminal")];
    tries.extend(scene.guide.tries.iter().map(|one| {
        Line::of(Style::Plain, format!(" {:18}", one.effect)).and(Style::Green, one.command.clone())
    }));
    let reserved = 1 + LEAST_EVENTS;
    while !tries.is_empty() && height(&tries) + reserved > left {
        tries.pop();
    }
    if tries.len() < 3 {
        tries.clear();
    }
    left = left.saturating_sub(height(&tries));

    let mut lines = top;
    lines.extend(tries);
    lines.extend(middle);
    if left > 1 {
        lines.push(Line::default());
        lines.extend(events.into_iter().rev().take(left - 1).rev());
    }
    while height(&lines) > rows {
        lines.pop();
    }
    lines
}

fn top(scene: &Scene<'_>, columns: usize) -> Vec<Line> {
    let elapsed = figures::clock(scene.now.saturating_duration_since(scene.began));
    let title =
        Line::of(Style::Bold, " Evenkeel demo").and(Style::Dim, format!("  {elapsed}  Ctrl-C ends it"));
    let mut lines = vec![title.cut(columns)];
    for (what, address) in &scene.guide.places {
        lines.push(Line::of(Style::Plain, format!(" {what:18}")).and(Style::Green, address.clone()));
    }
    for sentence in &scene.guide.moved {
        lines.push(Line::of(Style::Yellow, format!(" {sentence}")).cut(columns));
    }
    lines
}

fn middle(scene: &Scene<'_>, columns: usize) -> Vec<Line> {
    let traffic = &scene.reading.traffic;
    let rates = |who: &str, per_second: f64, p50: Option<Duration>, p99: Option<Duration>| {
        let (rate, p50, p99) = (figures::rate(per_second), figures::duration(p50), figures::duration(p99));
        Line::of(Style::Plain, format!(" {who:8}{rate:>6} requests/s  p50 {p50:>7}  p99 {p99:>7}  "))
    };
    let mut lines = vec![Line::default()];
    if let Some(load) = scene.load {
        let style = if load.failed == 0 { Style::Green } else { Style::Red };
        let (failed, all) = (figures::count(load.failed), figures::count(load.ok + load.failed));
        lines.push(
            rates("clients", load.per_second, load.p50, load.p99)
                .and(style, format!("{failed} of {all} failed"))
                .cut(columns),
        );
    }
    let style = if traffic.errors == 0 { Style::Plain } else { Style::Red };
    lines.push(
        rates("proxy", traffic.per_second, traffic.p50, traffic.p99)
            .and(style, format!("{} × 5xx", figures::count(traffic.errors)))
            .and(Style::Plain, format!(", {} retried", figures::count(traffic.retries)))
            .cut(columns),
    );
    let head = format!(
        " {:8}{:16}{:9}{:>9}{:>8}{:>10}{:>10}{:>9}  requests/s",
        "backend", "endpoint", "state", "in flight", "req/s", "p50", "p99", "failed"
    );
    lines.push(Line::of(Style::Dim, head).cut(columns));
    let highest = scene.reading.endpoints.iter().flat_map(|endpoint| &endpoint.history).copied();
    let highest = highest.fold(0.0, f64::max);
    lines.extend(scene.reading.endpoints.iter().map(|endpoint| row(endpoint, highest, columns)));
    let cache = &scene.reading.cache;
    lines.push(row(&cache.server, highest, columns));
    let figures = format!(
        " {:>9} hits  {} hit, {} missed, {} bypassed/s  saves {}/s  ",
        figures::percent(cache.hit_ratio),
        figures::rate(cache.hits_per_second),
        figures::rate(cache.misses_per_second),
        figures::rate(cache.bypassed_per_second),
        figures::duration(Some(cache.saved_per_second)),
    );
    lines.push(Line::of(Style::Plain, figures).and(style_of(cache.light), cache.state.clone()).cut(columns));
    lines
}

fn style_of(light: Light) -> Style {
    match light {
        Light::Green => Style::Green,
        Light::Yellow => Style::Yellow,
        Light::Red => Style::Red,
    }
}

fn row(endpoint: &EndpointReading, highest: f64, columns: usize) -> Line {
    let style = style_of(endpoint.light);
    let EndpointReading { name, address, state, traffic, in_flight, .. } = endpoint;
    let line = Line::of(Style::Plain, format!(" {name:8}{address:16}")).and(style, format!("{state:9}"));
    let figures = match &endpoint.note {
        Some(note) => format!("  {note}"),
        None => format!(
            "{in_flight:>9}{:>8}{:>10}{:>10}{:>9}",
            figures::rate(traffic.per_second),
            figures::duration(traffic.p50),
            figures::duration(traffic.p99),
            figures::count(traffic.errors),
        ),
    };
    let line = line.and(Style::Plain, figures);
    let room = columns.saturating_sub(TABLE + 2);
    let curve = figures::curve(endpoint.history.iter().copied(), highest, room.min(60));
    let gap = " ".repeat((TABLE + 2).saturating_sub(line.width()).max(1));
    line.and(Style::Plain, gap).and(Style::Green, curve).cut(columns)
}

fn event(event: &Happened, began: Instant, columns: usize) -> Line {
    let style = match event.level {
        Level::ERROR => Style::Red,
        Level::WARN => Style::Yellow,
        _ => Style::Plain,
    };
    let at = figures::clock(event.at.saturating_duration_since(began));
    Line::of(Style::Dim, format!(" {at:>5}  ")).and(style, event.text.clone()).cut(columns)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::SocketAddr;

    use evenkeel_backend::{CacheFigures, CacheState};

    use super::*;
    use crate::demo::guide::Places;
    use crate::demo::meter::Traffic;
    use crate::demo::savings::Savings;

    fn screen(columns: usize, rows: usize) -> Vec<String> {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let toys = [("toy-1", address(9001)), ("toy-2", address(9002)), ("toy-3", address(9003))];
        let places = Places { proxy: address(8080), cache: address(6390), admin: address(9900) };
        let guide = Guide::new(places, &toys, Duration::from_secs(10), Vec::new());
        let began = Instant::now();
        let endpoint = |port: u16, note: Option<&str>| EndpointReading {
            name: format!("toy-{}", port % 10),
            address: address(port).to_string(),
            state: if note.is_some() { "down" } else { "up" },
            light: if note.is_some() { Light::Red } else { Light::Green },
            note: note.map(str::to_owned),
            in_flight: 2,
            traffic: Traffic { per_second: 66.6, errors: 1, ..Traffic::default() },
            history: VecDeque::from([10.0, 80.0]),
        };
        let killed = "killed, back in 7 s; connection refused";
        let endpoints = vec![endpoint(9001, Some(killed)), endpoint(9002, None), endpoint(9003, None)];
        let server = EndpointReading {
            name: "cache".to_owned(),
            note: Some("3 connections, 12,345 keys, 7.4 MiB".to_owned()),
            ..endpoint(6380, None)
        };
        let figures = CacheFigures {
            hits: 1_722,
            misses: 278,
            bypassed: 20,
            database_reads: 298,
            database_time: Duration::from_millis(1_500),
        };
        let before = CacheFigures::default();
        let cache =
            Savings::new(figures, &before, Duration::from_secs(20), &[CacheState::Away("closed")], server);
        let traffic = Traffic { requests: 1234, ..Traffic::default() };
        let reading = Reading { traffic, endpoints, cache };
        let load = LoadReading { ok: 1234, per_second: 200.0, ..LoadReading::default() };
        let events: Vec<_> = (1..=50)
            .map(|n| Happened { at: began, level: Level::INFO, text: format!("event {n}") })
            .collect();
        let scene = Scene {
            guide: &guide,
            reading: &reading,
            load: Some(&load),
            events: &events,
            began,
            now: began + Duration::from_secs(42),
        };
        let lines = lines(&scene, (columns, rows));
        let used: usize = lines.iter().map(|line| line.rows(columns)).sum();
        assert!(used <= rows, "{used} rows of {rows}");
        lines.iter().map(|line| line.paint(false)).collect()
    }

    #[test]
    fn a_usual_terminal_shows_the_point() {
        let text = screen(80, 24).join("\n");
        for part in [
            "0:42  Ctrl-C ends it",
            "http://127.0.0.1:9900/",
            "curl -X POST '127.0.0.1:9001/chaos?mode=dead'",
            "0 of 1,234 failed",
            "down       killed, back in 7 s; connection refused",
            "127.0.0.1:9002  up",
            "echo SHUTDOWN NOSAVE | curl -s telnet://127.0.0.1:6390",
            "cache   127.0.0.1:6380  up         3 connections, 12,345 keys, 7.4 MiB",
            "85 % hits  86 hit, 14 missed, 1.0 bypassed/s  saves 433 ms/s  away: closed",
            "event 50",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
    }

    #[test]
    fn a_large_one_shows_everything() {
        let lines = screen(140, 50);
        let text = lines.join("\n");
        assert!(text.contains("/endpoints/127.0.0.1:9003/undrain") && text.contains("event 40"), "{text}");
        assert!(lines.iter().any(|line| line.contains("toy-2") && line.ends_with("▁█")), "{text}");
    }

    #[test]
    fn no_size_is_too_small() {
        for (columns, rows) in [(1, 1), (20, 5), (40, 12), (79, 23), (300, 3)] {
            screen(columns, rows);
        }
    }
}
