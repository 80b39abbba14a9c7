//! The report of a search: the best point beside the setting before the search and a baseline, the best points, the course
//! of the search, the importance of parameters, and all points.

mod test_part;

use super::live::short;
use super::outcome::{Outcome, value};
use crate::output::{shell_word, shown_path, thousands};
use crate::page::svg::{Axis, Plot, Point, Series, parallel};
use crate::page::{Page, escape, figure, percent, shown, side_by_side, table};
use std::fmt::Write;
use test_part::{test, verdict};
use upnext_core::comparison::Metric;
use upnext_core::tuning::{Domain, Objective, Phase, Trial, TrialResult};

/// The HTML of the report.
pub(super) fn page(outcome: &Outcome) -> String {
    let kind = outcome.experiment.model.kind();
    let title = format!("Search for the best {kind}");
    let mut page = Page::new("tune", &title, "");
    page.raw(&format!("<header><h1>{title}</h1>{}</header><main>", head(outcome)));
    page.section("test", "How good is it on sessions that the search never saw?", &test(outcome));
    page.section("best", "Which points are best?", &best(outcome));
    page.section("course", "How was it found?", &course(outcome));
    page.section("importance", "Which parameters matter?", &importance(outcome));
    page.section("points", "All points", &points(outcome));
    page.section("again", "How to get these figures again", &again(outcome));
    page.raw("</main>");
    page.finish()
}

/// The objective of the search for headings.
fn objective(outcome: &Outcome) -> String {
    format!("{}@{}", shown(metric(outcome)), outcome.cutoff())
}

/// The metric that the search maximised.
fn metric(outcome: &Outcome) -> Metric {
    match outcome.options.objective {
        Objective::Recall => Metric::Recall,
        Objective::Mrr => Metric::Mrr,
    }
}

fn head(outcome: &Outcome) -> String {
    let stability =
        format!("<p>{}.</p>", escape(&outcome.stability(|recall| format!("{} %", percent(recall)))));
    let Some(best) = &outcome.best else {
        return format!(
            "{stability}<p class=\"failed\">None of the points that were trained to the end could be judged.</p>"
        );
    };
    let figure = best.figure(outcome.options.objective).unwrap_or_default();
    let values = outcome
        .space
        .parameters()
        .iter()
        .map(|p| format!("{} <b>{}</b>", escape(short(&p.key)), escape(&value(best, &p.key))));
    format!(
        "{}<p>The best point has {} {} % on the validation part (POP: Recall@{} {} %): {}.</p>{stability}",
        verdict(outcome),
        objective(outcome),
        percent(figure),
        outcome.cutoff(),
        percent(outcome.pop_recall),
        values.collect::<Vec<_>>().join(", ")
    )
}

/// Number of points in the table of the best.
const SHOWN: usize = 20;

fn best(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut headings = vec!["trial".to_owned(), format!("Recall@{k}, %"), format!("MRR@{k}, %")];
    headings.extend(outcome.space.parameters().iter().map(|p| escape(short(&p.key))));
    headings.extend(["epochs".to_owned(), "seconds".to_owned(), "from".to_owned()]);
    let rows: Vec<Vec<String>> = outcome
        .by_figure()
        .into_iter()
        .take(SHOWN)
        .map(|trial| {
            let figure = |objective| trial.figure(objective).map_or(String::new(), percent);
            let mut row = vec![trial.trial.to_string(), figure(Objective::Recall), figure(Objective::Mrr)];
            row.extend(outcome.space.parameters().iter().map(|p| escape(&value(trial, &p.key))));
            row.push(trial.epochs.map_or("–".to_owned(), |epochs| epochs.to_string()));
            row.push(format!("{:.1}", trial.seconds));
            row.push(match trial.phase {
                Phase::Sample => "sample".to_owned(),
                Phase::Refine => "refinement".to_owned(),
            });
            row
        })
        .collect();
    format!(
        "<p>On the validation part, in percent; the best {} of {} that were trained to the end.{} A click on a heading sorts.</p>{}",
        rows.len(),
        outcome.complete().count(),
        resolution(outcome),
        table("figures", &headings, &rows)
    )
}

/// How far apart two points must be on the validation part to differ by more than chance, in a sentence.
fn resolution(outcome: &Outcome) -> String {
    let best = outcome.best.as_ref().and_then(|best| best.figure(Objective::Recall));
    let (Some(recall), Some(cases)) = (best, outcome.valid_cases.filter(|&cases| cases > 0)) else {
        return String::new();
    };
    let figures: Vec<f64> = outcome
        .by_figure()
        .into_iter()
        .take(SHOWN)
        .filter_map(|trial| trial.figure(Objective::Recall))
        .collect();
    let [low, high] =
        [figures.iter().copied().fold(recall, f64::min), figures.iter().copied().fold(recall, f64::max)];
    let spread = if figures.len() > 1 { (high - low) * 100.0 } else { f64::INFINITY };
    // Two proportions on the same cases: at most as far apart as two on different ones.
    let points = 1.96 * (2.0 * recall * (1.0 - recall) / cases as f64).sqrt() * 100.0;
    format!(
        " With its {} cases, two points whose Recall@{} differs by less than about {points:.1} percentage points may differ by chance{}.",
        thousands(cases as u64),
        outcome.cutoff(),
        if spread < points {
            ": the points of this table are closer than that, so nothing separates them"
        } else {
            ""
        }
    )
}

/// A plot of all trials and the best figure so far, in the order of the procedure.
fn course(outcome: &Outcome) -> String {
    let all: Vec<&Trial> = outcome.complete().collect();
    let judged = || all.iter().filter_map(|t| Some((*t, t.figure(outcome.options.objective)?)));
    let mut top = f64::NEG_INFINITY;
    let so_far = judged().map(|(trial, y)| {
        top = top.max(y);
        point(trial.trial as f64, top, format!("after trial {}: {} %", trial.trial, percent(top)))
    });
    let so_far: Vec<Point> = so_far.collect();
    let ticks = |last: usize| {
        let step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000]
            .into_iter()
            .find(|s| last / s <= 8)
            .unwrap_or(last / 8);
        (0..=last).step_by(step.max(1)).map(|i| (i as f64, i.to_string())).collect::<Vec<_>>()
    };
    let last = outcome.sampled.len() + outcome.refined.len();
    let name = objective(outcome);
    let of = |series: Vec<Series>, lines: bool, label: &str| {
        let x_range = (0.0, last as f64 + 1.0);
        Plot {
            label,
            x_title: "trial, in the order of the search",
            y_title: &format!("{name} on the validation part, %"),
            ticks: ticks(last),
            x_range,
            from_zero: false,
            diagonal: false,
            levels: Vec::new(),
            lines,
            series,
        }
        .svg()
    };
    let each = |phase: Phase, model: usize| {
        let of_phase = judged().filter(|(trial, _)| trial.phase == phase);
        let points =
            of_phase.map(|(t, y)| point(t.trial as f64, y, format!("trial {}: {} %", t.trial, percent(y))));
        Series::unnamed(model, points.collect())
    };
    let curve = of(vec![Series::unnamed(0, so_far)], true, &format!("Best {name} so far"));
    let every =
        of(vec![each(Phase::Sample, 0), each(Phase::Refine, 1)], false, &format!("{name} of every trial"));
    let seconds: f64 = outcome.sampled.iter().chain(&outcome.refined).map(|trial| trial.seconds).sum();
    let stopped = match last - all.len() {
        0 => String::new(),
        n => format!(" {n} of the points were stopped before the end, and are not shown."),
    };
    format!(
        "<p>{} trials in all: {} points were sampled ({}), and {} trials changed the best one in one parameter alone; {} seconds of work on one core.{stopped}</p>{}",
        last,
        outcome.sampled.len(),
        match outcome.options.sampler {
            upnext_core::tuning::Sampler::Random => "at random",
            upnext_core::tuning::Sampler::Tpe => "after 20 random ones by a model of where good points lie",
        },
        outcome.refined.len(),
        thousands(seconds.round() as u64),
        side_by_side(&format!(
            "{}{}",
            figure(&format!("The best {name} so far"), &curve),
            figure(&format!("{name} of every trial: ● sampled, ■ refinement"), &every)
        ))
    )
}

/// A point at a share, which is drawn in percent.
fn point(x: f64, y: f64, title: String) -> Point {
    Point { x, y: y * 100.0, low_high: None, title }
}

fn importance(outcome: &Outcome) -> String {
    let mut rows: Vec<(f64, Vec<String>)> = outcome
        .importance
        .iter()
        .map(|importance| {
            let share = importance.share.unwrap_or(0.0);
            let text =
                importance.share.map_or("too few trials".to_owned(), |x| format!("{:.0} %", x * 100.0));
            let bar = format!("<span class=\"share\" style=\"width:{:.1}%\"></span>", share * 100.0);
            (share, vec![escape(&importance.key), text, bar])
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.1).collect();
    let headings = ["parameter", "variance explained", ""].map(str::to_owned);
    let name = objective(outcome);
    // Figures after fewer epochs are not comparable.
    let refined: &[Trial] = if outcome.options.halving { &[] } else { &outcome.refined };
    let after = match outcome.first.first().and_then(|trial| trial.epochs).filter(|_| outcome.options.halving)
    {
        Some(epochs) => format!("; all after {epochs} epochs"),
        None => String::new(),
    };
    let plots: String = outcome
        .space
        .parameters()
        .iter()
        .map(|parameter| {
            let series = |trials: &[Trial], model: usize| {
                let points = trials.iter().filter_map(|trial| {
                    let y = trial.figure(outcome.options.objective)?;
                    let value = trial.values.get(&parameter.key)?;
                    let title = format!("trial {}: {value} has {} %", trial.trial, percent(y));
                    Some(point(parameter.domain.position(value), y, title))
                });
                Series::unnamed(model, points.collect())
            };
            let plot = Plot {
                label: &format!("{name} by {}", parameter.key),
                x_title: &parameter.key,
                y_title: &format!("{name}, %"),
                ticks: ticks(&parameter.domain),
                x_range: (-0.03, 1.03),
                from_zero: false,
                diagonal: false,
                levels: Vec::new(),
                lines: false,
                series: vec![series(&outcome.first, 0), series(refined, 1)],
            };
            figure(&escape(short(&parameter.key)), &plot.svg())
        })
        .collect();
    if outcome.importance.iter().all(|importance| importance.share.is_none()) {
        return format!(
            "<p>There are too few sampled points to say which parameters matter: about twenty are needed.</p><p>● sampled, ■ refinement.</p>{}",
            side_by_side(&plots)
        );
    }
    format!(
        "<p>The share of the variance of {name} among the sampled points that a parameter explains alone (ω²; the range of a number is divided into \
         five parts; points without a figure are left out{after}). What two parameters do only in combination is not counted{}.</p>{}<p>● sampled, ■ refinement.</p>{}",
        match outcome.options.sampler {
            upnext_core::tuning::Sampler::Random => "",
            upnext_core::tuning::Sampler::Tpe =>
                ", and points that were not drawn at random make what is good look less important than it is",
        },
        table("shares", &headings, &rows),
        side_by_side(&plots)
    )
}

/// Ticks of a parameter's axis: position and text.
fn ticks(domain: &Domain) -> Vec<(f64, String)> {
    let at = |place: f64| {
        let value = domain.value(place);
        (domain.position(&value), value.to_string())
    };
    match domain {
        Domain::Choice(values) => {
            // Some names are left out if there are many, which would overlap.
            let step = values.len().div_ceil(9).max(1);
            values.iter().step_by(step).map(|v| (domain.position(v), v.to_string())).collect()
        }
        Domain::Integer([low, high]) if high - low < 5 => {
            (*low..=*high).map(toml::Value::Integer).map(|v| (domain.position(&v), v.to_string())).collect()
        }
        _ => [0.0, 0.25, 0.5, 0.75, 1.0].map(at).to_vec(),
    }
}

/// Parallel coordinates of all evaluated trials, and a table of the others.
fn points(outcome: &Outcome) -> String {
    let name = objective(outcome);
    let order = outcome.by_figure();
    let figures: Vec<f64> = order.iter().filter_map(|t| t.figure(outcome.options.objective)).collect();
    let (Some(&high), Some(&low)) = (figures.first(), figures.last()) else { return String::new() };
    let mut axes: Vec<Axis> = outcome
        .space
        .parameters()
        .iter()
        .map(|p| Axis { name: short(&p.key).to_owned(), ticks: ticks(&p.domain) })
        .collect();
    let place = |y: f64| if high > low { (y - low) / (high - low) } else { 1.0 };
    let marks = [0.0, 0.5, 1.0].map(|at| (at, percent(low + at * (high - low))));
    axes.push(Axis { name: format!("{name}, %"), ticks: marks.to_vec() });
    // The worst first, so that the best are drawn on top.
    let lines = order.iter().rev().zip(figures.iter().rev()).enumerate().map(|(rank, (trial, &y))| {
        let places = outcome
            .space
            .parameters()
            .iter()
            .map(|p| trial.values.get(&p.key).map_or(0.5, |v| p.domain.position(v)));
        let places: Vec<f64> = places.chain([place(y)]).collect();
        let fifth = rank * 5 / order.len().max(1);
        let is_best = outcome.best.as_ref().is_some_and(|best| best.trial == trial.trial);
        let class = if is_best { "top".to_owned() } else { format!("q{fifth}") };
        (class, places, format!("trial {}: {} %", trial.trial, percent(y)))
    });
    let lines: Vec<_> = lines.collect();
    let failed: Vec<Vec<String>> = outcome
        .sampled
        .iter()
        .chain(&outcome.refined)
        .filter_map(|trial| {
            let TrialResult::Failed { reason } = &trial.verdict else { return None };
            let mut row = vec![trial.trial.to_string()];
            row.extend(outcome.space.parameters().iter().map(|p| escape(&value(trial, &p.key))));
            row.push(escape(reason));
            Some(row)
        })
        .collect();
    let mut html = format!(
        "<p>Each line is a trial, from its values to its {name}; the stronger, the better (in fifths), the best one thick.</p><div class=\"scroll\" tabindex=\"0\">{}</div>",
        parallel(&format!("Values and {name} of all trials"), &axes, &lines)
    );
    if !failed.is_empty() {
        let mut headings = vec!["trial".to_owned()];
        headings.extend(outcome.space.parameters().iter().map(|p| escape(short(&p.key))));
        headings.push("why it has no figure".to_owned());
        _ = write!(
            html,
            "<details><summary>{} trials without a figure</summary>{}</details>",
            failed.len(),
            table("lists", &headings, &failed)
        );
    }
    html
}

fn again(outcome: &Outcome) -> String {
    let train = shell_word(&shown_path(outcome.train.as_ref()));
    let mut command = format!("upnext train {train} --out model --config best.toml");
    if let Some(test) = &outcome.test {
        let _ = write!(command, "\nupnext evaluate model {}", shell_word(&shown_path(test.log.as_ref())));
    }
    let toml = outcome.experiment.to_toml().unwrap_or_else(|error| error.to_string());
    format!(
        "<p>All of it, by upnext {}:</p><pre>{}</pre><p>The best model alone, with the configuration below as best.toml:</p><pre>{}</pre><pre>{}</pre>",
        escape(&outcome.version),
        escape(&outcome.command),
        escape(&command),
        escape(&toml)
    )
}
