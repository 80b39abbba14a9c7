//! The report of a comparison over windows.

use super::super::windows::{WindowsOutcome, by_window, facts, value};
use super::SHOWN;
use crate::page::svg::{Difference, Plot, Point, Series, forest};
use crate::page::{Legend, Page, escape, figure, percent, shown, side_by_side, table};
use upnext_core::comparison::Metric;

/// The HTML of the report.
pub(in super::super) fn windows_page(outcome: &WindowsOutcome) -> String {
    let title = match &outcome.windows[..] {
        [_] => "Comparison on one window".to_owned(),
        windows => format!("Comparison on {} windows", windows.len()),
    };
    let models = outcome.by_mrr().into_iter().map(|m| (m, outcome.models[m].name.as_str()));
    let legend = Legend::new("Models in the plots", SHOWN, models);
    let mut page = Page::new("compare", &title, &legend.style);
    let failed: String = outcome
        .failed
        .iter()
        .map(|f| format!("<p class=\"failed\"><b>{}</b> failed: {}</p>", escape(&f.name), escape(&f.reason)))
        .collect();
    page.raw(&format!(
        "<header><h1>{title}</h1><p>Every model was trained anew on the sessions before each window and judged on those of the window: {}. The test part was not read. All shares are in percent.</p>{failed}</header>\n<main>",
        escape(&outcome.cut_sentence())
    ));
    page.section("differences", "Is the difference more than chance?", &differences(outcome));
    page.section("means", "The means over the windows", &means(outcome));
    page.raw("<div>");
    page.raw(&legend.html);
    let plots: String = [Metric::Mrr, Metric::Recall].map(|metric| plot(outcome, metric)).concat();
    page.section(
        "windows",
        "Does it last from window to window?",
        &format!("{}{}", side_by_side(&plots), of_windows(outcome)),
    );
    page.raw("</div>");
    let (headings, rows) = facts(outcome);
    page.section("data", "The windows", &table("facts", &headings, &rows));
    let command = format!("<p>All of it:</p><pre>{}</pre>", escape(&outcome.command));
    page.section("rows", "How to get these figures again", &command);
    page.raw("</main>");
    page.finish()
}

/// The tables of the means, the largest cut-off first.
fn means(outcome: &WindowsOutcome) -> String {
    let at = |&k: &usize| {
        let headings: Vec<String> = std::iter::once("model".to_owned())
            .chain(Metric::ALL.map(|metric| format!("{}@{k}, %", shown(metric))))
            .collect();
        let row = |m: usize| {
            let of = |metric: Metric| {
                let mean = outcome.models[m].mean.iter().find(|at| at.k == k);
                let range = outcome.interval(m, metric, k).map_or(String::new(), |i| {
                    format!(" <small>{}–{}</small>", percent(i.low), percent(i.high))
                });
                mean.map_or(String::new(), |at| format!("{}{range}", percent(value(at, metric))))
            };
            std::iter::once(escape(&outcome.models[m].name)).chain(Metric::ALL.map(of)).collect()
        };
        let rows: Vec<Vec<String>> = outcome.by_mrr().into_iter().map(row).collect();
        table("figures", &headings, &rows)
    };
    format!(
        "<p>Each window has the same weight. Small: the 95 % interval over {} resamples of the sessions within the windows.</p>{}",
        outcome.comparison.bootstrap.resamples,
        outcome.evaluation.cutoffs.iter().rev().map(at).collect::<String>()
    )
}

/// The tables of each window's figures.
fn of_windows(outcome: &WindowsOutcome) -> String {
    let of = |metric: Metric| {
        let (headings, rows) = by_window(outcome, metric, &percent);
        let escaped = |row: Vec<String>| row.iter().map(|cell| escape(cell)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = rows.into_iter().map(escaped).collect();
        format!("<h3>{}@{}, %</h3>{}", shown(metric), outcome.cutoff(), table("figures", &headings, &rows))
    };
    [Metric::Mrr, Metric::Recall].map(of).concat()
}

/// A plot of a metric by window.
fn plot(outcome: &WindowsOutcome, metric: Metric) -> String {
    let k = outcome.cutoff();
    let series = |(place, m): (usize, usize)| {
        let model = &outcome.models[m];
        let point = |(window, at): (usize, &Vec<_>)| {
            let y = at.last().map(|at| value(at, metric))?;
            let title = format!("{}, window {}: {} %", model.name, window + 1, percent(y));
            Some(Point { x: window as f64, y: y * 100.0, low_high: None, title })
        };
        Series {
            model: m,
            name: model.name.clone(),
            is_shown: place < SHOWN,
            in_legend: true,
            points: model.windows.iter().enumerate().filter_map(point).collect(),
        }
    };
    let windows = outcome.windows.len();
    let svg = Plot {
        label: &format!("{}@{k} by window", shown(metric)),
        x_title: "window, the newest last",
        y_title: &format!("{}@{k}, %", shown(metric)),
        ticks: (0..windows).map(|window| (window as f64, (window + 1).to_string())).collect(),
        x_range: (-0.2, windows as f64 - 0.8),
        from_zero: true,
        diagonal: false,
        levels: Vec::new(),
        lines: true,
        series: outcome.by_mrr().into_iter().enumerate().map(series).collect(),
    }
    .svg();
    figure(&format!("{}@{k} by window", shown(metric)), &svg)
}

/// Forest plots: every model's difference from the first by this metric, with its interval.
fn differences(outcome: &WindowsOutcome) -> String {
    if outcome.models.len() < 2 {
        return String::new();
    }
    let k = outcome.cutoff();
    let of = |metric: Metric| {
        let mean = |m: usize| outcome.models[m].mean.last().map_or(0.0, |at| value(at, metric));
        let mut order = outcome.by_mrr();
        order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
        let first = order[0];
        let row = |&m: &usize| {
            let difference = outcome.comparison.difference(m, first, metric, k);
            Difference {
                name: outcome.models[m].name.clone(),
                figure: format!("{} %", percent(mean(m))),
                difference: difference.map(|d| d.value * 100.0),
                low_high: difference.and_then(|d| d.interval).map(|i| (i.low * 100.0, i.high * 100.0)),
            }
        };
        let rows: Vec<Difference> = order.iter().map(row).collect();
        let title =
            format!("{}@{k}: every model less {}", shown(metric), escape(&outcome.models[first].name));
        forest(&title, "percentage points of the mean; bars are 95 % intervals on the same sessions", &rows)
    };
    format!(
        "<p>Means over the windows, each compared with the first on the same resampled sessions. A bar that crosses the line at 0 is no more than chance.</p>{}",
        side_by_side(&[Metric::Mrr, Metric::Recall].map(of).concat())
    )
}
