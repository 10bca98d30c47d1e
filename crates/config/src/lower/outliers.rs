//! Outlier detection: its rules, and what is wrong between them.

use std::time::Duration;

use evenkeel_policy::outlier::OutlierRules;
use toml::Spanned;

use crate::codes;
use crate::collection::Switch;
use crate::diagnostic::Problems;
use crate::schema;
use crate::values::duration::show;
use crate::values::number::Number;

/// How long an ejection lasts at most, unless that is shorter than the first one.
const LONGEST: Duration = Duration::from_secs(300);

/// The rules of an upstream with so many endpoints.
pub(super) fn lower(
    table: Spanned<schema::Outliers>,
    upstream: &Spanned<String>,
    endpoints: usize,
    problems: &mut Problems,
) -> OutlierRules {
    let place = table.span();
    let table = table.into_inner();
    check(&table, problems);
    let row = |row: Switch<schema::Row>| row.on().map(number);
    let rules = OutlierRules {
        consecutive_errors: row(table.consecutive_errors.into_inner()),
        consecutive_connect_failures: row(table.consecutive_connect_failures.into_inner()),
        error_ratio: table.error_ratio.into_inner().on().map(|percent| percent.0),
        latency: table.latency.into_inner().on().map(number),
        interval: table.interval.get_ref().0,
        ejection: table.ejection.get_ref().0,
        longest_ejection: table
            .longest_ejection
            .map_or_else(|| LONGEST.max(table.ejection.get_ref().0), |longest| longest.into_inner().0),
        max_ejected: table.max_ejected.into_inner().0,
    };
    let is_idle = rules.consecutive_errors.is_none()
        && rules.consecutive_connect_failures.is_none()
        && !rules.compare();
    if is_idle {
        let message = "`outliers` has no effect: all of its rules are \"off\"";
        problems.error(codes::NO_EFFECT, place, message).help("remove it, or switch one of them on");
    } else if endpoints == 1 {
        let name = upstream.get_ref();
        let message = format!("upstream `{name}` has one endpoint, which outlier detection never takes out");
        problems.warning(codes::ALONE, place, message).help("add another endpoint, or remove `outliers`");
    } else if !rules.compare() && !table.interval.span().is_empty() {
        let message = "`interval` has no effect: `error_ratio` and `latency` are \"off\"";
        let help = "remove it, or switch one of them on";
        problems.error(codes::NO_EFFECT, table.interval.span(), message).help(help);
    }
    rules
}

fn check(table: &schema::Outliers, problems: &mut Problems) {
    if let Switch::On(ratio) = table.error_ratio.get_ref()
        && !(1..=99).contains(&ratio.0)
    {
        let message = format!("`error_ratio`: \"{}%\" is not between \"1%\" and \"99%\"", ratio.0);
        let help = "it is a share of errors that is still good; \"off\" compares no errors";
        problems.error(codes::OUT_OF_RANGE, table.error_ratio.span(), message).help(help);
    }
    if table.max_ejected.get_ref().0 == 0 {
        let message = "`max_ejected`: \"0%\" is not between \"1%\" and \"100%\"";
        let help = "remove `outliers` if no endpoint may be taken out";
        problems.error(codes::OUT_OF_RANGE, table.max_ejected.span(), message).help(help);
    }
    let ejection = table.ejection.get_ref().0;
    if let Some(longest) = table.longest_ejection.as_ref().filter(|longest| longest.get_ref().0 < ejection) {
        let (most, first) = (show(longest.get_ref().0), show(ejection));
        let message =
            format!("`longest_ejection` ({most}) is shorter than `ejection` ({first}), the first one");
        let help = "make it longer, or `ejection` shorter";
        problems.error(codes::OUT_OF_RANGE, longest.span(), message).help(help);
    }
}

/// The number, which its type has made small enough.
fn number<const LEAST: u64, const MOST: u64>(number: Number<LEAST, MOST>) -> u16 {
    u16::try_from(number.0).unwrap_or(u16::MAX)
}
