//! The report of a comparison. The check boxes of the legend show and hide models by CSS alone.

mod beyond;
mod figures;
mod plots;
mod verdict;
mod windows;

use super::outcome::{LogReport, Outcome, remarks};
use crate::commands::evaluate::shown_ties;
use crate::next_clicks::sentence;
use crate::output::{shown_path, thousands};
use crate::page::{Legend, Page, escape, figure, shown, side_by_side, svg, table};
use beyond::beyond_accuracy;
use figures::{differences, results};
use plots::{Cost, against_cost, against_coverage, by_cutoff, by_group, lengths, validation};
use std::fmt::Write;
use upnext_core::comparison::Metric;
use verdict::verdict;
pub(super) use windows::windows_page;

/// Number of models that the plots show before the reader changes the check boxes: more lines cannot be told apart.
const SHOWN: usize = 5;

/// What `at` shows at the cut-offs below the largest, folded; empty if there are none.
fn at_other_cutoffs(outcome: &Outcome, at: impl Fn(usize) -> String) -> String {
    let others = outcome.evaluation.cutoffs.iter().rev().skip(1);
    let others: String = others.map(|&k| format!("<h3>At {k}</h3>{}", at(k))).collect();
    if others.is_empty() {
        return others;
    }
    format!("<details><summary>The same at other cut-offs</summary>{others}</details>")
}

/// The HTML of the report.
pub(super) fn page(outcome: &Outcome) -> String {
    let title = title(outcome);
    let models = outcome.by_mrr().into_iter().map(|m| (m, outcome.models[m].name.as_str()));
    let legend = Legend::new("Models in the plots", SHOWN, models);
    let mut page = Page::new("compare", &title, &legend.style);
    page.raw(&head(outcome));
    page.raw("<main>");
    page.section("differences", "Is the difference more than chance?", &differences(outcome));
    page.section("table", "All figures", &results(outcome));
    page.section("beyond", "Beyond accuracy", &beyond_accuracy(outcome));
    page.section("coverage", "How much of the catalogue is recommended?", &coverage(outcome));
    page.section("time", "What does it cost?", &time(outcome));
    // The legend stays in view beside the plots that its boxes change, and no longer.
    page.raw("<div>");
    page.raw(&legend.html);
    page.section("cutoffs", "How do the metrics grow with the length of the list?", &cutoffs(outcome));
    page.section("groups", "Where is a model good?", &groups(outcome));
    page.section("training", "How did training go?", &training(outcome));
    page.raw("</div>");
    page.section("examples", "What would visitors have seen?", &examples(outcome));
    page.section("data", "The data", &data(outcome));
    page.section("rows", "How to get these figures again", &rows(outcome));
    page.raw("</main>");
    page.finish()
}

fn title(outcome: &Outcome) -> String {
    match &outcome.models[..] {
        [model] => format!("Evaluation of {}", model.name),
        models => format!("Comparison of {} models", models.len()),
    }
}

fn name(outcome: &Outcome, model: usize) -> String {
    escape(&outcome.models[model].name)
}

fn head(outcome: &Outcome) -> String {
    let failed: String = outcome
        .failed
        .iter()
        .map(|f| format!("<p class=\"failed\"><b>{}</b> failed: {}</p>", escape(&f.name), escape(&f.reason)))
        .collect();
    format!(
        "<header><h1>{}</h1>{}<p>{} {} of {} test sessions were ranked among {} candidates. All shares are in percent.</p><p>{}</p>{}{failed}</header>\n",
        escape(&title(outcome)),
        verdict(outcome),
        thousands(outcome.data.cases as u64),
        if outcome.data.misses > 0 { "next clicks" } else { "cases" },
        thousands(outcome.data.test.sessions as u64),
        thousands(outcome.data.candidates as u64),
        next_clicks(outcome),
        remarks(outcome).iter().map(|remark| format!("<p>{}.</p>", escape(remark))).collect::<String>(),
    )
}

/// The sentence about next clicks that are no case.
fn next_clicks(outcome: &Outcome) -> String {
    let data = &outcome.data;
    let text = sentence(data.next_clicks, data.cases as u64, data.misses);
    let mut html = escape(text.trim_end()).replace('`', "");
    if let Some(first) = html.get(..1).map(str::to_uppercase) {
        html.replace_range(..1, &first);
    }
    let groups = if data.misses > 0 { " Groups are of the ranked ones alone." } else { "" };
    format!("{html}.{groups}")
}

fn cutoffs(outcome: &Outcome) -> String {
    let plots: String =
        Metric::ALL.map(|m| figure(&format!("{}@k", shown(m)), &by_cutoff(outcome, m))).concat();
    format!("<p>Bands are 95 % intervals.</p>{}", side_by_side(&plots))
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
        "<p>Below each group stands its number of cases{}. Targets are grouped by how often training has them, in fifths of the cases, and by their age, which is 0 for the newest.</p>{plots}",
        if outcome.data.misses > 0 { ", which are the ranked next clicks alone" } else { "" }
    )
}

fn coverage(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let plots: String = [Metric::Recall, Metric::Mrr]
        .map(|metric| (metric, against_coverage(outcome, metric)))
        .into_iter()
        .filter(|(_, svg)| !svg.is_empty())
        .map(|(metric, svg)| figure(&format!("{}@{k} against coverage", shown(metric)), &svg))
        .collect();
    if plots.is_empty() {
        return plots;
    }
    format!(
        "<p>Coverage is the share of all items that are in any list of {k}. Farther up is better; farther right, more of the catalogue is seen. All models are shown.</p>{}",
        side_by_side(&plots)
    )
}

fn time(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut plots = String::new();
    for (caption, cost) in [
        ("the time of a request", Cost::Request),
        ("the size of the model", Cost::Size),
        ("the time of training", Cost::Training),
    ] {
        let svg = against_cost(outcome, Metric::Recall, cost);
        if !svg.is_empty() {
            plots.push_str(&figure(&format!("Recall@{k} against {caption}"), &svg));
        }
    }
    format!(
        "<p>Farther up is better, farther left is cheaper; all models are shown. A request is the list of {k} for one session, on one core; the figure is the median of some hundred. Training ran on {} and includes validation and saving.</p>{}",
        if outcome.threads == 1 { "one thread".to_owned() } else { format!("{} threads", outcome.threads) },
        side_by_side(&plots)
    )
}

fn training(outcome: &Outcome) -> String {
    let mut html = String::new();
    let curves: String = [Metric::Recall, Metric::Mrr]
        .into_iter()
        .filter_map(|metric| validation(outcome, metric))
        .map(|(caption, svg)| figure(&caption, &svg))
        .collect();
    if !curves.is_empty() {
        _ = write!(
            html,
            "<p>On the validation part, after each epoch: a curve that still rises at its end asks for more epochs.{}</p>{}",
            chosen_epochs(outcome),
            side_by_side(&curves)
        );
    }
    let trained = (0..outcome.models.len()).filter(|&m| !outcome.models[m].epochs.is_empty());
    let plots: String = trained
        .map(|m| {
            let row = &outcome.models[m];
            let plot = svg::loss_by_epoch(m, &row.name, &row.epochs);
            figure(&format!("Loss of {} by epoch", name(outcome, m)), &plot)
        })
        .collect();
    if !plots.is_empty() {
        let advice = if curves.is_empty() {
            " The loss alone does not say when to stop: a model that was trained by <code>upnext train --validate</code> has curves of its validation here, too."
        } else {
            ""
        };
        _ = write!(
            html,
            "<p>Losses of different kinds cannot be compared with each other.{advice}</p>{}",
            side_by_side(&plots)
        );
    }
    html
}

/// Says for how many epochs models were trained again after their validation.
fn chosen_epochs(outcome: &Outcome) -> String {
    let chosen = |m: usize| {
        let selection = outcome.models[m].selection.as_ref()?;
        let cutoff = selection.epochs.iter().find_map(|epoch| epoch.validation)?.cutoff;
        Some(format!(
            " Of {}’s {} epochs, the {} had the best MRR@{cutoff}, so it was trained again on all of the training part for as many.",
            name(outcome, m),
            selection.epochs.len(),
            ordinal(selection.best_epoch)
        ))
    };
    outcome.by_mrr().into_iter().filter_map(chosen).collect()
}

/// A number as in "the 21st".
fn ordinal(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// An item for people: its title with the id in a tooltip, or else its id.
fn item(outcome: &Outcome, id: &str) -> String {
    match outcome.titles.get(id) {
        Some(title) => format!("<span title=\"{}: {1}\">{1}</span>", escape(id), escape(title)),
        None => format!("<span>{}</span>", escape(id)),
    }
}

fn examples(outcome: &Outcome) -> String {
    let order = outcome.by_mrr();
    let titles =
        if outcome.titles.is_empty() { " Ids become titles with <code>--catalogue FILE</code>." } else { "" };
    let mut html = format!(
        "<p>Test sessions drawn at random, and what each model ranks first after their events; the item that came next is marked ✓.{titles}</p>"
    );
    for example in &outcome.examples {
        let seen: Vec<String> = example.seen.iter().map(|id| item(outcome, id)).collect();
        _ = write!(
            html,
            "<article><p class=\"session\">{} → <b class=\"hit\">{}</b></p>",
            seen.join(" → "),
            item(outcome, &example.next)
        );
        let headings: Vec<String> =
            std::iter::once("place".to_owned()).chain(order.iter().map(|&m| name(outcome, m))).collect();
        let longest = example.lists.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |m: usize, place: usize| {
            let Some(id) = example.lists.get(m).and_then(|list| list.get(place)) else {
                return String::new();
            };
            let shown = item(outcome, id);
            if *id == example.next { format!("<span class=\"hit\">✓ {shown}</span>") } else { shown }
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
        row("log", &|log| shown_path(&log.path)),
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
        row("left out of this file: events on items unknown to training", &|log| {
            count(log.dropped.unknown_events)
        }),
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
        let commands = match &row.commands[..] {
            [] => String::new(),
            commands => format!("<pre>{}</pre>", escape(&commands.join("\n"))),
        };
        let toml = row.experiment.to_toml().unwrap_or_else(|error| error.to_string());
        _ = write!(
            html,
            "<details><summary>{}</summary>{commands}<pre>{}</pre></details>",
            name(outcome, m),
            escape(&toml)
        );
    }
    html
}
