//! The page of a run, for whoever decides about it.

use super::live::{shape, span};
use super::outcome::{Outcome, interval, name};
use crate::output::{shell_word, thousands};
use crate::page::{Page, escape, percent, table};
use upnext_core::auto::{MemberReport, WindowReport};
use upnext_core::experiment::ModelKind;

/// The HTML of the page.
pub(super) fn page(outcome: &Outcome) -> String {
    let title = "The best model for this log";
    let mut page = Page::new("auto", title, "");
    page.raw(&format!("<header><h1>{title}</h1>{}</header><main>", head(outcome)));
    page.section("won", "What won, and by how much?", &won(outcome));
    page.section("tried", "What was tried?", &tried(outcome));
    page.section("judged", "How was it judged?", &judged(outcome));
    page.section("costs", "What does it cost to serve?", &costs(outcome));
    page.section("more", "What would more time bring?", &more(outcome));
    page.section("use", "How is it used?", &usage(outcome));
    page.raw("</main>");
    page.finish()
}

fn head(outcome: &Outcome) -> String {
    let winner = outcome.winner();
    let what = match winner.members.len() {
        1 => format!("<b>{}</b> alone", escape(&winner.members[0])),
        n => format!("A <b>blend of {n} models</b> ({})", escape(&name(winner))),
    };
    let mut html = format!(
        "<p class=\"verdict\">{what} is best: in {} % of the cases the next item is among the first 20 that it recommends (MRR@20 {} %).</p>",
        percent(winner.figures.recall),
        percent(winner.figures.mrr)
    );
    if let Some(test) = &outcome.test
        && let Some(at) = test.evaluation.metrics.iter().find(|at| at.k == 20)
    {
        html.push_str(&format!(
            "<p>On the test part, which no choice has seen, it is {} % (MRR@20 {} %) of {} cases.</p>",
            percent(at.recall),
            percent(at.mrr),
            thousands(test.evaluation.cases as u64)
        ));
    }
    html.push_str(&format!("<p>The log: {}.</p>", escape(&shape(&outcome.report.character))));
    html
}

fn won(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let objective = report.objective.to_string();
    let headings =
        ["model", "Recall@20, %", "MRR@20, %", &format!("{objective}: points behind, 95 % interval")]
            .map(str::to_owned);
    let rows: Vec<Vec<String>> = report
        .candidates
        .iter()
        .enumerate()
        .map(|(at, candidate)| {
            let mark = if at == report.winner { " <b>(saved)</b>" } else { "" };
            vec![
                format!("{}{mark}", escape(&name(candidate))),
                percent(candidate.figures.recall),
                percent(candidate.figures.mrr),
                interval(candidate),
            ]
        })
        .collect();
    let refined = match outcome.winner().refined {
        true => format!(
            " Its weights were refined by {objective}, which holds on sessions that the refinement has not seen."
        ),
        false => String::new(),
    };
    format!(
        "<p>The best first, by {objective}. An interval that does not contain 0 is a difference beyond chance. Of models within a thousandth of the best, the one with the fewest members is saved.{refined}</p>{}",
        table("figures", &headings, &rows)
    )
}

/// A kind in words.
fn kind_in_words(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Gru4rec => "a recurrent network, which reads the session in its order",
        ModelKind::Vstan => "what visitors of similar sessions looked at",
        ModelKind::Sr => "what usually follows the last item",
        ModelKind::DecayPop => "what is popular of late, by which the others are weighed",
        ModelKind::Repeat => "what the visitor has seen in this session and may want again",
        _ => "",
    }
}

fn tried(outcome: &Outcome) -> String {
    let headings = ["model", "what it is", "Recall@20, %", "MRR@20, %", "judging", "on all of the log"]
        .map(str::to_owned);
    let row = |member: &MemberReport| {
        vec![
            escape(&member.name),
            kind_in_words(member.kind).to_owned(),
            percent(member.figures.recall),
            percent(member.figures.mrr),
            span(member.seconds),
            member.final_seconds.map_or("–".to_owned(), span),
        ]
    };
    let rows: Vec<Vec<String>> = outcome.report.members.iter().map(row).collect();
    format!(
        "<p>Each alone, with the time for judging it and for training it on all of the log; the run took {} of {}.</p>{}",
        span(outcome.report.seconds),
        span(outcome.report.budget_seconds),
        table("figures", &headings, &rows)
    )
}

fn judged(outcome: &Outcome) -> String {
    let headings = [
        "window",
        "sessions before it",
        "cases for learning",
        "cases for judging",
        "Recall@20, %",
        "MRR@20, %",
    ]
    .map(str::to_owned);
    let first = outcome.report.windows.len() - outcome.winner().windows.len();
    let row = |(at, window): (usize, &WindowReport)| {
        let of_winner = at.checked_sub(first).and_then(|at| outcome.winner().windows.get(at));
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), percent);
        vec![
            (at + 1).to_string(),
            thousands(window.sessions_before as u64),
            thousands(window.learning_cases as u64),
            thousands(window.judging_cases as u64),
            figure(of_winner.map(|figures| figures.recall)),
            figure(of_winner.map(|figures| figures.mrr)),
        ]
    };
    let rows: Vec<Vec<String>> = outcome.report.windows.iter().enumerate().map(row).collect();
    let cut = if outcome.report.character.days.is_some() {
        "A window is a day"
    } else {
        "A window is a part of the sessions"
    };
    format!(
        "<p>{cut}: models learn the sessions before it. Every other one of its own sessions teaches the blend its weights and networks their number of epochs; the rest judge. The figures are those of the saved model.</p>{}",
        table("figures", &headings, &rows)
    )
}

fn costs(outcome: &Outcome) -> String {
    let served = &outcome.served;
    format!(
        "<p>{} MB on disk. One core answers a session in {:.2} ms (99 of 100 in {:.2} ms), one after the other.</p>",
        thousands(served.bytes.div_ceil(1_000_000)),
        served.median_ms,
        served.p99_ms
    )
}

fn more(outcome: &Outcome) -> String {
    let skipped = &outcome.report.skipped;
    if skipped.is_empty() {
        return "<p>Everything that this program tries by itself fitted into the time. Other settings can be searched by <code>upnext tune</code>.</p>".to_owned();
    }
    let rows: Vec<Vec<String>> = skipped
        .iter()
        .map(|skipped| {
            vec![escape(&skipped.name), span(skipped.seconds), span(skipped.left_seconds.max(0.0))]
        })
        .collect();
    let headings = ["left out", "it would need", "time that was left"].map(str::to_owned);
    format!(
        "<p>These networks did not fit into the time. On the logs that this program was made with, the first network brought one to three points of Recall@20 to the blend of the others, and each further one a few tenths.</p>{}",
        table("figures", &headings, &rows)
    )
}

fn usage(outcome: &Outcome) -> String {
    let model = shell_word(&outcome.out.display().to_string());
    format!(
        "<pre>{}</pre>",
        escape(&format!(
            "upnext recommend {model} --session ITEM,ITEM     # for one session\nupnext serve {model}                            # over HTTP, with a page to try it\nupnext inspect {model}                          # what it consists of"
        ))
    )
}
