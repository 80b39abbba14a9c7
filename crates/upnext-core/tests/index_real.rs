//! On a public log the lists that the index finds are those of scoring every item, to the bit: what the served lists lose
//! in accuracy by it is nothing. Skipped where the folder of logs is missing.

mod public_logs;

use public_logs::parts;
use std::ops::ControlFlow;
use upnext_core::data::{Dataset, TestSessions};
use upnext_core::experiment::Experiment;
use upnext_core::gru4rec::{Network, Trainer};
use upnext_core::ranking::{Candidates, Filter, Index, Query, recommend_each};
use upnext_core::recommender::Recommender;

/// Recall@20 over the cases of every fourth test session by lists of recommendations, found in batches of 16 as a server does;
/// and the bits of the lists.
fn recall_by_lists(
    model: &dyn Recommender,
    index: Option<&Index>,
    train: &Dataset,
    test: &TestSessions,
) -> (f64, Vec<u64>) {
    let (all, filter) = (Candidates::new(&train.items, &[], None), Filter::default());
    let cases: Vec<_> = test
        .sessions
        .iter()
        .step_by(4)
        .flat_map(|session| (1..session.len()).map(|end| (&session[..end], session[end])))
        .collect();
    let (mut hits, mut bits) = (0, Vec::new());
    for cases in cases.chunks(16) {
        let query = |&(history, _)| Query { history, k: 20, filter: &filter };
        let queries: Vec<_> = cases.iter().map(query).collect();
        let lists = recommend_each(model, &train.items, index, &all, &queries).unwrap();
        for (list, (_, next)) in lists.iter().zip(cases) {
            hits += usize::from(list.entries.iter().any(|entry| entry.item == *next));
            bits.extend(list.entries.iter().map(|e| u64::from(e.item) << 32 | u64::from(e.score.to_bits())));
        }
    }
    (hits as f64 / cases.len() as f64, bits)
}

#[test]
fn lists_by_the_index_are_those_of_scoring_every_item() {
    let Some((train, test)) = parts("yoochoose1_64") else { return };
    let experiment = Experiment::default();
    let config = experiment.model.network().unwrap().clone();
    let activation = config.output_activation_for(experiment.training.loss);
    let network = Network::new(config, activation, train.items.len(), 1);
    let mut trainer = Trainer::new(network, &experiment.training, train.clone(), 2).unwrap();
    trainer.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();
    let model = trainer.network();
    let index = Index::new(model).expect("a network has factors");
    let (recall, lists) = recall_by_lists(model, Some(&index), &train, &test);
    let (scored_recall, scored_lists) = recall_by_lists(model, None, &train, &test);
    eprintln!("Recall@20 {recall:.4} by the index");
    assert!(recall > 0.6, "{recall} is no trained model");
    assert!(recall == scored_recall && lists == scored_lists, "{recall}, {scored_recall}");
}
