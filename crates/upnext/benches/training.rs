//! Training speed in the standard settings, on a simulated log: mini-batches a second.
//!
//! `cargo bench --bench training -- [NAME…] [--threads N]`; settings are those of `experiments/`.

use std::time::Instant;
use upnext::data::{Dataset, EventLog};
use upnext::experiment::Experiment;
use upnext::gru4rec::{Network, Trainer, Wish};
use upnext::simulate::{SimulateOptions, simulate};

/// Items of RSC15 after preparation.
const ITEMS: u32 = 37_483;

const SETTINGS: [(&str, &str); 5] = [
    ("paper-top1-100", "rsc15-top1-100"),
    ("paper-bpr-1000", "rsc15-bpr-1000"),
    ("rsc15-xe-100", "rsc15-xe-100"),
    ("retailrocket-bprmax-224", "retailrocket-bprmax-224"),
    ("rees46-xe-512", "rees46-xe-512"),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let (mut names, mut threads) = (Vec::new(), 2);
    while let Some(argument) = arguments.next() {
        if argument == "--threads" {
            threads = arguments.next().and_then(|n| n.parse().ok()).expect("--threads N");
        } else {
            names.push(argument);
        }
    }
    let data = simulated();
    println!("{threads} threads, {} items, {} sessions", data.items.len(), data.sessions.len());
    for (name, file) in SETTINGS {
        if names.is_empty() || names.iter().any(|n| name.contains(n.as_str())) {
            run(name, file, &data, threads);
        }
    }
}

fn simulated() -> Dataset {
    let options = SimulateOptions { sessions: 400_000, items: ITEMS, ..SimulateOptions::default() };
    let mut log = EventLog::new();
    for event in simulate(&options).expect("options that make sense") {
        log.push(&event.session.to_string(), &event.item.to_string(), event.time_ms * 1000);
    }
    Dataset::from_log(log).expect("a log with sessions").0
}

fn run(name: &str, file: &str, data: &Dataset, threads: usize) {
    let path = format!("{}/../../experiments/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let experiment = Experiment::load(std::path::Path::new(&path)).expect("a setting of the project");
    let config = experiment.model.network().expect("a network").clone();
    let activation = config.output_activation_for(experiment.training.loss);
    let network = Network::new(config, activation, data.items.len(), 1);
    let mut trainer =
        Trainer::new(network, &experiment.training, data, threads).expect("a setting that fits");
    // Warm up, then five runs of at least a second each.
    let mut rates = Vec::new();
    for run in 0..6 {
        let (begun, mut steps) = (Instant::now(), 0u64);
        let seconds = if run == 0 { 0.5 } else { 1.0 };
        trainer
            .run_epoch(&mut |_| {
                steps += 1;
                if begun.elapsed().as_secs_f64() < seconds { Wish::Continue } else { Wish::Stop }
            })
            .expect("a loss that stays finite");
        if run > 0 {
            rates.push(steps as f64 / begun.elapsed().as_secs_f64());
        }
    }
    rates.sort_by(f64::total_cmp);
    println!("{name:26} {:8.0} mini-batches/s  (of {:.0} to {:.0})", rates[2], rates[0], rates[4]);
}
