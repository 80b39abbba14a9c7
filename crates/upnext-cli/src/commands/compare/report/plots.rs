//! The plots of a comparison.

use super::super::outcome::Outcome;
use crate::output::{seconds, thousands};
use crate::page::svg::{Plot, Point, Series, bars};
use upnext_core::comparison::{Breakdown, Estimate, Group, Interval, Metric};

/// The name of a metric for headings.
pub(super) fn shown(metric: Metric) -> &'static str {
    match metric {
        Metric::Recall => "Recall",
        Metric::Mrr => "MRR",
        Metric::Ndcg => "NDCG",
    }
}

fn ends(interval: Option<Interval>) -> Option<(f64, f64)> {
    interval.map(|interval| (interval.low, interval.high))
}

fn title(outcome: &Outcome, model: usize, at: &str, figure: &Estimate) -> String {
    let range = figure.interval.map_or(String::new(), |i| format!(" ({:.4} to {:.4})", i.low, i.high));
    format!("{}, {at}: {:.4}{range}", outcome.models[model].name, figure.value)
}

/// Horizontal offset of a model's markers, so that intervals do not overlap.
fn apart(model: usize, models: usize) -> f64 {
    0.5 * ((model as f64 + 0.5) / models.max(1) as f64 - 0.5)
}

/// A plot of a metric by cut-off.
pub(super) fn by_cutoff(outcome: &Outcome, metric: Metric) -> String {
    let cutoffs = &outcome.evaluation.cutoffs;
    let count = outcome.models.len();
    let series = |model: usize| {
        let figures = outcome.comparison.models[model].iter().filter(|at| at.metric == metric);
        let points = figures.enumerate().map(|(i, at)| Point {
            x: i as f64 + apart(model, count),
            y: at.estimate.value,
            low_high: ends(at.estimate.interval),
            title: title(outcome, model, &format!("{}@{}", shown(metric), at.k), &at.estimate),
        });
        Series { model, points: points.collect() }
    };
    Plot {
        label: &format!("{} by cut-off", shown(metric)),
        x_title: "cut-off k",
        ticks: (0..).zip(cutoffs).map(|(i, k)| (f64::from(i), k.to_string())).collect(),
        x_range: (-0.5, cutoffs.len() as f64 - 0.5),
        from_zero: true,
        diagonal: false,
        lines: true,
        series: (0..count).map(series).collect(),
    }
    .svg()
}

fn range(group: &Group) -> String {
    match group.to {
        Some(to) if to == group.from => to.to_string(),
        Some(to) => format!("{}–{to}", group.from),
        None => format!("{}+", group.from),
    }
}

/// A plot of a metric by groups of cases.
pub(super) fn by_group(outcome: &Outcome, breakdown: &Breakdown, metric: Metric) -> String {
    let Some(place) = Metric::ALL.iter().position(|&m| m == metric) else { return String::new() };
    let count = outcome.models.len();
    let series = |model: usize| {
        let figures = breakdown.figures[place][model].iter().zip(&breakdown.groups).enumerate();
        let points = figures.map(|(i, (figure, group))| Point {
            x: i as f64 + apart(model, count),
            y: figure.value,
            low_high: ends(figure.interval),
            title: title(outcome, model, &range(group), figure),
        });
        Series { model, points: points.collect() }
    };
    let tick =
        |(i, group): (usize, &Group)| (i as f64, format!("{}\n{}", range(group), short(group.cases as u64)));
    Plot {
        label: &format!("{}@{} by {}", shown(metric), outcome.cutoff(), breakdown.by.title()),
        x_title: breakdown.by.title(),
        ticks: breakdown.groups.iter().enumerate().map(tick).collect(),
        x_range: (-0.5, breakdown.groups.len() as f64 - 0.5),
        from_zero: true,
        diagonal: false,
        lines: true,
        series: (0..count).map(series).collect(),
    }
    .svg()
}

/// Formats a count in few characters for the ticks of an axis.
fn short(count: u64) -> String {
    match count {
        0..10_000 => thousands(count),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

/// A plot of a metric against training or prediction time, on a logarithmic axis.
pub(super) fn against_time(outcome: &Outcome, metric: Metric, training: bool) -> String {
    let k = outcome.cutoff();
    let time = |model: usize| {
        let row = &outcome.models[model];
        if training {
            row.training_seconds
        } else {
            Some(row.prediction_seconds / outcome.data.cases.max(1) as f64 * 1000.0)
        }
    };
    let timed: Vec<(usize, f64)> =
        (0..outcome.models.len()).filter_map(|m| Some((m, time(m)?.max(1e-4).log10()))).collect();
    let low = timed.iter().map(|t| t.1).fold(f64::INFINITY, f64::min);
    let high = timed.iter().map(|t| t.1).fold(f64::NEG_INFINITY, f64::max);
    if timed.is_empty() {
        return String::new();
    }
    let (from, to) = (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1));
    let (unit, axis) = if training {
        ("s", "seconds to train (logarithmic)")
    } else {
        ("ms", "milliseconds to rank all candidates, a case (logarithmic)")
    };
    let series = timed.iter().filter_map(|&(model, x)| {
        let figures = &outcome.comparison.models[model];
        let figure = figures.iter().find(|at| at.metric == metric && at.k == k)?.estimate;
        let text = title(outcome, model, &format!("{} {unit}", seconds(10_f64.powf(x))), &figure);
        let points = vec![Point { x, y: figure.value, low_high: ends(figure.interval), title: text }];
        Some(Series { model, points })
    });
    let tick = |power: i32| {
        let text =
            if power >= 3 { thousands(10_u64.pow(power as u32)) } else { 10_f64.powi(power).to_string() };
        (f64::from(power), text)
    };
    Plot {
        label: &format!("{}@{k} against {axis}", shown(metric)),
        x_title: axis,
        ticks: (from..=to).map(tick).collect(),
        x_range: (f64::from(from) - 0.1, f64::from(to) + 0.15),
        from_zero: true,
        diagonal: false,
        lines: false,
        series: series.collect(),
    }
    .svg()
}

/// A bar chart of session lengths in both logs.
pub(super) fn lengths(outcome: &Outcome) -> String {
    let [train, test] = [&outcome.data.train.shape, &outcome.data.test.shape];
    let mut names: Vec<(u64, u64)> = Vec::new();
    for shape in [train, test] {
        for &(from, to, _) in &shape.session_lengths.histogram {
            match names.iter_mut().find(|name| name.0 == from) {
                Some(name) => name.1 = name.1.max(to),
                None => names.push((from, to)),
            }
        }
    }
    names.sort_unstable();
    let of = |shape: &upnext_core::data::LogShape| {
        let height = |&(from, _): &(u64, u64)| {
            let found = shape.session_lengths.histogram.iter().find(|range| range.0 == from);
            found.map_or(0.0, |range| range.2 as f64 / shape.counts.sessions.max(1) as f64)
        };
        names.iter().map(height).collect()
    };
    let texts: Vec<String> = names
        .iter()
        .map(|&(from, to)| if from == to { from.to_string() } else { format!("{from}–{to}") })
        .collect();
    bars(
        "Share of sessions by length",
        "events of a session",
        &texts,
        &[("train", of(train)), ("test", of(test))],
    )
}
