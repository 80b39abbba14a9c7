//! Networks as ONNX graphs, which other runtimes compute.

mod graph;
mod network;
mod proto;

use crate::arrays::Arrays;
use crate::model::Model;
use crate::replace::replace_file;
use crate::{Error, Result};
use prost::Message;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of the operators.
const OPSET: i64 = 17;

/// The largest file of the format, which is that of a Protocol Buffers message.
const LARGEST: usize = i32::MAX as usize;

/// The file of the items' ids that belongs to the file of a graph: `model.items.json` for `model.onnx`.
pub fn items_file(path: &Path) -> PathBuf {
    path.with_extension("items.json")
}

/// Writes the graph of a network's step into `path`, and the ids of its items, a JSON list in the order of the indices,
/// into [`items_file`].
///
/// Inputs: `item` (int64, `[batch]`), or with `discounted` input `history` (int64, `[batch, length]`, the newest last, −1 in
/// front of shorter sessions); for each layer `l` `state{l}` (float32, `[batch, units]`) and for an LSTM `cell{l}`, all 0 at
/// the start of a session. Outputs: `new_state{l}` and `new_cell{l}`, which are the inputs of the session's next event, and
/// `scores` (float32, `[batch, items]`); with `k` the best `k` items instead, `items` (int64, `[batch, k]`) and their `scores`.
/// Operators are those of opset 17. `docs/onnx.md` shows how a graph is used.
///
/// # Errors
/// [`Error::NoGraph`] for a model that is no network; [`Error::Config`] for a path that does not end in `.onnx`, a `k` of 0, and for a network whose file would have
/// 2 GiB or more, which the format cannot hold; [`Error::Io`].
pub fn export(model: &Model, path: &Path, k: Option<usize>) -> Result<()> {
    let Some(network) = model.network() else {
        return Err(Error::NoGraph { model: model.kind().name().to_owned() });
    };
    if path.extension().is_none_or(|extension| extension != "onnx") {
        let reason = format!("{}: the name of the file has to end in .onnx", path.display());
        return Err(Error::config("out", reason));
    }
    if k == Some(0) {
        return Err(Error::config("k", "a list has at least one item"));
    }
    let arrays = Arrays { tensors: network.tensors_without_content(), ..Arrays::default() };
    let graph = network::build(network, arrays, k)?.proto;
    let metadata = [
        ("model_kind", model.kind().name().to_owned()),
        ("vocabulary_fingerprint", model.items().fingerprint().to_string()),
    ];
    let proto = ModelProto {
        ir_version: 8,
        producer_name: "upnext".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: "One event of each session: the scores of the next item, and the sessions' new states."
            .to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata
            .map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value })
            .to_vec(),
    };
    let bytes = proto.encoded_len();
    if bytes > LARGEST {
        let reason = format!("an ONNX file holds less than 2 GiB, and this network would need {bytes} bytes");
        return Err(Error::config("out", reason));
    }
    let ids: Vec<&str> = model.items().ids().collect();
    let ids = serde_json::to_vec(&ids).map_err(|error| Error::io(path, "write")(error.into()))?;
    // The ids first: a graph without its ids would be of no use.
    for (path, content) in [(items_file(path), ids), (path.to_owned(), proto.encode_to_vec())] {
        replace_file(&path, |mut file| file.write_all(&content).map_err(Error::io(&path, "write")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
