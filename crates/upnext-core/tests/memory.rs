//! The memory that a training announces is what it allocates, with little to spare.

use peak_alloc::PeakAlloc;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use upnext_core::data::{Dataset, ItemVocabulary, Sessions};
use upnext_core::experiment::Experiment;
use upnext_core::fit::{FitOptions, fit};
use upnext_core::history::FitEvent;
use upnext_core::training::{TrainingPlan, train};
use upnext_kernels::CounterRng;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A dataset whose items are about as popular as those of a shop: item i with a probability of about 1 / (1 + i).
fn dataset(items: usize, sessions: usize, length: usize) -> Dataset {
    let rng = CounterRng::new(1, 0);
    let mut vocabulary = ItemVocabulary::new();
    (0..items).for_each(|i| _ = vocabulary.add(&i.to_string(), 1 + (items / (1 + i)) as u64));
    let mut list = Sessions::new();
    for s in 0..sessions {
        let item = |i: usize| (items as f64).powf(rng.unit_f64((s * length + i) as u64)) - 1.0;
        let session: Vec<u32> = (0..length).map(|i| item(i).min(items as f64 - 1.0) as u32).collect();
        list.push(&session, s as i64);
    }
    Dataset::new(vocabulary, list)
}

/// The announced bytes and the largest number of bytes that were allocated at a time.
fn announced_and_allocated(run: impl FnOnce(&mut dyn FnMut(FitEvent) -> ControlFlow<()>)) -> (u64, u64) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut announced = 0;
    run(&mut |event| {
        if let FitEvent::Begin { memory_bytes, .. } = event {
            announced = memory_bytes;
        }
        ControlFlow::Continue(())
    });
    (announced, (ALLOCATOR.peak_usage() - before) as u64)
}

/// Checks that a training announces what it allocates, with less than half of it to spare.
fn check(what: &str, run: impl FnOnce(&mut dyn FnMut(FitEvent) -> ControlFlow<()>)) {
    let (announced, allocated) = announced_and_allocated(run);
    let ratio = announced as f64 / allocated as f64;
    assert!((1.0..1.5).contains(&ratio), "{what}: {announced} bytes announced, {allocated} allocated");
}

// One test: the peak is that of the process.
#[test]
fn a_training_allocates_about_what_it_announces() {
    let data = Arc::new(dataset(20_000, 1_050, 4));
    let validation = dataset(20_000, 100, 4).sessions;
    let cases: &[(&str, &[&str])] = &[
        ("a wide layer", &["model.layers=[256]", "training.batch_size=32", "training.samples=512"]),
        ("large steps", &["model.layers=[32]", "training.batch_size=1000", "training.samples=4000"]),
        ("shared vectors", &["model.input=shared", "model.layers=[64]", "training.batch_size=500"]),
        ("input vectors", &["model.input=embedding", "model.embedding_size=48", "model.layers=[64, 32]"]),
        ("discounted input", &["model.input=discounted", "model.layers=[64]", "training.momentum=0.5"]),
        ("clipping", &["model.layers=[200, 200]", "training.optimizer=adam", "training.clip_norm=1.0"]),
        ("masks", &["training.mask_own_target=true", "training.batch_size=256", "training.samples=1024"]),
        ("logQ", &["training.loss=cross-entropy", "training.logq=1.0", "training.samples=1024"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, settings) in cases {
        let mut experiment = Experiment::default();
        experiment.set("training.epochs=1").unwrap();
        settings.iter().for_each(|setting| experiment.set(setting).unwrap());
        for validation in [None, Some(&validation)] {
            let name = format!("{name}{}", if validation.is_some() { ", validated" } else { "" });
            check(&format!("{name}, in memory"), |observe| {
                let options = FitOptions::default().threads(2).observer(observe);
                let options = match validation {
                    Some(sessions) => options.validation(sessions),
                    None => options,
                };
                fit(data.clone(), &experiment, options).unwrap();
            });
            let out = folder.path().join(&name);
            check(&format!("{name}, in a folder"), |observe| {
                let plan = TrainingPlan {
                    data: data.clone(),
                    validation,
                    refit: None,
                    experiment: &experiment,
                    threads: 2,
                    out: &out,
                    init: None,
                    resume: false,
                    checkpoint_every: Duration::from_secs(3600),
                    keep_training_state: true,
                };
                train(plan, observe).unwrap();
            });
        }
    }
}
