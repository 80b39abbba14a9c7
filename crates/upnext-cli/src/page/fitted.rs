//! Small pages about one model, such as a notebook shows.

use super::svg::{Series, by_epoch, loss_by_epoch, validation_points};
use super::{Page, escape, figure, shown, side_by_side, table};
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
    let series = vec![Series::unnamed(model, validation_points("", metric, k, epochs))];
    let (label, y_title) = (format!("{caption} by epoch"), format!("{}@{k}, %", shown(metric)));
    Some(figure(&caption, &by_epoch(&label, &y_title, (epochs.len().max(1), 0.5), series)))
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
