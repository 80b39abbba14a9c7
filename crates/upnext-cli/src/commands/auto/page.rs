//! The page of a run, for whoever decides about it.

use super::live::{shape, span};
use super::outcome::{Outcome, interval, metrics, name, name_beside};
use super::{FEW_SESSIONS, judging_sessions};
use crate::output::{shell_word, shown_path, thousands};
use crate::page::{Page, escape, percent, shown, table};
use upnext_core::auto::{CUTOFF, CandidateReport, MemberReport, SkippedReport, WindowReport};
use upnext_core::comparison::WindowCut;
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
    let (objective, metrics) = (report.objective.to_string(), metrics(report.objective));
    let mut headings = vec!["model".to_owned()];
    headings.extend(metrics.iter().map(|(metric, _)| format!("{}@{CUTOFF}, %", shown(*metric))));
    headings.push(format!("{objective} minus the saved one’s: points, 95 % interval"));
    let row = |(at, candidate): (usize, &CandidateReport)| {
        let name = match at == report.winner {
            true => "<b>the saved one</b>".to_owned(),
            false => escape(&name_beside(&candidate.members, &outcome.winner().members)),
        };
        let figures = metrics.iter().map(|(_, of)| percent(of(&candidate.figures)));
        [name].into_iter().chain(figures).chain([interval(candidate)]).collect()
    };
    let rows: Vec<Vec<String>> = report.candidates.iter().enumerate().map(row).collect();
    let refined = match outcome.winner().refined {
        true => format!(
            " Its weights were refined by {objective}, which holds on sessions that the refinement has not seen."
        ),
        false => String::new(),
    };
    let sessions = judging_sessions(&report.windows);
    let few =
        if sessions < FEW_SESSIONS { ", so few that which model is the best is mostly chance" } else { "" };
    format!(
        "<p>The best first, by {objective}, on {} sessions that judge{few}. Of models within a thousandth of the best, the one with the fewest members is saved.{refined} \
         An interval that does not contain 0 is a difference beyond the chance of the sessions; it does not allow for the fact that the saved one is the best of {} on the same sessions, so that its lead over models close to it is a little too large.</p>{}",
        thousands(sessions as u64),
        report.candidates.len(),
        table("figures", &headings, &rows)
    )
}

/// What a model goes by, in words.
fn in_words(member: &MemberReport) -> String {
    let words = match member.kind {
        ModelKind::Vstan => "what visitors of similar sessions looked at",
        ModelKind::Sr => "what usually follows the last item",
        ModelKind::DecayPop => "what is popular of late, by which the others are weighed",
        ModelKind::Repeat => "what the visitor has seen in this session and may want again",
        _ => "",
    };
    let Some(network) = member.experiment.model.network() else { return words.to_owned() };
    let units: usize = network.layers.iter().sum();
    let scores = if network.cosine_scale.is_some() { ", by directions" } else { "" };
    format!(
        "a recurrent network of {units} units{scores}, seed {}: reads the session in its order",
        member.experiment.training.seed
    )
}

fn tried(outcome: &Outcome) -> String {
    let headings = ["model", "Recall@20, %", "MRR@20, %", "judging", "on all of the log"].map(str::to_owned);
    let row = |member: &MemberReport| {
        vec![
            format!("{}<br><small>{}</small>", escape(&member.name), in_words(member)),
            percent(member.figures.recall),
            percent(member.figures.mrr),
            span(member.seconds),
            member.final_seconds.map_or("–".to_owned(), span),
        ]
    };
    let rows: Vec<Vec<String>> = outcome.report.members.iter().map(row).collect();
    format!(
        "<p>Each alone, with the time for judging it and for training it on all of the log; the run took {} of a budget of {}.</p>{}",
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
    let is_day = outcome.report.windows.iter().all(|window| window.cut == WindowCut::Days);
    let cut = if is_day { "A window is a day" } else { "A window is a part of the sessions" };
    format!(
        "<p>{cut}: models learn the sessions before it. Every other one of its own sessions teaches the blend its weights and networks their number of epochs; the rest judge. The figures are those of the winner, its members fitted before each window.</p>{}",
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
    let report = &outcome.report;
    let left_out: Vec<Vec<String>> = report
        .left_out
        .iter()
        .map(|left_out| vec![escape(&left_out.name), escape(&left_out.reason)])
        .collect();
    let failed = match left_out.is_empty() {
        true => String::new(),
        false => format!(
            "<p>These models could not be trained or judged.</p>{}",
            table("figures", &["left out", "why"].map(str::to_owned), &left_out)
        ),
    };
    if report.skipped.is_empty() {
        return format!(
            "<p>Everything that this program tries by itself fitted into the time. Other settings can be searched by <code>upnext tune</code>.</p>{failed}"
        );
    }
    let row = |skipped: &SkippedReport| {
        let needed = skipped.seconds.map_or_else(|| "not measured".to_owned(), span);
        vec![escape(&skipped.name), needed, span(skipped.left_seconds.max(0.0))]
    };
    let rows: Vec<Vec<String>> = report.skipped.iter().map(row).collect();
    let headings = ["left out", "it would need", "time that was left"].map(str::to_owned);
    format!(
        "<p>These networks did not fit into the time. On the logs that this program was made with, the first network brought one to three points of Recall@20 to the blend of the others, and each further one a few tenths.</p>{}{failed}",
        table("figures", &headings, &rows)
    )
}

fn usage(outcome: &Outcome) -> String {
    let model = shell_word(&shown_path(outcome.out));
    format!(
        "<pre>{}</pre>",
        escape(&format!(
            "upnext recommend {model} --session ITEM,ITEM     # for one session\nupnext serve {model}                            # over HTTP, with a page to try it\nupnext inspect {model}                          # what it consists of"
        ))
    )
}
