//! A network: its configuration and the values of its parameters.

use super::config::{Activation, NetworkConfig};
use super::content::{Content, ContentRows, DroppedItems, ItemRows, add_content};
use super::parameters::{Layout, Parameters};
use crate::arrays::Tensor;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use upnext_kernels::{CounterRng, Matrix};

/// A network over `n` items, with the values of all its parameters.
///
/// A trained network is a [`Recommender`](crate::recommender::Recommender).
#[derive(Clone, Debug)]
pub struct Network {
    config: NetworkConfig,
    activation: Activation,
    items: usize,
    pub(crate) layouts: Parameters<Layout>,
    pub(crate) values: Parameters<Matrix>,
    /// The content of the items, with `attributes`.
    content: Option<Arc<Content>>,
    /// With content, the items' rows including it, computed from the values on first use.
    rows: OnceLock<Matrix>,
}

/// The random streams of a seed. Each purpose has its own, so that none depends on how many numbers another draws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Weights,
    Samples,
    EmbeddingDropout,
    HiddenDropout,
    Order,
    ItemDropout,
}

impl Stream {
    pub(crate) fn of(self, seed: u64) -> CounterRng {
        CounterRng::new(seed, self as u64)
    }
}

impl Network {
    /// Creates a network over `items` items. `activation` is applied to the scores.
    ///
    /// Weights are uniform in ±sqrt(6 / (rows + columns)), a pure function of `seed`; biases are 0
    /// (`docs/algorithms.md`, section 1). With `cosine_scale`, the vectors of items are then scaled to the length 1.
    pub fn new(config: NetworkConfig, activation: Activation, items: usize, seed: u64) -> Self {
        Self::zeros(config, activation, items, None, Layout::zeros).initialised(seed)
    }

    /// As [`new`](Self::new), over the items of `content`.
    pub(crate) fn with_content(
        config: NetworkConfig,
        activation: Activation,
        content: Arc<Content>,
        seed: u64,
    ) -> Self {
        let items = content.features.len();
        Self::zeros(config, activation, items, Some(content), Layout::zeros).initialised(seed)
    }

    fn zeros(
        config: NetworkConfig,
        activation: Activation,
        items: usize,
        content: Option<Arc<Content>>,
        zeros: fn(&Layout) -> Matrix,
    ) -> Self {
        let layouts = Parameters::layouts(&config, items, content.as_deref().map(Content::shape));
        let values = layouts.map(zeros);
        Self { config, activation, items, layouts, values, content, rows: OnceLock::new() }
    }

    fn initialised(mut self, seed: u64) -> Self {
        self.initialise_rows(0, seed);
        self.scale_items(0);
        self
    }

    /// Draws the initial weights of table rows `first..`, and if `first` is 0 those of all other parameters.
    fn initialise_rows(&mut self, first: usize, seed: u64) {
        let rng = Stream::Weights.of(seed);
        for (i, (layout, value)) in self.layouts.iter().zip(self.values.iter_mut()).enumerate() {
            if layout.table || first == 0 {
                layout.initialise(rng.substream(i as u64), first, value);
            }
        }
    }

    /// Appends `count` items to a network without content: each table gets as many rows, with initial weights drawn by `seed`.
    ///
    /// # Panics
    /// If the network has content.
    pub fn add_items(&mut self, count: usize, seed: u64) {
        assert!(self.content.is_none(), "items without content in a network with content");
        let known = self.items;
        self.items += count;
        self.layouts = Parameters::layouts(&self.config, self.items, None);
        for (layout, value) in self.layouts.iter().zip(self.values.iter_mut()) {
            if layout.table {
                value.add_rows(count);
            }
        }
        if count > 0 {
            self.initialise_rows(known, seed);
            self.scale_items(known);
        }
    }

    /// The same network over the items of `content`, the first of which are its own. Rows of the others are 0, so that their vectors are
    /// those of their content.
    ///
    /// # Panics
    /// If the content is in other terms, or of fewer items.
    pub(crate) fn extended(&self, content: Arc<Content>) -> Self {
        let shape = self.content.as_deref().map(Content::shape);
        assert_eq!(shape, Some(content.shape()), "content in other terms");
        let items = content.features.len();
        let count = items.checked_sub(self.items).expect("content of fewer items");
        // No other parameter has a row for each item.
        let Parameters { output, embedding, layers, feed_forward, content: parameters } = &self.values;
        let rows = self.rows.get().zip(parameters.as_ref()).map(|(rows, parameters)| {
            let mut rows = rows.with_rows(count);
            add_content(&content.features, parameters, self.items, &mut rows);
            rows
        });
        Self {
            config: self.config.clone(),
            activation: self.activation,
            items,
            layouts: Parameters::layouts(&self.config, items, shape),
            values: Parameters {
                output: output.with_rows(count),
                embedding: embedding.clone(),
                layers: layers.clone(),
                feed_forward: feed_forward.clone(),
                content: parameters.clone(),
            },
            content: Some(content),
            rows: rows.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The content of the items, if the network has some.
    pub(crate) fn content(&self) -> Option<&Arc<Content>> {
        self.content.as_ref()
    }

    /// n × (out + 1): the rows of all items, their vectors and biases, content included.
    pub(crate) fn item_table(&self) -> &Matrix {
        let (Some(content), Some(parameters)) = (&self.content, &self.values.content) else {
            return &self.values.output;
        };
        self.rows.get_or_init(|| {
            let own = &self.values.output;
            let mut rows = self.layouts.output.zeros_to_read();
            for r in 0..rows.rows() {
                let width = rows.width();
                rows.row_mut(r)[..width].copy_from_slice(&own.row(r)[..width]);
            }
            add_content(&content.features, parameters, 0, &mut rows);
            rows
        })
    }

    /// The rows of items for inference.
    pub(crate) fn rows_to_read(&self) -> ItemRows<'_> {
        ItemRows { own: self.item_table(), content: None }
    }

    /// The rows of items in a training step that leaves out the own rows of some.
    pub(crate) fn rows_to_train(&self, dropped: DroppedItems) -> ItemRows<'_> {
        let content = self.content.as_ref().zip(self.values.content.as_ref());
        let content = content.map(|(content, parameters)| ContentRows {
            of_items: &content.features,
            parameters,
            dropped,
        });
        ItemRows { own: &self.values.output, content }
    }

    /// Forgets what was computed from values that have changed.
    pub(crate) fn values_changed(&mut self) {
        self.rows = OnceLock::new();
    }

    /// Scales the vectors of the items from `first` on to the length 1, if the configuration asks for it.
    pub(crate) fn scale_items(&mut self, first: usize) {
        if self.config.cosine_scale.is_none() {
            return;
        }
        let out = self.config.output_width();
        for item in first..self.items {
            let vector = &mut self.values.output.row_mut(item)[..out];
            let length = length(vector);
            if length > 0.0 {
                vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            }
        }
    }

    /// Whether the vectors of all items have the length that the configuration asks for, within rounding.
    fn has_scaled_items(&self) -> bool {
        let out = self.config.output_width();
        let is_scaled = |item| (length(&self.values.output.values(item)[..out]) - 1.0).abs() < 1e-3;
        self.config.cosine_scale.is_none() || (0..self.items).all(is_scaled)
    }

    /// The network's configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The activation of the scores.
    pub fn output_activation(&self) -> Activation {
        self.activation
    }

    /// Number of items.
    pub fn num_items(&self) -> usize {
        self.items
    }

    /// Number of scalar parameters, biases included.
    pub fn num_parameters(&self) -> usize {
        let numbers = |l: &Layout| l.rows * (l.blocks * l.columns + usize::from(l.bias_column.is_some()));
        self.layouts.iter().map(numbers).sum()
    }

    /// Copies all parameters, by the names of `docs/artifact.md`.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = BTreeMap::new();
        for (layout, value) in self.layouts.iter().zip(self.values.iter()) {
            export(layout, value, "", &mut tensors);
        }
        tensors
    }

    /// Copies all parameters of the network without content that gives the same scores: that of the items' rows including it.
    #[cfg(any(feature = "onnx", test))]
    pub(crate) fn tensors_without_content(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = self.tensors();
        if self.content.is_some() {
            tensors.retain(|name, _| !name.starts_with("content."));
            export(&self.layouts.output, self.item_table(), "", &mut tensors);
        }
        tensors
    }

    /// Creates a network from its parameters, which are removed from `tensors`.
    ///
    /// # Errors
    /// [`Error::Weights`] with the name of a tensor that is missing, has the wrong shape, or is not part of the
    /// network.
    pub fn from_tensors(
        config: NetworkConfig,
        activation: Activation,
        items: usize,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        Self::restored(config, activation, (items, None), false, tensors)
    }

    /// A network from its parameters, to read or to train, over items and their content, if they have some.
    ///
    /// # Errors
    /// As [`from_tensors`](Self::from_tensors).
    pub(crate) fn restored(
        config: NetworkConfig,
        activation: Activation,
        (items, content): (usize, Option<Arc<Content>>),
        to_read: bool,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let zeros = if to_read { Layout::zeros_to_read } else { Layout::zeros };
        Self::zeros(config, activation, items, content, zeros).filled(tensors)
    }

    /// As [`from_tensors`](Self::from_tensors), in less memory: item vectors have no padding. For inference only.
    ///
    /// # Errors
    /// As [`from_tensors`](Self::from_tensors).
    pub fn from_tensors_to_read(
        config: NetworkConfig,
        activation: Activation,
        items: usize,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        Self::restored(config, activation, (items, None), true, tensors)
    }

    /// The same network with padded rows, as training needs them.
    pub(crate) fn into_trainable(mut self) -> Self {
        for value in self.values.iter_mut() {
            *value = std::mem::replace(value, Matrix::zeros(0, 0)).padded();
        }
        self
    }

    fn filled(mut self, tensors: &mut BTreeMap<String, Tensor>) -> Result<Self> {
        for (layout, value) in self.layouts.iter().zip(self.values.iter_mut()) {
            import(layout, value, "", false, tensors)?;
        }
        if let Some(name) = tensors.keys().next() {
            return Err(Error::weights(name, "this network has no such parameter"));
        }
        if !self.has_scaled_items() {
            let reason = "the length of a row is not 1, as it has to be with model.cosine_scale";
            return Err(Error::weights("output.weight", reason));
        }
        Ok(self)
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        self.is_within(f32::MAX)
    }

    /// Whether no parameter is larger than `limit`, with either sign; false for what is not a number.
    pub(crate) fn is_within(&self, limit: f32) -> bool {
        self.values.iter().all(|value| value.data().iter().all(|x| x.abs() <= limit))
    }
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Adds a parameter, or a matrix of its shape, to `tensors` under `prefix` and the parameter's name.
pub(crate) fn export(layout: &Layout, matrix: &Matrix, prefix: &str, tensors: &mut BTreeMap<String, Tensor>) {
    let tensor = Tensor { shape: shape_in_files(layout, layout.rows), values: layout.export(matrix) };
    tensors.insert(format!("{prefix}{}", layout.name), tensor);
    if let Some(name) = layout.bias_column {
        let values = (0..layout.rows).map(|r| matrix.row(r)[layout.width() - 1]).collect();
        tensors.insert(format!("{prefix}{name}"), Tensor { shape: vec![layout.rows], values });
    }
}

/// Removes a parameter, or a matrix of its shape, from `tensors` and copies it to `matrix`.
///
/// With `may_grow`, a table may have fewer rows in `tensors` than in `matrix`; the remaining rows are left unchanged.
pub(crate) fn import(
    layout: &Layout,
    matrix: &mut Matrix,
    prefix: &str,
    may_grow: bool,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let mut take = |name: &str, shape: &dyn Fn(usize) -> Vec<usize>| {
        let name = format!("{prefix}{name}");
        let tensor = tensors.remove(&name).ok_or_else(|| Error::weights(&name, "it is missing"))?;
        let rows = match tensor.shape.first() {
            Some(&rows) if may_grow && layout.table && rows < layout.rows => rows,
            _ => layout.rows,
        };
        let expected = shape(rows);
        if tensor.shape != expected || tensor.values.len() != expected.iter().product::<usize>() {
            return Err(Error::weights(&name, format!("its shape is {:?}, not {expected:?}", tensor.shape)));
        }
        Ok((rows, tensor.values))
    };
    let (rows, values) = take(&layout.name, &|rows| shape_in_files(layout, rows))?;
    Layout { rows, ..layout.clone() }.import(values.into_iter(), matrix);
    if let Some(name) = layout.bias_column {
        let (_, values) = take(name, &|rows| vec![rows])?;
        for (r, x) in values.into_iter().enumerate() {
            matrix.row_mut(r)[layout.width() - 1] = x;
        }
    }
    Ok(())
}

fn shape_in_files(layout: &Layout, rows: usize) -> Vec<usize> {
    let width = layout.blocks * layout.columns;
    if layout.name.ends_with(".bias") { vec![width] } else { vec![rows, width] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gru4rec::config::{Input, Unit};

    #[test]
    fn a_network_to_read_is_smaller_and_becomes_one_to_train() {
        for input in [Input::Shared, Input::Embedding, Input::OneHot] {
            let config =
                NetworkConfig { input, layers: vec![7], embedding_size: 5, ..NetworkConfig::default() };
            let network = Network::new(config.clone(), Activation::Tanh, 40, 3);
            let read = Network::from_tensors_to_read(config, Activation::Tanh, 40, &mut network.tensors());
            let read = read.unwrap();
            assert!(read.values.output.data().len() < network.values.output.data().len());
            assert_eq!(read.tensors(), network.tensors());
            let back = read.into_trainable();
            assert!(back.values.iter().zip(network.values.iter()).all(|(a, b)| a.data() == b.data()));
        }
    }

    #[test]
    fn tensors_rebuild_the_network_and_wrong_ones_are_named() {
        let config = NetworkConfig {
            unit: Unit::Lstm,
            layers: vec![5, 18],
            feed_forward: vec![7],
            input: Input::Embedding,
            embedding_size: 3,
            input_to_deeper_layers: true,
            ..NetworkConfig::default()
        };
        let network = Network::new(config.clone(), Activation::Tanh, 9, 7);
        let tensors = network.tensors();
        assert_eq!(tensors.values().map(|t| t.values.len()).sum::<usize>(), network.num_parameters());
        let build = |mut tensors: BTreeMap<_, _>| {
            Network::from_tensors(config.clone(), Activation::Tanh, 9, &mut tensors)
        };
        let back = build(tensors.clone()).unwrap();
        assert!(back.values.iter().zip(network.values.iter()).all(|(a, b)| a.data() == b.data()));

        let mut missing = tensors.clone();
        missing.remove("layer1.skip");
        assert!(build(missing).unwrap_err().to_string().contains("layer1.skip"));
        let mut short = tensors.clone();
        short.get_mut("output.bias").unwrap().values.pop();
        assert!(build(short).unwrap_err().to_string().contains("output.bias"));
        let mut foreign = tensors;
        foreign.insert("x".into(), Tensor { shape: vec![1], values: vec![0.0] });
        assert!(build(foreign).unwrap_err().to_string().contains('x'));
    }

    #[test]
    fn items_of_a_cosine_have_the_length_1_and_others_are_refused() {
        let config = NetworkConfig { layers: vec![6], cosine_scale: Some(9.0), ..NetworkConfig::default() };
        let mut network = Network::new(config.clone(), Activation::Linear, 10, 1);
        network.add_items(3, 1);
        for item in 0..13 {
            assert!((length(&network.values.output.row(item)[..6]) - 1.0).abs() < 1e-6);
        }
        let mut tensors = network.tensors();
        assert!(Network::from_tensors(config.clone(), Activation::Linear, 13, &mut tensors.clone()).is_ok());
        tensors.get_mut("output.weight").unwrap().values[3] += 0.1;
        let refused = Network::from_tensors(config, Activation::Linear, 13, &mut tensors).unwrap_err();
        assert!(refused.to_string().contains("output.weight"), "{refused}");
    }

    #[test]
    fn new_items_get_rows_and_old_ones_keep_theirs() {
        let config = NetworkConfig { layers: vec![6], input: Input::OneHot, ..NetworkConfig::default() };
        let old = Network::new(config, Activation::Linear, 10, 1);
        let mut new = old.clone();
        new.add_items(3, 1);
        for (old, new) in [
            (&old.values.output, &new.values.output),
            (&old.values.layers[0].input, &new.values.layers[0].input),
        ] {
            assert_eq!(new.rows(), 13);
            assert_eq!(old.data(), &new.data()[..old.data().len()]);
            assert!(new.values(12).iter().any(|&x| x != 0.0));
        }
        assert_eq!(old.values.layers[0].recurrent.data(), new.values.layers[0].recurrent.data());
    }
}
