//! Writes an untrained network of any size, for measurements of a server's start and response times.
//!
//!     cargo run --release -p upnext-server --example random_model -- FOLDER ITEMS UNITS [shared|one-hot|embedding]
//!
//! Item ids are 0, 1, 2, …

use upnext_core::artifact::{Artifact, TrainingSummary};
use upnext_core::data::ItemVocabulary;
use upnext_core::experiment::Experiment;
use upnext_core::gru4rec::Network;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, count, units, input) = match arguments.as_slice() {
        [folder, items, units] => (folder, items.parse::<u32>()?, units, "shared"),
        [folder, items, units, input] => (folder, items.parse::<u32>()?, units, input.as_str()),
        _ => {
            return Err(
                "give a folder, the number of items, the number of units, and perhaps the input".into()
            );
        }
    };
    let mut experiment = Experiment::default();
    experiment.set(&format!("model.layers={units}"))?;
    experiment.set(&format!("model.input=\"{input}\""))?;
    experiment.validate()?;
    let config = experiment.model.network().ok_or("the default model is no network")?.clone();
    let mut items = ItemVocabulary::new();
    for item in 0..count {
        items.add(&item.to_string(), u64::from(count / (item + 1)) + 1);
    }
    let activation = config.output_activation_for(experiment.training.loss);
    let network = Network::new(config, activation, items.len(), 1);
    let mut artifact = Artifact::new(experiment, items, TrainingSummary::default());
    artifact.weights = network.tensors();
    artifact.save(folder)?;
    Ok(())
}
