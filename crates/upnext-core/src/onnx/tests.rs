//! The graphs are computed by a runtime in the tests of the Python package; here their form is checked.

use super::proto::{ModelProto, element};
use super::*;
use crate::data::{Dataset, EventLog};
use crate::experiment::Experiment;
use crate::fit::{FitOptions, fit};
use std::collections::HashSet;

fn model(fields: &[&str]) -> Model {
    let mut log = EventLog::new();
    for session in 0..30_i64 {
        for place in 0..4_i64 {
            log.push(
                &format!("s{session}"),
                &format!("i{}", (session + place * place) % 9),
                session * 10 + place,
            );
        }
    }
    let mut experiment = Experiment::default();
    for field in ["model.layers=[5]", "training.epochs=1", "training.samples=8", "training.batch_size=4"]
        .iter()
        .chain(fields)
    {
        experiment.set(field).unwrap();
    }
    fit(Dataset::from_log(log).unwrap().0, &experiment, FitOptions::default()).unwrap().model
}

fn exported(model: &Model, k: Option<usize>) -> ModelProto {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step.onnx");
    export(model, &path, k).unwrap();
    let ids: Vec<String> =
        serde_json::from_slice(&std::fs::read(folder.path().join("step.items.json")).unwrap()).unwrap();
    assert_eq!(ids, model.items().ids().collect::<Vec<_>>());
    ModelProto::decode(&*std::fs::read(&path).unwrap()).unwrap()
}

#[test]
fn every_value_of_a_graph_is_made_before_it_is_read_and_made_once() {
    for fields in [
        &["model.unit=gru", "model.cosine_scale=12"][..],
        &[
            "model.unit=lstm",
            "model.input=one-hot",
            "model.layers=[5, 4]",
            "model.input_to_deeper_layers=true",
        ],
        &[
            "model.unit=rnn",
            "model.input=discounted",
            "model.layers=[5, 4]",
            "model.input_to_deeper_layers=true",
        ],
        &["model.input=embedding", "model.feed_forward=[6, 3]", "training.loss=bpr-max"],
        &["model.input_to_output=true", "training.loss=top1"],
    ] {
        let model = model(fields);
        for k in [None, Some(3)] {
            let graph = exported(&model, k).graph.unwrap();
            let mut known: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
            for tensor in &graph.initializer {
                assert!(known.insert(&tensor.name), "{} twice", tensor.name);
                let size = if tensor.data_type == element::FLOAT { 4 } else { 8 };
                assert_eq!(tensor.raw_data.len() as i64, size * tensor.dims.iter().product::<i64>());
            }
            for node in &graph.node {
                for input in &node.input {
                    assert!(
                        known.contains(input.as_str()),
                        "{input} of {} is not known yet: {fields:?}",
                        node.op_type
                    );
                }
                for output in &node.output {
                    assert!(known.insert(output), "{output} twice");
                }
            }
            let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
            assert!(outputs.iter().all(|output| known.contains(output)), "{outputs:?}");
            assert_eq!(outputs.contains(&"items"), k.is_some());
            let states = |prefix: &str, of: &[proto::ValueInfoProto]| {
                of.iter().filter(|value| value.name.trim_start_matches("new_").starts_with(prefix)).count()
            };
            for prefix in ["state", "cell"] {
                assert_eq!(
                    states(prefix, &graph.input),
                    states(prefix, &graph.output),
                    "{prefix} of {fields:?}"
                );
            }
        }
    }
}

#[test]
fn a_parameter_is_in_the_graph_once() {
    let graph = exported(&model(&[]), Some(3)).graph.unwrap();
    let tables =
        graph.initializer.iter().filter(|tensor| tensor.dims.first() == Some(&9) && tensor.dims.len() == 2);
    assert_eq!(tables.count(), 1);
}

#[test]
fn models_that_are_no_networks_and_empty_lists_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step.onnx");
    let mut log = EventLog::new();
    log.push("a", "tea", 1);
    log.push("a", "cup", 2);
    let mut experiment = Experiment::default();
    experiment.set("model.kind=markov").unwrap();
    let markov = fit(Dataset::from_log(log).unwrap().0, &experiment, FitOptions::default()).unwrap().model;
    let error = export(&markov, &path, None).unwrap_err().to_string();
    assert!(error.contains("markov has no ONNX graph"), "{error}");
    assert!(export(&model(&[]), &path, Some(0)).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
