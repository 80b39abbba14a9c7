//! The speed of training in published settings, on a simulated log: mini-batches per second, and their share of the
//! limits of the machine, measured in the same run.
//!
//! `cargo bench -p upnext-core --bench training -- [NAME…] [--threads N] [--items N]`; settings are those of
//! `experiments/`.

mod limits;

use limits::{Limits, bytes_per_step};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;
use upnext_core::data::{Dataset, EventLog};
use upnext_core::experiment::Experiment;
use upnext_core::gru4rec::{Network, Trainer};
use upnext_core::simulate::{SimulateOptions, simulate};

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
    let (mut names, mut threads, mut items) = (Vec::new(), 2, ITEMS);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--threads" => threads = number() as usize,
            "--items" => items = number(),
            _ => names.push(argument),
        }
    }
    let data = Arc::new(simulated(items));
    println!("{threads} threads, {} items, {} sessions", data.items.len(), data.sessions.len());
    println!("a step's limit: its products at the rate of large ones, its parameters at that of memory\n");
    println!(
        "{:24} {:>9} {:>17} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7} {:>8}",
        "",
        "batches/s",
        "of five runs",
        "step",
        "products",
        "memory",
        "products",
        "GFLOP/s",
        "GB/s",
        "a phase"
    );
    for (name, file) in SETTINGS {
        if names.is_empty() || names.iter().any(|n| name.contains(n.as_str())) {
            run(name, file, &data, threads);
        }
    }
}

fn simulated(items: u32) -> Dataset {
    // Enough sessions for nearly every item to occur.
    let sessions = u64::from(items.max(200_000)) * 2;
    let options = SimulateOptions { sessions, items, ..SimulateOptions::default() };
    let mut log = EventLog::new();
    for event in simulate(&options).expect("options that make sense") {
        log.push(&event.session.to_string(), &event.item.to_string(), event.time_ms * 1000);
    }
    Dataset::from_log(log).expect("a log with sessions").0
}

fn run(name: &str, file: &str, data: &Arc<Dataset>, threads: usize) {
    let path = format!("{}/experiments/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let experiment = Experiment::load(std::path::Path::new(&path)).expect("a setting of the project");
    let config = experiment.model.network().expect("a network").clone();
    let activation = config.output_activation_for(experiment.training.loss);
    let network = Network::new(config, activation, data.items.len(), 1);
    let mut trainer =
        Trainer::new(network, &experiment.training, Arc::clone(data), threads).expect("a setting that fits");
    // A warm-up, then five runs of at least a second each.
    let mut rates = Vec::new();
    for run in 0..6 {
        let (begun, mut steps) = (Instant::now(), 0u64);
        let seconds = if run == 0 { 0.5 } else { 1.0 };
        trainer
            .run_epoch(&mut |_| {
                steps += 1;
                if begun.elapsed().as_secs_f64() < seconds {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
            .expect("a loss that stays finite");
        if run > 0 {
            rates.push(steps as f64 / begun.elapsed().as_secs_f64());
        }
    }
    rates.sort_by(f64::total_cmp);
    // Measured beside each setting, since the limits change with the other load on the machine.
    let limits = Limits::measure(trainer.backend().threads());
    let bytes = bytes_per_step(trainer.network().config(), &experiment.training);
    let (step, products) = (1.0 / rates[2], trainer.operations_per_step() / limits.flops_per_second);
    println!(
        "{name:24} {:9.0} {:>17} {:>8} {:>8} {:>8} {:>8.0}% {:7.0} {:7.1} {:>8}",
        rates[2],
        format!("{:.0} to {:.0}", rates[0], rates[4]),
        micros(step),
        micros(products),
        micros(bytes / limits.bytes_per_second),
        100.0 * products / step,
        limits.flops_per_second / 1e9,
        limits.bytes_per_second / 1e9,
        micros(limits.seconds_a_phase),
    );
}

fn micros(seconds: f64) -> String {
    let micros = 1e6 * seconds;
    if micros < 100.0 { format!("{micros:.1} µs") } else { format!("{micros:.0} µs") }
}
