//! The plots of a comparison. Shares are in percent.

use super::super::outcome::Outcome;
use super::SHOWN;
use super::verdict::{megabytes, milliseconds};
use crate::output::{seconds, thousands};
use crate::page::svg::{Plot, Point, Series, bars, by_epoch, validation_points};
use crate::page::{percent, shown};
use upnext_core::comparison::{Breakdown, Estimate, Group, Interval, Metric};

fn ends(interval: Option<Interval>) -> Option<(f64, f64)> {
    interval.map(|interval| (interval.low * 100.0, interval.high * 100.0))
}

fn title(outcome: &Outcome, model: usize, at: &str, figure: &Estimate) -> String {
    let range =
        figure.interval.map_or(String::new(), |i| format!(" ({} to {})", percent(i.low), percent(i.high)));
    format!("{}, {at}: {} %{range}", outcome.models[model].name, percent(figure.value))
}

/// The point of an estimate.
fn point(outcome: &Outcome, model: usize, x: f64, at: &str, figure: &Estimate) -> Point {
    Point {
        x,
        y: figure.value * 100.0,
        low_high: ends(figure.interval),
        title: title(outcome, model, at, figure),
    }
}

/// The series of all models, the best first. `points` returns the points of a model.
fn series(outcome: &Outcome, points: impl Fn(usize) -> Vec<Point>) -> Vec<Series> {
    let ranked = outcome.by_mrr().into_iter().enumerate();
    let of = |(place, model): (usize, usize)| Series {
        model,
        name: outcome.models[model].name.clone(),
        is_shown: place < SHOWN,
        in_legend: true,
        points: points(model),
    };
    ranked.map(of).filter(|series| !series.points.is_empty()).collect()
}

/// The series of plots in which a model is a single mark: all are shown, since marks far apart say most.
fn marks(outcome: &Outcome, points: impl Fn(usize) -> Vec<Point>) -> Vec<Series> {
    let all = series(outcome, points).into_iter();
    all.map(|series| Series { is_shown: true, in_legend: false, ..series }).collect()
}

/// A plot of a metric by cut-off.
pub(super) fn by_cutoff(outcome: &Outcome, metric: Metric) -> String {
    let cutoffs = &outcome.evaluation.cutoffs;
    let points = |model: usize| {
        let figures = outcome.comparison.models[model].iter().filter(|at| at.metric == metric);
        let of = |(i, at): (usize, &upnext_core::comparison::EstimateAt)| {
            point(outcome, model, i as f64, &format!("{}@{}", shown(metric), at.k), &at.estimate)
        };
        figures.enumerate().map(of).collect()
    };
    Plot {
        label: &format!("{} by cut-off", shown(metric)),
        x_title: "length k of the list",
        y_title: &format!("{}@k, %", shown(metric)),
        ticks: (0..).zip(cutoffs).map(|(i, k)| (f64::from(i), k.to_string())).collect(),
        x_range: (-0.2, cutoffs.len() as f64 - 0.8),
        from_zero: true,
        diagonal: false,
        levels: Vec::new(),
        lines: true,
        series: series(outcome, points),
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
    let points = |model: usize| {
        let figures = breakdown.figures[place][model].iter().zip(&breakdown.groups).enumerate();
        figures.map(|(i, (figure, group))| point(outcome, model, i as f64, &range(group), figure)).collect()
    };
    let tick =
        |(i, group): (usize, &Group)| (i as f64, format!("{}\n{}", range(group), short(group.cases as u64)));
    Plot {
        label: &format!("{}@{} by {}", shown(metric), outcome.cutoff(), breakdown.by.title()),
        x_title: breakdown.by.title(),
        y_title: &format!("{}@{}, %", shown(metric), outcome.cutoff()),
        ticks: breakdown.groups.iter().enumerate().map(tick).collect(),
        x_range: (-0.3, breakdown.groups.len() as f64 - 0.7),
        from_zero: true,
        diagonal: false,
        levels: Vec::new(),
        lines: true,
        series: series(outcome, points),
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

/// What a model costs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cost {
    /// Milliseconds of one core for a request.
    Request,
    /// Size of its files.
    Size,
    /// Seconds of training.
    Training,
}

impl Cost {
    fn of(self, outcome: &Outcome, model: usize) -> Option<f64> {
        let row = &outcome.models[model];
        match self {
            Self::Request => row.request_ms,
            Self::Size => Some(row.model_bytes as f64 / 1e6),
            Self::Training => row.training_seconds,
        }
    }

    fn text(self, cost: f64) -> String {
        match self {
            Self::Request => milliseconds(cost),
            Self::Size => megabytes((cost * 1e6) as u64),
            Self::Training => format!("{} s", seconds(cost)),
        }
    }

    fn axis(self) -> &'static str {
        match self {
            Self::Request => "milliseconds of one core, a request (logarithmic)",
            Self::Size => "megabytes (logarithmic)",
            Self::Training => "seconds to train (logarithmic)",
        }
    }
}

/// A plot of a metric against what models cost, on a logarithmic axis.
pub(super) fn against_cost(outcome: &Outcome, metric: Metric, cost: Cost) -> String {
    let k = outcome.cutoff();
    let place = |model: usize| Some(cost.of(outcome, model)?.max(1e-4).log10());
    let places: Vec<f64> = (0..outcome.models.len()).filter_map(place).collect();
    let low = places.iter().copied().fold(f64::INFINITY, f64::min);
    let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if places.is_empty() {
        return String::new();
    }
    let (from, to) = (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1));
    let points = |model: usize| {
        let figure = outcome.comparison.models[model].iter().find(|at| at.metric == metric && at.k == k);
        let (Some(x), Some(figure)) = (place(model), figure) else { return Vec::new() };
        vec![point(outcome, model, x, &cost.text(10_f64.powf(x)), &figure.estimate)]
    };
    let tick = |power: i32| {
        let text =
            if power >= 3 { thousands(10_u64.pow(power as u32)) } else { 10_f64.powi(power).to_string() };
        (f64::from(power), text)
    };
    Plot {
        label: &format!("{}@{k} against {}", shown(metric), cost.axis()),
        x_title: cost.axis(),
        y_title: &format!("{}@{k}, %", shown(metric)),
        ticks: (from..=to).map(tick).collect(),
        x_range: (f64::from(from) - 0.1, f64::from(to) + 0.15),
        from_zero: false,
        diagonal: false,
        levels: Vec::new(),
        lines: false,
        series: marks(outcome, points),
    }
    .svg()
}

/// A plot of a metric against the coverage of the lists; empty without lists.
pub(super) fn against_coverage(outcome: &Outcome, metric: Metric) -> String {
    let k = outcome.cutoff();
    let points = |model: usize| {
        let coverage = outcome.models[model].metrics.last().and_then(|at| at.coverage);
        let figure = outcome.comparison.models[model].iter().find(|at| at.metric == metric && at.k == k);
        let (Some(coverage), Some(figure)) = (coverage, figure) else { return Vec::new() };
        let at = format!("coverage {} %", percent(coverage));
        vec![point(outcome, model, coverage * 100.0, &at, &figure.estimate)]
    };
    let series = marks(outcome, points);
    if series.is_empty() {
        return String::new();
    }
    Plot {
        label: &format!("{}@{k} against coverage", shown(metric)),
        x_title: &format!("coverage of lists of {k}, %"),
        y_title: &format!("{}@{k}, %", shown(metric)),
        ticks: (0..=5).map(|i| (f64::from(i) * 20.0, (i * 20).to_string())).collect(),
        x_range: (0.0, 103.0),
        from_zero: false,
        diagonal: false,
        levels: Vec::new(),
        lines: false,
        series,
    }
    .svg()
}

/// The caption and the plot of a metric on the validation part by epoch, of the models that have recorded it at one cut-off;
/// `None` if there is none.
pub(super) fn validation(outcome: &Outcome, metric: Metric) -> Option<(String, String)> {
    let recorded =
        outcome.models.iter().flat_map(|row| row.validated_epochs()).find_map(|epoch| epoch.validation)?;
    let k = recorded.cutoff;
    let points = |model: usize| {
        let row = &outcome.models[model];
        validation_points(&format!("{}, ", row.name), metric, k, row.validated_epochs())
    };
    let series = series(outcome, points);
    let last = series.iter().flat_map(|s| &s.points).map(|p| p.x as usize).max().unwrap_or(1);
    let caption = format!("{}@{k} on the validation part", shown(metric));
    let (label, y_title) = (format!("{caption} by epoch"), format!("{}@{k}, %", shown(metric)));
    let plot = by_epoch(&label, &y_title, (last, 0.2), series);
    Some((caption, plot))
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
