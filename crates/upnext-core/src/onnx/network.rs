//! The forward pass of a network as a graph (`docs/artifact.md` has the equations).

use super::graph::{Graph, Value};
use super::proto::{AttributeProto, Dim, ValueInfoProto, element};
use crate::arrays::{Arrays, Tensor};
use crate::gru4rec::Network;
use crate::gru4rec::config::{Activation, Input, NetworkConfig, Unit};
use crate::{Error, Result};

/// Length below which a vector counts as this long when it is scaled, so that nothing is divided by 0.
const TINY: f32 = 1e-9;

/// The input of the network, and what its first layers read.
enum Read {
    /// Rows of a table of weights: batch.
    Items(Value),
    /// Events of a table of weights with their weights: batch × length, and batch × 1 × length.
    Weighted(Value, Value),
    /// Vectors: batch × d.
    Vectors(Value),
}

/// Builds the graph of a network's step, with the best `k` items or all scores.
pub(super) fn build(network: &Network, arrays: Arrays, k: Option<usize>) -> Result<Graph> {
    let mut step = Step { graph: Graph::default(), config: network.config(), arrays };
    step.graph.proto.name = "step".to_owned();
    let read = step.input()?;
    let mut below: Option<Value> = None;
    for layer in 0..step.config.layers.len() {
        below = Some(step.layer(layer, &read, below.as_deref())?);
    }
    let mut top = below.unwrap_or_default();
    for k in 0..step.config.feed_forward.len() {
        let weight = step.weights(&format!("forward{k}.weight"))?;
        let bias = step.weights(&format!("forward{k}.bias"))?;
        let product = step.graph.node("MatMul", &[&top, &weight]);
        let sum = step.graph.node("Add", &[&product, &bias]);
        top = step.graph.node("Tanh", &[&sum]);
    }
    let top = step.head(top, &read);
    step.scores(&top, network.output_activation(), network.num_items(), k)?;
    Ok(step.graph)
}

/// The graph of a step under construction.
struct Step<'a> {
    graph: Graph,
    config: &'a NetworkConfig,
    arrays: Arrays,
}

impl Step<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.arrays.tensors.get(name).ok_or_else(|| Error::weights(name, "is missing"))
    }

    /// The constant of a parameter, under its name; it is in the graph once.
    fn weights(&mut self, name: &str) -> Result<Value> {
        let is_there = self.graph.proto.initializer.iter().any(|tensor| tensor.name == name);
        if !is_there {
            let tensor =
                self.arrays.tensors.remove(name).ok_or_else(|| Error::weights(name, "is missing"))?;
            self.graph.weights(name, &tensor.shape, &tensor.values);
        }
        Ok(name.to_owned())
    }

    /// Columns `from..to` of a matrix of weights, as a constant.
    fn columns(&mut self, name: &str, from: usize, to: usize) -> Result<Value> {
        let tensor = self.tensor(name)?;
        let width = tensor.shape.last().copied().unwrap_or(0).max(1);
        let values: Vec<f32> = tensor.values.chunks(width).flat_map(|row| row[from..to].to_vec()).collect();
        let rows = values.len() / (to - from).max(1);
        Ok(self.graph.weights(&format!("{name}[{from}:{to}]"), &[rows, to - from], &values))
    }

    /// Adds the input of the graph and looks up what it stands for.
    fn input(&mut self) -> Result<Read> {
        let batch = Dim::Named("batch");
        if self.config.input == Input::Discounted {
            let doc =
                "indices of the session's items so far, the newest last; -1 in front of shorter sessions";
            let input = ValueInfoProto::new("history", element::INT64, &[batch, Dim::Named("length")], doc);
            self.graph.proto.input.push(input);
            return Ok(self.discounted());
        }
        let input = ValueInfoProto::new("item", element::INT64, &[batch], "indices of the current items");
        self.graph.proto.input.push(input);
        let table = match self.config.input {
            Input::Embedding => self.weights("input.embedding")?,
            Input::Shared => self.weights("output.weight")?,
            _ => return Ok(Read::Items("item".to_owned())),
        };
        Ok(Read::Vectors(self.graph.node("Gather", &[&table, "item"])))
    }

    /// The events of a history and their weights `γ^age`, scaled to a length of 1 of the sums of each item.
    fn discounted(&mut self) -> Read {
        let graph = &mut self.graph;
        let (zero, one) = (graph.integers(&[], &[0]), graph.integers(&[], &[1]));
        let is_event = graph.node("GreaterOrEqual", &["history", &zero]);
        let is_event =
            graph.node_with("Cast", &[&is_event], vec![AttributeProto::int("to", element::FLOAT.into())]);
        let items = graph.node("Max", &["history", &zero]);
        // Ages count from the end.
        let shape = graph.node("Shape", &["history"]);
        let length = graph.node("Gather", &[&shape, &one]);
        let places = graph.node("Range", &[&zero, &length, &one]);
        let last = graph.node("Sub", &[&length, &one]);
        let ages = graph.node("Sub", &[&last, &places]);
        let ages = graph.node_with("Cast", &[&ages], vec![AttributeProto::int("to", element::FLOAT.into())]);
        let discount = graph.floats(&[], &[self.config.discount]);
        let weights = graph.node("Pow", &[&discount, &ages]);
        let weights = graph.node("Mul", &[&is_event, &weights]);
        // The squared length is Σ_s Σ_t w_s w_t [item_s = item_t].
        let (first, second) = (graph.integers(&[1], &[1]), graph.integers(&[1], &[2]));
        let as_row = graph.node("Unsqueeze", &[&items, &first]);
        let as_column = graph.node("Unsqueeze", &[&items, &second]);
        let is_same = graph.node("Equal", &[&as_row, &as_column]);
        let is_same =
            graph.node_with("Cast", &[&is_same], vec![AttributeProto::int("to", element::FLOAT.into())]);
        let row = graph.node("Unsqueeze", &[&weights, &first]);
        let column = graph.node("Unsqueeze", &[&weights, &second]);
        let summed = graph.node("MatMul", &[&is_same, &column]);
        let squared = graph.node("MatMul", &[&row, &summed]);
        let length = graph.node("Sqrt", &[&squared]);
        let tiny = graph.floats(&[], &[TINY]);
        let length = graph.node("Max", &[&length, &tiny]);
        let scaled = graph.node("Div", &[&row, &length]);
        Read::Weighted(items, scaled)
    }

    /// The product of the network's input and a matrix of weights: batch × columns.
    fn product_of_input(&mut self, read: &Read, name: &str) -> Result<Value> {
        let weights = self.weights(name)?;
        Ok(match read {
            Read::Items(items) => self.graph.node("Gather", &[&weights, items]),
            Read::Vectors(vectors) => self.graph.node("MatMul", &[vectors, &weights]),
            Read::Weighted(items, scaled) => {
                let rows = self.graph.node("Gather", &[&weights, items]);
                let product = self.graph.node("MatMul", &[scaled, &rows]);
                let axis = self.graph.integers(&[1], &[1]);
                self.graph.node("Squeeze", &[&product, &axis])
            }
        })
    }

    /// Adds a recurrent layer, with its states as inputs and outputs of the graph, and returns its output.
    fn layer(&mut self, l: usize, read: &Read, below: Option<&str>) -> Result<Value> {
        let units = self.config.layers[l];
        let mut gates = match below {
            None => self.product_of_input(read, &format!("layer{l}.input"))?,
            Some(below) => {
                let weights = self.weights(&format!("layer{l}.input"))?;
                self.graph.node("MatMul", &[below, &weights])
            }
        };
        if l > 0 && self.config.input_to_deeper_layers {
            let skip = self.product_of_input(read, &format!("layer{l}.skip"))?;
            gates = self.graph.node("Add", &[&gates, &skip]);
        }
        let bias = self.weights(&format!("layer{l}.bias"))?;
        let gates = self.graph.node("Add", &[&gates, &bias]);
        let before = self.state(&format!("state{l}"), units, "0 at the start of a session");
        let recurrent = format!("layer{l}.recurrent");
        let state = match self.config.unit {
            Unit::Gru => {
                let of_gates = self.columns(&recurrent, 0, 2 * units)?;
                let of_candidate = self.columns(&recurrent, 2 * units, 3 * units)?;
                let [gates, candidate] = self.graph.split(&gates, [2 * units, units]);
                let product = self.graph.node("MatMul", &[&before, &of_gates]);
                let gates = self.graph.node("Add", &[&gates, &product]);
                let gates = self.graph.node("Sigmoid", &[&gates]);
                let [update, reset] = self.graph.split(&gates, [units, units]);
                let kept = self.graph.node("Mul", &[&reset, &before]);
                let product = self.graph.node("MatMul", &[&kept, &of_candidate]);
                let candidate = self.graph.node("Add", &[&candidate, &product]);
                let candidate = self.activate(candidate, self.config.hidden_activation);
                // (1 − z) h' + z ĥ
                let change = self.graph.node("Sub", &[&candidate, &before]);
                let change = self.graph.node("Mul", &[&update, &change]);
                self.graph.node("Add", &[&before, &change])
            }
            Unit::Lstm => {
                let cell = self.state(&format!("cell{l}"), units, "0 at the start of a session");
                let weights = self.weights(&recurrent)?;
                let product = self.graph.node("MatMul", &[&before, &weights]);
                let gates = self.graph.node("Add", &[&gates, &product]);
                let [gates, new] = self.graph.split(&gates, [3 * units, units]);
                let gates = self.graph.node("Sigmoid", &[&gates]);
                let [input, forget, output] = self.graph.split(&gates, [units, units, units]);
                let new = self.graph.node("Tanh", &[&new]);
                let kept = self.graph.node("Mul", &[&forget, &cell]);
                let added = self.graph.node("Mul", &[&input, &new]);
                let cell = self.graph.node("Add", &[&kept, &added]);
                self.output(&format!("new_cell{l}"), &cell, units);
                let cell = self.graph.node("Tanh", &[&cell]);
                self.graph.node("Mul", &[&output, &cell])
            }
            Unit::Rnn => {
                let weights = self.weights(&recurrent)?;
                let product = self.graph.node("MatMul", &[&before, &weights]);
                let gates = self.graph.node("Add", &[&gates, &product]);
                self.activate(gates, self.config.hidden_activation)
            }
        };
        self.output(&format!("new_state{l}"), &state, units);
        Ok(state)
    }

    /// An input of the graph with the states of the event before.
    fn state(&mut self, name: &str, units: usize, doc: &str) -> Value {
        let dims = [Dim::Named("batch"), Dim::Of(units)];
        self.graph.proto.input.push(ValueInfoProto::new(name, element::FLOAT, &dims, doc));
        name.to_owned()
    }

    fn output(&mut self, name: &str, value: &str, width: usize) {
        let dims = [Dim::Named("batch"), Dim::Of(width)];
        self.graph.named(value, name);
        self.graph.proto.output.push(ValueInfoProto::new(name, element::FLOAT, &dims, ""));
    }

    fn activate(&mut self, value: Value, activation: Activation) -> Value {
        let float = AttributeProto::float;
        let (op, attributes) = match activation {
            Activation::Linear => return value,
            Activation::Tanh => ("Tanh", Vec::new()),
            Activation::Relu => ("Relu", Vec::new()),
            Activation::Elu { alpha } => ("Elu", vec![float("alpha", alpha)]),
            Activation::Leaky { alpha } => ("LeakyRelu", vec![float("alpha", alpha)]),
            Activation::Selu { lambda, alpha } => {
                ("Selu", vec![float("alpha", alpha), float("gamma", lambda)])
            }
        };
        self.graph.node_with(op, &[&value], attributes)
    }

    /// The vector of the session: the top layer's output, with the input added, and scaled.
    fn head(&mut self, top: Value, read: &Read) -> Value {
        let mut vector = top;
        if let (true, Read::Vectors(input)) = (self.config.input_to_output, read) {
            vector = self.graph.node("Add", &[&vector, input]);
        }
        if let Some(scale) = self.config.cosine_scale {
            let axis = self.graph.integers(&[1], &[1]);
            let squares = self.graph.node("Mul", &[&vector, &vector]);
            let sum = self.graph.node("ReduceSum", &[&squares, &axis]);
            let length = self.graph.node("Sqrt", &[&sum]);
            let tiny = self.graph.floats(&[], &[TINY]);
            let length = self.graph.node("Max", &[&length, &tiny]);
            let scale = self.graph.floats(&[], &[scale]);
            let factor = self.graph.node("Div", &[&scale, &length]);
            vector = self.graph.node("Mul", &[&vector, &factor]);
        }
        vector
    }

    /// The scores of all items as an output of the graph, or the best items and their scores.
    fn scores(&mut self, top: &str, activation: Activation, items: usize, k: Option<usize>) -> Result<()> {
        let (weight, bias) = (self.weights("output.weight")?, self.weights("output.bias")?);
        let transposed = vec![AttributeProto::int("transB", 1)];
        let scores = self.graph.node_with("Gemm", &[top, &weight, &bias], transposed);
        let scores = self.activate(scores, activation);
        let Some(k) = k.map(|k| k.min(items)) else {
            self.output("scores", &scores, items);
            return Ok(());
        };
        let (scores, places) = self.graph.largest(&scores, k);
        let dims = [Dim::Named("batch"), Dim::Of(k)];
        self.graph.named(&places, "items");
        let output =
            ValueInfoProto::new("items", element::INT64, &dims, "indices of the items, the best first");
        self.graph.proto.output.push(output);
        self.output("scores", &scores, k);
        Ok(())
    }
}
