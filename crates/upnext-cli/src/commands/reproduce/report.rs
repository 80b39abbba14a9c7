//! The report of a reproduction: tables with published and measured figures, plots, sizes, commands.

use super::findings::NOT_EXAMINED;
use super::outcome::{ABOUT_PARAMETERS, Outcome, PARAMETERS, RowOutcome, parameters, signed};
use super::paper::{Group, PAPER};
use crate::output::{seconds, thousands};
use crate::page::svg::{Plot, Point, Series};
use crate::page::{Legend, Page, escape, figure, percent, side_by_side, svg, table};
use std::fmt::Write;
use upnext_core::experiment::Published;

/// The HTML of the report.
pub(super) fn page(outcome: &Outcome) -> String {
    let title = format!("{} reproduced", outcome.protocol.data_set());
    let names = outcome.rows.iter().map(|row| row.result.name.as_str()).enumerate();
    let legend = Legend::new("Rows in the plots", outcome.rows.len(), names);
    let mut page = Page::new("reproduce", &title, &legend.style);
    page.raw(&head(outcome, &title));
    page.raw(&legend.html);
    page.raw("<main>");
    page.section("tables", "Measured and published", &tables(outcome));
    page.section("plot", "How far from what was published?", &against_published(outcome));
    page.section("sizes", "Are these the paper's data?", &sizes(outcome));
    page.section("parameters", "Table 2: the parameters", &table_2(outcome));
    page.section("findings", "What the paper found", &findings(outcome));
    page.section("training", "How did training go?", &training(outcome));
    page.section("rows", "How to get these figures again", &commands(outcome));
    page.raw("</main>");
    page.finish()
}

fn head(outcome: &Outcome, title: &str) -> String {
    let notes: String = outcome.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
    let failed: String = outcome
        .failed
        .iter()
        .map(|f| format!("<p class=\"failed\"><b>{}</b> failed: {}</p>", escape(f.name), escape(&f.reason)))
        .collect();
    format!(
        "<header><h1>{title}</h1><p>Tables of {PAPER}, made anew on <b>{}</b>.</p>{notes}{failed}</header>\n",
        escape(&outcome.clicks.display().to_string())
    )
}

fn tables(outcome: &Outcome) -> String {
    let mut html = "<p>Recall@20 and MRR@20 in percent; small: measured less published, in percent of the published figure.</p>"
        .to_owned();
    for group in Group::ALL {
        let rows = outcome.of_group(group);
        if rows.is_empty() {
            continue;
        }
        let headings = ["", "Recall@20", "published", "MRR@20", "published", "train, s", "predict, s"]
            .map(str::to_owned);
        let cells = |(_, row): (usize, &RowOutcome)| {
            let figures = |of: fn(&Published) -> f64| {
                let difference = row.difference_percent.as_ref().map_or(String::new(), |d| signed(of(d)));
                [
                    format!("{} <small>{difference}</small>", percent(of(&row.measured))),
                    row.published.as_ref().map_or("none".to_owned(), |p| percent(of(p))),
                ]
            };
            let mut cells = vec![escape(&row.result.name)];
            cells.extend(figures(|p| p.recall_at_20));
            cells.extend(figures(|p| p.mrr_at_20));
            cells.extend([row.result.training_seconds, row.result.prediction_seconds].map(seconds));
            cells
        };
        let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        _ = write!(html, "<h3>{}</h3>{}", group.title(), table("figures", &headings, &rows));
    }
    html
}

/// A plot of measured against published figures.
fn against_published(outcome: &Outcome) -> String {
    let plot = |name: &str, of: fn(&Published) -> f64| {
        let highest =
            outcome.rows.iter().filter_map(|row| row.published.as_ref()).map(of).fold(0.0, f64::max);
        let step = [0.05, 0.1, 0.2].into_iter().find(|step| highest / step <= 6.0).unwrap_or(0.2);
        let last = (highest / step).ceil().max(1.0) as usize;
        let points = outcome.rows.iter().enumerate().filter_map(|(model, row)| {
            let (x, y) = (of(row.published.as_ref()?), of(&row.measured));
            let title = format!("{}: {} %, published {} %", row.result.name, percent(y), percent(x));
            let point = Point { x: x * 100.0, y: y * 100.0, low_high: None, title };
            Some(Series {
                name: row.result.name.clone(),
                in_legend: true,
                ..Series::unnamed(model, vec![point])
            })
        });
        let svg = Plot {
            label: &format!("{name}, measured against published"),
            x_title: "published, %",
            y_title: "measured, %",
            ticks: (0..=last).map(|i| i as f64 * step * 100.0).map(|x| (x, format!("{x:.0}"))).collect(),
            x_range: (0.0, last as f64 * step * 100.0),
            from_zero: true,
            diagonal: true,
            levels: Vec::new(),
            lines: false,
            series: points.collect(),
        }
        .svg();
        figure(&format!("{name}: measured (upwards) against published"), &svg)
    };
    let plots = [plot("Recall@20", |p| p.recall_at_20), plot("MRR@20", |p| p.mrr_at_20)].concat();
    format!("<p>On the dashed line a row has its published figure.</p>{}", side_by_side(&plots))
}

fn sizes(outcome: &Outcome) -> String {
    let rows: Vec<Vec<String>> = outcome
        .counts
        .iter()
        .map(|count| {
            let published = thousands(count.published);
            let (published, verdict) = match (count.about, count.same) {
                (true, _) => (format!("about {published}"), ""),
                (false, true) => (published, "<span class=\"ahead\">same</span>"),
                (false, false) => (published, "<span class=\"behind\">differs</span>"),
            };
            vec![count.what.label().to_owned(), thousands(count.measured), published, verdict.to_owned()]
        })
        .collect();
    let dropped: Vec<Vec<String>> = outcome
        .statistics
        .dropped
        .iter()
        .map(|d| vec![d.rule.label().to_owned(), thousands(d.events), thousands(d.sessions)])
        .collect();
    let dropped = if dropped.is_empty() {
        String::new()
    } else {
        let headings = ["rule", "events", "sessions"].map(str::to_owned);
        format!("<h3>What the rules left out</h3>{}", table("facts", &headings, &dropped))
    };
    let judged = outcome.rows.first().map_or(String::new(), |row| {
        let (cases, candidates) =
            (thousands(row.result.cases as u64), thousands(row.result.candidates as u64));
        format!("<p>{cases} cases, each ranked among {candidates} items; ties count against the model.</p>")
    });
    let headings = ["", "here", "published", ""].map(str::to_owned);
    format!("{}{judged}{dropped}", table("facts", &headings, &rows))
}

fn table_2(outcome: &Outcome) -> String {
    let mut headings = vec![String::new()];
    headings.extend(PARAMETERS.map(str::to_owned));
    let rows: Vec<Vec<String>> = outcome
        .of_group(Group::Table3)
        .into_iter()
        .filter_map(|(_, row)| Some((row, parameters(row)?)))
        .map(|(row, cells)| std::iter::once(escape(&row.result.name)).chain(cells).collect())
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<p>{ABOUT_PARAMETERS}</p>{}", table("figures", &headings, &rows))
}

fn findings(outcome: &Outcome) -> String {
    let items: String = outcome
        .findings
        .iter()
        .map(|finding| {
            let class = if finding.holds() { "ahead" } else { "behind" };
            format!(
                "<p>{}: <span class=\"{class}\">{}</span>. <small>{}</small></p>",
                escape(finding.claim),
                finding.verdict(),
                // Separate elements, so that long lists of figures can wrap on a phone.
                finding.figures.split(", ").map(escape).collect::<Vec<_>>().join("</small>, <small>")
            )
        })
        .collect();
    if items.is_empty() {
        items
    } else {
        format!("<p>By Recall@20 of the rows here. {NOT_EXAMINED}</p>{items}")
    }
}

fn training(outcome: &Outcome) -> String {
    let plots: String = outcome
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| !row.result.epochs.is_empty())
        .map(|(model, row)| {
            let plot = svg::loss_by_epoch(model, &row.result.name, &row.result.epochs);
            figure(&format!("Loss of {} by epoch", escape(&row.result.name)), &plot)
        })
        .collect();
    if plots.is_empty() {
        return plots;
    }
    format!("<p>Losses of different kinds cannot be compared with each other.</p>{}", side_by_side(&plots))
}

fn commands(outcome: &Outcome) -> String {
    let mut html = format!(
        "<p>All of it, by upnext {} on {} threads (figures do not depend on their number):</p><pre>{}</pre><p>The data alone, and each row on them:</p><pre>{}</pre>",
        escape(outcome.version),
        outcome.threads,
        escape(&outcome.command),
        escape(&outcome.prepare)
    );
    for row in &outcome.rows {
        let toml = row.result.experiment.to_toml().unwrap_or_else(|error| error.to_string());
        let source = row.result.experiment.data.source.as_deref().unwrap_or(PAPER);
        // Writing to a String cannot fail.
        _ = write!(
            html,
            "<details><summary>{}</summary><p>{}</p><pre>{}</pre><pre>{}</pre></details>",
            escape(&row.result.name),
            escape(source),
            escape(&row.commands.join("\n")),
            escape(&toml)
        );
    }
    html
}
