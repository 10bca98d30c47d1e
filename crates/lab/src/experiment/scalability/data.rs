//! Everything that was measured, for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Window;
use super::tell::limit;
use super::{Curve, Measured, Point};

pub(super) fn data(measured: &Measured) -> Value {
    let workers = measured.workers.iter().map(|it| {
        let mut data = window_data(&it.window);
        if let Some(fields) = data.as_object_mut() {
            fields.insert("workers".to_owned(), it.workers.into());
        }
        data
    });
    json!({
        "steady": curve_data(&measured.steady), "fast": curve_data(&measured.fast),
        "direct": point_data(&measured.direct), "workers": workers.collect::<Vec<_>>(),
    })
}

fn window_data(window: &Window) -> Value {
    json!({
        "requests_per_second": window.rate, "failed": window.failed, "machine_share": window.used.machine, "load_cores": window.used.load,
        "proxy_cores": window.used.proxy, "backends_cores": window.used.backends,
        "others_cores": window.used.others,
    })
}

fn point_data(point: &Point) -> Value {
    let calm = point.calm.as_ref().map(|calm| {
        let it = &calm.answers;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        json!({
            "requests_per_second": it.rate(), "ok": it.ok, "failed": it.failed, "p50_seconds": seconds(it.p50),
            "p95_seconds": seconds(it.p95), "p99_seconds": seconds(it.p99), "longest_seconds": seconds(it.longest),
            "machine_share": calm.used.machine,
        })
    });
    json!({ "backends": point.backends, "saturated": window_data(&point.window), "at_0.7": calm })
}

fn curve_data(curve: &Curve) -> Value {
    let points = curve.points.iter().map(|point| {
        let mut data = point_data(point);
        if let Some(fields) = data.as_object_mut() {
            fields.insert("efficiency".to_owned(), curve.efficiency(point).into());
            fields.insert("limit".to_owned(), limit(curve, point).name().into());
        }
        data
    });
    let law = curve.law.map(|law| {
        json!({
            "lambda": law.lambda, "sigma": law.sigma, "kappa": law.kappa, "r2": law.r2,
            "peak_backends": law.peak(curve.points.last().map_or(1.0, |it| it.backends as f64)),
        })
    });
    json!({
        "places": curve.kind.places, "service_seconds": curve.kind.service.as_secs_f64(),
        "points": points.collect::<Vec<_>>(), "law": law,
    })
}
