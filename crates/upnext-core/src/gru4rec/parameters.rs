//! The parameters of a network, with their memory layouts and their names and shapes in files.

use super::config::{Input, NetworkConfig};
use super::content::ContentParameters;
use crate::content::ContentShape;
use upnext_kernels::{CounterRng, Matrix, padded};

/// One `T` per parameter of a network: its values, its gradient, its optimiser state or its layout.
///
/// Shapes: `n` items, `G` gates, `H` units of a layer. Each gate has a block of `H` columns, rounded up to whole cache
/// lines, so that every gate of a row starts on a cache line.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<T> {
    /// n × (out + 1): the output table; its last column is the output bias.
    pub(crate) output: T,
    /// n × d, with `embedding` input.
    pub(crate) embedding: Option<T>,
    /// The recurrent layers from the input up.
    pub(crate) layers: Vec<LayerParameters<T>>,
    /// The feed-forward layers, from the recurrent layers up.
    pub(crate) feed_forward: Vec<DenseParameters<T>>,
    /// What items' rows of `output` are added to, with `attributes`.
    pub(crate) content: Option<ContentParameters<T>>,
}

/// The parameters of a recurrent layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerParameters<T> {
    /// in × G·H: weights of the layer below or of the network's input; n × G·H for `one-hot` and `discounted` input.
    pub(crate) input: T,
    /// As `input`: a deeper layer's weights of the network's input, with `input_to_deeper_layers`.
    pub(crate) skip: Option<T>,
    /// H × G·H: weights of the carried state.
    pub(crate) recurrent: T,
    /// 1 × G·H: the bias.
    pub(crate) bias: T,
}

/// The parameters of a feed-forward layer.
#[derive(Clone, Debug)]
pub(crate) struct DenseParameters<T> {
    /// in × width: the weights.
    pub(crate) weight: T,
    /// 1 × width: the bias.
    pub(crate) bias: T,
}

/// The name of a parameter, and its layout in a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Name in files (`docs/artifact.md`).
    pub(crate) name: String,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Column blocks of a row: one per gate.
    pub(crate) blocks: usize,
    /// Columns of a block, without padding.
    pub(crate) columns: usize,
    /// The name in files of the last column, if that is a bias.
    pub(crate) bias_column: Option<&'static str>,
    /// Whether a step reads and updates only some of the rows: those of items or features.
    pub(crate) table: bool,
    /// Whether each row is the vector of an item, as opposed to an item's input to the gates.
    pub(crate) vectors: bool,
}

/// Name of the output bias in files.
pub(crate) const OUTPUT_BIAS: &str = "output.bias";
/// Names of the parameters of the content in files, and of their biases.
pub(crate) const CONTENT_FEATURES: [&str; 2] = ["content.features", "content.features.bias"];
const CONTENT_PROJECTION: [&str; 2] = ["content.projection", "content.projection.bias"];

impl Layout {
    /// Columns from the start of one block to the start of the next.
    pub(crate) fn block_step(&self) -> usize {
        if self.blocks == 1 { self.columns } else { padded(self.columns) }
    }

    /// Width of the matrix: all blocks with their padding, and the bias column.
    pub(crate) fn width(&self) -> usize {
        self.blocks * self.block_step() + usize::from(self.bias_column.is_some())
    }

    /// A matrix of zeros of this layout.
    pub(crate) fn zeros(&self) -> Matrix {
        Matrix::zeros(self.rows, self.width())
    }

    /// A matrix of zeros for inference: item vectors have no padding.
    pub(crate) fn zeros_to_read(&self) -> Matrix {
        if self.vectors { Matrix::compact(self.rows, self.width()) } else { self.zeros() }
    }

    /// The values without padding and bias column, row by row: rows × (blocks · columns).
    pub(crate) fn export(&self, matrix: &Matrix) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows * self.blocks * self.columns);
        for r in 0..self.rows {
            for block in 0..self.blocks {
                values.extend_from_slice(&matrix.row(r)[block * self.block_step()..][..self.columns]);
            }
        }
        values
    }

    /// Sets a matrix of this layout from values in the order of [`export`](Self::export).
    ///
    /// # Panics
    /// If the number of values is not rows · blocks · columns.
    pub(crate) fn import(&self, values: impl ExactSizeIterator<Item = f32>, matrix: &mut Matrix) {
        assert_eq!(values.len(), self.rows * self.blocks * self.columns, "values of {}", self.name);
        let mut values = values;
        for r in 0..self.rows {
            for block in 0..self.blocks {
                let row = &mut matrix.row_mut(r)[block * self.block_step()..][..self.columns];
                row.iter_mut().zip(&mut values).for_each(|(x, value)| *x = value);
            }
        }
    }

    /// Draws the initial values of rows `first_row..`: uniform in ±sqrt(6 / (rows + columns)) of a block. Biases stay
    /// 0.
    pub(crate) fn initialise(&self, rng: CounterRng, first_row: usize, matrix: &mut Matrix) {
        if self.is_bias() {
            return;
        }
        let range = (6.0 / (self.rows + self.columns) as f64).sqrt() as f32;
        for r in first_row..self.rows {
            for block in 0..self.blocks {
                let row = &mut matrix.row_mut(r)[block * self.block_step()..][..self.columns];
                let start = (r * self.blocks + block) * self.columns;
                for (j, x) in row.iter_mut().enumerate() {
                    *x = range * (2.0 * rng.unit_f32((start + j) as u64) - 1.0);
                }
            }
        }
    }

    fn is_bias(&self) -> bool {
        self.name.ends_with(".bias")
    }

    /// Whether the gradient is computed before the update, as a sum of parts.
    pub(crate) fn has_gradient_of_parts(&self) -> bool {
        self.name == CONTENT_PROJECTION[0]
    }
}

impl Parameters<Layout> {
    /// The layouts of a network over `items` items, with content of this shape if it has some.
    pub(crate) fn layouts(config: &NetworkConfig, items: usize, content: Option<ContentShape>) -> Self {
        let sparse = !config.has_embedding();
        let input_rows = if sparse { items } else { config.input_width(items) };
        let dense = |name: String, rows, blocks, columns| Layout {
            name,
            rows,
            blocks,
            columns,
            bias_column: None,
            table: false,
            vectors: false,
        };
        let of_content = |[name, bias]: [&'static str; 2], rows| Layout {
            bias_column: Some(bias),
            ..dense(name.into(), rows, 1, config.output_width())
        };
        let gates = config.unit.gates();
        let from_input = |name, units| Layout { table: sparse, ..dense(name, input_rows, gates, units) };
        let layers = config.layers.iter().enumerate().map(|(l, &units)| {
            let name = |part| format!("layer{l}.{part}");
            LayerParameters {
                input: if l == 0 {
                    from_input(name("input"), units)
                } else {
                    dense(name("input"), config.layers[l - 1], gates, units)
                },
                skip: (l > 0 && config.input_to_deeper_layers).then(|| from_input(name("skip"), units)),
                recurrent: dense(name("recurrent"), units, gates, units),
                bias: dense(name("bias"), 1, gates, units),
            }
        });
        let widths = config.layers.last().into_iter().chain(&config.feed_forward);
        let feed_forward =
            widths.zip(&config.feed_forward).enumerate().map(|(k, (&below, &width))| DenseParameters {
                weight: dense(format!("forward{k}.weight"), below, 1, width),
                bias: dense(format!("forward{k}.bias"), 1, 1, width),
            });
        Self {
            output: Layout {
                bias_column: Some(OUTPUT_BIAS),
                table: true,
                vectors: true,
                ..dense("output.weight".into(), items, 1, config.output_width())
            },
            embedding: (config.input == Input::Embedding).then(|| Layout {
                table: true,
                vectors: true,
                ..dense("input.embedding".into(), items, 1, config.embedding_size)
            }),
            layers: layers.collect(),
            feed_forward: feed_forward.collect(),
            content: content.map(|shape| ContentParameters {
                features: Layout { table: true, ..of_content(CONTENT_FEATURES, shape.features) },
                projection: (shape.width > 0).then(|| of_content(CONTENT_PROJECTION, shape.width)),
            }),
        }
    }
}

impl<T> Parameters<T> {
    /// Applies `f` to the `T` of each parameter.
    pub(crate) fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Parameters<U> {
        Parameters {
            output: f(&self.output),
            embedding: self.embedding.as_ref().map(&mut f),
            layers: self
                .layers
                .iter()
                .map(|layer| LayerParameters {
                    input: f(&layer.input),
                    skip: layer.skip.as_ref().map(&mut f),
                    recurrent: f(&layer.recurrent),
                    bias: f(&layer.bias),
                })
                .collect(),
            feed_forward: self
                .feed_forward
                .iter()
                .map(|layer| DenseParameters { weight: f(&layer.weight), bias: f(&layer.bias) })
                .collect(),
            content: self.content.as_ref().map(|content| ContentParameters {
                features: f(&content.features),
                projection: content.projection.as_ref().map(&mut f),
            }),
        }
    }

    /// Iterates over the parameters in the order of [`map`](Self::map).
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.output)
            .chain(&self.embedding)
            .chain(self.layers.iter().flat_map(|layer| {
                std::iter::once(&layer.input).chain(&layer.skip).chain([&layer.recurrent, &layer.bias])
            }))
            .chain(self.feed_forward.iter().flat_map(|layer| [&layer.weight, &layer.bias]))
            .chain(
                self.content
                    .iter()
                    .flat_map(|content| std::iter::once(&content.features).chain(&content.projection)),
            )
    }

    /// Iterates over the parameters, mutably, in the order of [`map`](Self::map).
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.output)
            .chain(&mut self.embedding)
            .chain(self.layers.iter_mut().flat_map(|layer| {
                std::iter::once(&mut layer.input)
                    .chain(&mut layer.skip)
                    .chain([&mut layer.recurrent, &mut layer.bias])
            }))
            .chain(self.feed_forward.iter_mut().flat_map(|layer| [&mut layer.weight, &mut layer.bias]))
            .chain(
                self.content.iter_mut().flat_map(|content| {
                    std::iter::once(&mut content.features).chain(&mut content.projection)
                }),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gru4rec::config::{TrainingConfig, Unit};
    use crate::gru4rec::reference_config::plain;
    use upnext_reference as reference;

    fn networks() -> Vec<NetworkConfig> {
        let mut all = Vec::new();
        for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
            for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
                for (layers, feed_forward, skip) in [
                    (vec![5], vec![], false),
                    (vec![17, 3], vec![6], true),
                    (vec![4, 4, 20], vec![7, 9], false),
                ] {
                    all.push(NetworkConfig {
                        unit,
                        input,
                        layers,
                        feed_forward,
                        input_to_deeper_layers: skip,
                        embedding_size: 11,
                        ..NetworkConfig::default()
                    });
                }
            }
        }
        all
    }

    #[test]
    fn names_and_shapes_are_those_of_the_reference() {
        for config in networks() {
            let mut expected =
                reference::Parameters::shapes(&plain(&config, &TrainingConfig::default()).0, 23);
            let layouts = Parameters::layouts(&config, 23, None);
            let mut places = Vec::new();
            for layout in layouts.iter() {
                let shape =
                    expected.remove(&layout.name).unwrap_or_else(|| panic!("{} of {config:?}", layout.name));
                assert_eq!(shape.iter().product::<usize>(), layout.rows * layout.blocks * layout.columns);
                places.push(layout.name.clone());
            }
            assert_eq!(expected.into_keys().collect::<Vec<_>>(), [OUTPUT_BIAS]);
            let mut mapped = layouts.map(|layout| layout.name.clone());
            assert_eq!(mapped.iter().cloned().collect::<Vec<_>>(), places);
            assert_eq!(mapped.iter_mut().map(|name| name.clone()).collect::<Vec<_>>(), places);
        }
    }

    #[test]
    fn initial_weights_fill_their_range_block_by_block() {
        let config = NetworkConfig { layers: vec![40], input: Input::OneHot, ..NetworkConfig::default() };
        let layouts = Parameters::layouts(&config, 500, None);
        let input = &layouts.layers[0].input;
        let mut matrix = input.zeros();
        input.initialise(CounterRng::new(1, 2), 0, &mut matrix);
        let range = (6.0f32 / 540.0).sqrt();
        let values = input.export(&matrix);
        assert!(values.iter().all(|x| x.abs() <= range));
        assert!(values.iter().copied().fold(0.0, f32::max) > 0.99 * range);
        assert!(values.iter().sum::<f32>().abs() / (values.len() as f32) < 0.02 * range);
        let mut back = input.zeros();
        input.import(values.into_iter(), &mut back);
        assert_eq!(back.data(), matrix.data());
        let bias = &layouts.layers[0].bias;
        let mut matrix = bias.zeros();
        bias.initialise(CounterRng::new(1, 2), 0, &mut matrix);
        assert!(matrix.data().iter().all(|&x| x == 0.0));
    }
}
