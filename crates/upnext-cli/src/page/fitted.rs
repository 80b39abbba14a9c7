//! Small pages about one model, such as a notebook shows.

use super::svg::{Plot, Point, Series, epoch_ticks, loss_by_epoch};
use super::{Page, escape, figure, percent, shown, side_by_side, table};
use crate::commands::metric_columns;
use crate::output::thousands;
use upnext_core::Model;
use upnext_core::artifact::EpochSummary;
use upnext_core::comparison::Metric;
use upnext_core::evaluation::Evaluation;

/// A page with the loss and the validation of each epoch of a training; `None` for a model without epochs.
pub fn training_page(model: &Model) -> Option<String> {
    let training = model.training();
    let members = training.members.iter().map(|(name, training)| (name.as_str(), training));
    let trainings: Vec<_> = std::iter::once((model.kind().name(), training)).chain(members).collect();
    let mut plots = String::new();
    for (number, (name, training)) in trainings.into_iter().enumerate() {
        let validated = training.selection.as_ref().map_or(&training.epochs, |selection| &selection.epochs);
        if !training.epochs.is_empty() {
            let caption = format!("Loss of {}", escape(name));
            plots.push_str(&figure(&caption, &loss_by_epoch(number, name, &training.epochs)));
        }
        for metric in [Metric::Recall, Metric::Mrr] {
            plots.extend(validation(number, metric, validated));
        }
    }
    if plots.is_empty() {
        return None;
    }
    let mut page = Page::new("training", "Training", "");
    page.raw(&side_by_side(&plots));
    Some(page.finish())
}

/// The plot of a metric on the validation part, if there was one.
fn validation(model: usize, metric: Metric, epochs: &[EpochSummary]) -> Option<String> {
    let k = epochs.iter().find_map(|epoch| epoch.validation)?.cutoff;
    let caption = format!("{}@{k} on the validation part", shown(metric));
    let points = epochs.iter().filter_map(|epoch| {
        let validation = epoch.validation?;
        let y = if metric == Metric::Recall { validation.recall } else { validation.mrr };
        let title = format!("epoch {}: {} %", epoch.epoch, percent(y));
        Some(Point { x: epoch.epoch as f64, y: y * 100.0, low_high: None, title })
    });
    let last = epochs.len().max(1);
    let plot = Plot {
        label: &format!("{caption} by epoch"),
        x_title: "epoch",
        y_title: &format!("{}@{k}, %", shown(metric)),
        ticks: epoch_ticks(last),
        x_range: (0.5, last as f64 + 0.5),
        from_zero: false,
        diagonal: false,
        levels: Vec::new(),
        lines: true,
        series: vec![Series::unnamed(model, points.collect())],
    };
    Some(figure(&caption, &plot.svg()))
}

/// A page with the metrics of an evaluation.
pub fn evaluation_page(evaluation: &Evaluation) -> String {
    let mut page = Page::new("evaluation", "Evaluation", "");
    page.raw(&format!(
        "<p>{} cases of {} sessions, {} candidates.</p>",
        thousands(evaluation.cases as u64 + evaluation.misses),
        thousands(evaluation.sessions as u64),
        thousands(evaluation.candidates as u64)
    ));
    for columns in metric_columns(evaluation) {
        let headings: Vec<String> =
            std::iter::once("k").chain(columns.iter().map(|column| column.0)).map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = evaluation
            .metrics
            .iter()
            .map(|at| {
                let cells =
                    columns.iter().map(|(_, of)| of(at).map_or("–".to_owned(), |x| format!("{x:.4}")));
                std::iter::once(at.k.to_string()).chain(cells).collect()
            })
            .collect();
        page.raw(&table("", &headings, &rows));
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_core::data::EventLog;
    use upnext_core::evaluation::EvaluationConfig;
    use upnext_core::{Dataset, Experiment, FitOptions, fit};

    #[test]
    fn a_training_and_its_evaluation_are_shown() {
        let mut log = EventLog::new();
        for session in 0..20_i64 {
            for place in 0..3_i64 {
                log.push(&session.to_string(), &((session + place) % 7).to_string(), session * 10 + place);
            }
        }
        let (data, _) = Dataset::from_log(log.clone()).unwrap();
        let mut experiment = Experiment::default();
        for field in ["model.layers=[4]", "training.epochs=2", "training.samples=4", "training.batch_size=4"]
        {
            experiment.set(field).unwrap();
        }
        let sessions = data.sessions.clone();
        let options = FitOptions::default().validation(&sessions);
        let model = fit(data, &experiment, options).unwrap().model;
        let page = training_page(&model).unwrap();
        assert_eq!(page.matches("<svg").count(), 3, "{page}");
        let evaluation = model.evaluate(&sessions, &EvaluationConfig::default(), 1).unwrap();
        let page = evaluation_page(&evaluation);
        assert!(page.contains("recall") && page.contains("<td>"), "{page}");

        let (data, _) = Dataset::from_log(log).unwrap();
        experiment = Experiment::default();
        experiment.set("model.kind=markov").unwrap();
        let model = fit(data, &experiment, FitOptions::default()).unwrap().model;
        assert!(training_page(&model).is_none());
    }
}
