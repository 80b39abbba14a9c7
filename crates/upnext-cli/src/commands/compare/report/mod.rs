//! The report of a comparison. The check boxes of the legend show and hide models by CSS alone.

mod plots;

use super::outcome::{LogReport, Outcome};
use crate::commands::evaluate::shown_ties;
use crate::output::{seconds, thousands};
use crate::page::{Legend, Page, escape, figure, percent, side_by_side, svg, table};
use plots::{against_time, by_cutoff, by_group, lengths, shown};
use std::fmt::Write;
use upnext_core::comparison::Metric;

/// The HTML of the report.
pub(super) fn page(outcome: &Outcome) -> String {
    let title = format!("Comparison of {} models", outcome.models.len());
    let models = outcome.by_mrr().into_iter().map(|m| (m, outcome.models[m].name.as_str()));
    let legend = Legend::new("Models in the plots", models);
    let mut page = Page::new("compare", &title, &legend.style);
    page.raw(&head(outcome));
    page.raw(&legend.html);
    page.raw("<main>");
    page.section("table", "Which model is best?", &results(outcome));
    page.section("differences", "Is the difference more than chance?", &differences(outcome));
    page.section("cutoffs", "How long is the list?", &cutoffs(outcome));
    page.section("groups", "Where is a model good?", &groups(outcome));
    page.section("time", "What does it cost?", &time(outcome));
    page.section("training", "How did training go?", &training(outcome));
    page.section("examples", "What would visitors have seen?", &examples(outcome));
    page.section("data", "The data", &data(outcome));
    page.section("rows", "How to get these figures again", &rows(outcome));
    page.raw("</main>");
    page.finish()
}

fn name(outcome: &Outcome, model: usize) -> String {
    escape(&outcome.models[model].name)
}

fn head(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let order = outcome.by_mrr();
    let best = order.first().copied().unwrap_or_default();
    let at = outcome.models[best].metrics.last();
    let verdict = match (order.get(1), at) {
        (Some(&second), Some(at)) => {
            let difference = outcome.comparison.difference(best, second, Metric::Mrr, k);
            let chance = difference.and_then(|d| d.interval).is_none_or(|i| i.contains(0.0));
            format!(
                "By MRR@{k}, <b>{}</b> is first with {} %, {} of <b>{}</b>; its Recall@{k} is {} %.",
                name(outcome, best),
                percent(at.mrr),
                if chance { "within chance" } else { "more than chance ahead" },
                name(outcome, second),
                percent(at.recall)
            )
        }
        (None, Some(at)) => {
            let model = name(outcome, best);
            format!("<b>{model}</b>: MRR@{k} {} %, Recall@{k} {} %.", percent(at.mrr), percent(at.recall))
        }
        _ => String::new(),
    };
    let failed: String = outcome
        .failed
        .iter()
        .map(|f| format!("<p class=\"failed\"><b>{}</b> failed: {}</p>", escape(&f.name), escape(&f.reason)))
        .collect();
    format!(
        "<header><h1>Comparison of {} models</h1><p>{verdict} {} cases of {} test sessions were ranked among {} candidates.</p>{failed}</header>\n",
        outcome.models.len(),
        thousands(outcome.data.cases as u64),
        thousands(outcome.data.test.sessions as u64),
        thousands(outcome.data.candidates as u64),
    )
}

/// The metrics at the largest cut-off, followed by those at the others.
fn results(outcome: &Outcome) -> String {
    let of = |k: usize, with_time: bool| {
        let mut headings: Vec<String> = vec!["model".into()];
        headings.extend(Metric::ALL.map(|metric| format!("{}@{k}", shown(metric))));
        headings.extend(["coverage".into(), "popularity".into()]);
        if with_time {
            headings.extend(["train, s".into(), "predict, s".into()]);
        }
        let best = |value: &dyn Fn(usize) -> f64| (0..outcome.models.len()).map(value).fold(0.0, f64::max);
        let mut rows = Vec::new();
        for m in outcome.by_mrr() {
            let row = &outcome.models[m];
            let mut cells = vec![name(outcome, m)];
            for metric in Metric::ALL {
                let value = |m: usize| {
                    let at = outcome.comparison.models[m].iter().find(|at| at.metric == metric && at.k == k);
                    at.map_or(0.0, |at| at.estimate.value)
                };
                let (own, top) = (value(m), best(&value));
                let range = outcome.interval(m, metric, k).map_or(String::new(), |i| {
                    format!("<small>{}–{}</small>", percent(i.low), percent(i.high))
                });
                let figure = percent(own);
                let figure = if own == top { format!("<b>{figure}</b>") } else { figure };
                cells.push(format!("{figure} {range}"));
            }
            let at = row.metrics.iter().find(|at| at.k == k);
            for share in [at.and_then(|at| at.coverage), at.and_then(|at| at.popularity)] {
                cells.push(share.map_or("–".to_owned(), percent));
            }
            if with_time {
                cells.push(row.training_seconds.map_or("–".to_owned(), seconds));
                cells.push(seconds(row.prediction_seconds));
            }
            rows.push(cells);
        }
        table("figures", &headings, &rows)
    };
    let k = outcome.cutoff();
    let others: String = outcome
        .evaluation
        .cutoffs
        .iter()
        .rev()
        .skip(1)
        .map(|&k| format!("<h3>At {k}</h3>{}", of(k, false)))
        .collect();
    let others = if others.is_empty() {
        others
    } else {
        format!("<details><summary>The same at other cut-offs</summary>{others}</details>")
    };
    format!(
        "<p>In percent, best in bold; small: the 95 % interval over {} resamples of the test sessions. \
         Coverage: share of all items in any list of {k}. Popularity: mean support in the lists, by the largest.</p>{}{others}",
        thousands(outcome.comparison.bootstrap.resamples as u64),
        of(k, true)
    )
}

fn differences(outcome: &Outcome) -> String {
    let order = outcome.by_mrr();
    if order.len() < 2 {
        return String::new();
    }
    let k = outcome.cutoff();
    let matrix = |metric: Metric| {
        let mut headings = vec![format!("{}@{k}", shown(metric))];
        headings.extend(order.iter().map(|&m| name(outcome, m)));
        let cell = |a: usize, b: usize| {
            let Some(difference) = outcome.comparison.difference(a, b, metric, k) else {
                return "·".to_owned();
            };
            let Some(interval) = difference.interval else { return "?".to_owned() };
            let (class, sign) = match () {
                () if interval.contains(0.0) => ("same", "≈ "),
                () if difference.value > 0.0 => ("ahead", "▲ "),
                () => ("behind", "▼ "),
            };
            format!(
                "<span class=\"{class}\">{sign}{:+.2}</span> <small>{:+.2} to {:+.2}</small>",
                difference.value * 100.0,
                interval.low * 100.0,
                interval.high * 100.0
            )
        };
        let rows: Vec<Vec<String>> = order
            .iter()
            .map(|&a| {
                let cells = order.iter().map(|&b| cell(a, b));
                std::iter::once(name(outcome, a)).chain(cells).collect()
            })
            .collect();
        table("pairs", &headings, &rows)
    };
    format!(
        "<p>The row's model less the column's, in points of a percent, on the same resampled sessions. \
         ▲ ahead, ▼ behind, ≈ the 95 % interval holds 0: no more than chance. Each pair is judged on its own: \
         of {} pairs without any difference, about one in twenty would look different.</p>{}{}",
        outcome.comparison.differences.len(),
        matrix(Metric::Recall),
        matrix(Metric::Mrr)
    )
}

fn cutoffs(outcome: &Outcome) -> String {
    let plots: String =
        Metric::ALL.map(|m| figure(&format!("{}@k", shown(m)), &by_cutoff(outcome, m))).concat();
    format!("<p>Upright lines are 95 % intervals.</p>{}", side_by_side(&plots))
}

fn groups(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut plots = String::new();
    for breakdown in &outcome.comparison.breakdowns {
        let pair = [Metric::Recall, Metric::Mrr].map(|metric| {
            let caption = format!("{}@{k} by {}", shown(metric), breakdown.by.title());
            figure(&caption, &by_group(outcome, breakdown, metric))
        });
        plots.push_str(&side_by_side(&pair.concat()));
    }
    format!(
        "<p>Below each group stands its number of cases. Targets are grouped by how often training has them, in fifths of the cases.</p>{plots}"
    )
}

fn time(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut plots = String::new();
    for (caption, training) in [("training", true), ("prediction", false)] {
        let svg = against_time(outcome, Metric::Recall, training);
        if !svg.is_empty() {
            plots.push_str(&figure(&format!("Recall@{k} against the time of {caption}"), &svg));
        }
    }
    format!(
        "<p>Farther up is better, farther left is cheaper. On {} threads; training includes saving, prediction ranks all candidates and makes the lists.</p>{}",
        outcome.threads,
        side_by_side(&plots)
    )
}

fn training(outcome: &Outcome) -> String {
    let trained = (0..outcome.models.len()).filter(|&m| !outcome.models[m].epochs.is_empty());
    let plots: String = trained
        .map(|m| {
            let row = &outcome.models[m];
            let plot = svg::loss_by_epoch(m, &row.name, &row.epochs);
            figure(&format!("Loss of {} by epoch", name(outcome, m)), &plot)
        })
        .collect();
    if plots.is_empty() {
        return plots;
    }
    format!("<p>Losses of different kinds cannot be compared with each other.</p>{}", side_by_side(&plots))
}

fn examples(outcome: &Outcome) -> String {
    let order = outcome.by_mrr();
    let mut html = "<p>Test sessions drawn at random, and what each model ranks first after their events; the item that came next is marked ✓.</p>".to_owned();
    for example in &outcome.examples {
        let seen: Vec<String> =
            example.seen.iter().map(|id| format!("<code>{}</code>", escape(id))).collect();
        _ = write!(
            html,
            "<article><p>{} → <code class=\"hit\">{}</code></p>",
            seen.join(" → "),
            escape(&example.next)
        );
        let headings: Vec<String> =
            std::iter::once("place".to_owned()).chain(order.iter().map(|&m| name(outcome, m))).collect();
        let longest = example.lists.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |m: usize, place: usize| {
            let Some(id) = example.lists.get(m).and_then(|list| list.get(place)) else {
                return String::new();
            };
            let hit = *id == example.next;
            let id = escape(id);
            if hit { format!("<span class=\"hit\">✓ {id}</span>") } else { id }
        };
        let rows: Vec<Vec<String>> = (0..longest)
            .map(|place| {
                let cells = order.iter().map(|&m| cell(m, place));
                std::iter::once((place + 1).to_string()).chain(cells).collect()
            })
            .collect();
        html.push_str(&table("lists", &headings, &rows));
        html.push_str("</article>");
    }
    if outcome.examples.is_empty() { String::new() } else { html }
}

fn data(outcome: &Outcome) -> String {
    let logs = [&outcome.data.train, &outcome.data.test];
    let row = |title: &str, value: &dyn Fn(&LogReport) -> String| {
        std::iter::once(title.to_owned()).chain(logs.map(|log| escape(&value(log)))).collect::<Vec<_>>()
    };
    let count = |n: u64| thousands(n);
    let share = |x: f64| format!("{:.1} %", x * 100.0);
    let rows = [
        row("log", &|log| log.path.display().to_string()),
        row("events", &|log| count(log.shape.counts.events)),
        row("sessions", &|log| count(log.shape.counts.sessions)),
        row("items", &|log| count(log.shape.counts.items)),
        row("first event", &|log| time_of(log, &log.shape.first_time)),
        row("last event", &|log| time_of(log, &log.shape.last_time)),
        row("events a session: mean, median, 99 %, longest", &|log| {
            let l = &log.shape.session_lengths;
            format!("{:.2}, {}, {}, {}", l.mean, l.median, l.p99, count(l.max))
        }),
        row("events on an item that its session had before", &|log| share(log.shape.repeats_share)),
        row("events on the most popular 1 % of the items", &|log| {
            share(log.shape.popularity.top_1_percent_share)
        }),
        row("left out: events on items unknown to training", &|log| count(log.dropped.unknown_events)),
        row("left out: then sessions of fewer than two events", &|log| count(log.dropped.short_sessions)),
        row("used: events, sessions", &|log| {
            format!("{}, {}", count(log.events as u64), count(log.sessions as u64))
        }),
    ];
    format!(
        "{}<p>Ranked among {} of {} items; ties: {}.</p>{}",
        table("facts", &["".into(), "train".into(), "test".into()], &rows),
        thousands(outcome.data.candidates as u64),
        thousands(outcome.data.items as u64),
        shown_ties(outcome.evaluation.ties),
        side_by_side(&figure(
            "Share of sessions by length: <span class=\"key bar0\">train</span> <span class=\"key bar1\">test</span>",
            &lengths(outcome)
        ))
    )
}

/// Formats a time, if the log has times.
fn time_of(log: &LogReport, time: &str) -> String {
    if log.shape.times_are_counter { "times are a counter".to_owned() } else { time.to_owned() }
}

fn rows(outcome: &Outcome) -> String {
    let mut html = format!(
        "<p>All of it, by upnext {}:</p><pre>{}</pre>",
        escape(outcome.version),
        escape(&outcome.command)
    );
    for m in outcome.by_mrr() {
        let row = &outcome.models[m];
        let toml = row.experiment.to_toml().unwrap_or_else(|error| error.to_string());
        _ = write!(
            html,
            "<details><summary>{}</summary><pre>{}</pre><pre>{}</pre></details>",
            name(outcome, m),
            escape(&row.commands.join("\n")),
            escape(&toml)
        );
    }
    html
}
