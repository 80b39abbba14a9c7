//! Vectors of items from their content: the row of an item that is scored and read is its own row of the output table, plus the rows
//! of its features, plus the projection of its vector (`docs/algorithms.md`, section 1).
//!
//! Shapes: `n` items, `f` features, `d` width of the vectors, `out` width of the output layer's input; all tables have a last column for
//! the bias.

use super::output::TILE;
use super::parameters::CONTENT_FEATURES;
use crate::arrays::Arrays;
use crate::content::{ContentShape, Encoder, ItemFeatures};
use crate::data::ItemIndex;
use crate::{Error, Result};
use upnext_kernels::{CounterRng, Isa, Matrix, add_scaled, product};

/// The content of a network's items, and the terms in which later items are described.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) encoder: Encoder,
    pub(crate) features: ItemFeatures,
}

impl Content {
    pub(crate) fn shape(&self) -> ContentShape {
        self.encoder.shape()
    }

    /// The content of the first `items` items.
    pub(crate) fn first(&self, items: usize) -> Self {
        Self { encoder: self.encoder.clone(), features: self.features.first(items) }
    }

    /// Adds the arrays by which [`take`](Self::take) makes the same content.
    pub(crate) fn add_to(&self, arrays: &mut Arrays) {
        self.encoder.add_to(arrays);
        self.features.add_to(arrays);
    }

    /// Takes the content of `items` items out of the arrays of a model.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) if an array is missing or damaged.
    pub(crate) fn take(arrays: &mut Arrays, items: usize) -> Result<Self> {
        let encoder = Encoder::take(arrays)?;
        // Before a table of as many rows is allocated.
        let rows = arrays.tensors.get(CONTENT_FEATURES[0]).and_then(|table| table.shape.first()).copied();
        if rows != Some(encoder.shape().features) {
            return Err(Error::weights(CONTENT_FEATURES[0], "it has not the features of the encoder"));
        }
        let features = ItemFeatures::take(arrays, items, encoder.shape())?;
        Ok(Self { encoder, features })
    }
}

/// The parameters of the content.
#[derive(Clone, Debug)]
pub(crate) struct ContentParameters<T> {
    /// f × (out + 1): the rows of the features.
    pub(crate) features: T,
    /// d × (out + 1): the projection of the vectors, if items have some.
    pub(crate) projection: Option<T>,
}

/// The items whose own rows a step leaves out, so that their content learns to stand alone (after DropoutNet, Volkovs et al. 2017).
///
/// A row is left out as a whole, and what is kept is not scaled up: the network sees items as they are later, known ones with their
/// own row and new ones without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DroppedItems {
    pub(crate) rng: CounterRng,
    pub(crate) probability: f32,
}

impl DroppedItems {
    /// Whether the step leaves out the item's own row, in all uses.
    #[inline]
    pub(crate) fn has(&self, item: ItemIndex) -> bool {
        self.probability > 0.0 && self.rng.unit_f32(u64::from(item)) < self.probability
    }
}

/// The rows of items as a pass of the network reads them.
#[derive(Clone, Copy)]
pub(crate) struct ItemRows<'a> {
    /// n × width: the items' own rows, or all there is.
    pub(crate) own: &'a Matrix,
    pub(crate) content: Option<ContentRows<'a>>,
}

/// What is added to the items' own rows.
#[derive(Clone, Copy)]
pub(crate) struct ContentRows<'a> {
    pub(crate) of_items: &'a ItemFeatures,
    pub(crate) parameters: &'a ContentParameters<Matrix>,
    pub(crate) dropped: DroppedItems,
}

impl ItemRows<'_> {
    /// Copies the rows of `items` into the first rows of `to` (as wide as the table). `vectors` is a buffer.
    ///
    /// # Panics
    /// If `to` has too few rows, or another width.
    pub(crate) fn gather(&self, isa: Isa, items: &[ItemIndex], vectors: &mut Matrix, to: &mut Matrix) {
        to.gather(self.own, items);
        let Some(ContentRows { of_items, parameters, dropped }) = self.content else { return };
        for (r, &item) in items.iter().enumerate() {
            let row = to.row_mut(r);
            if dropped.has(item) {
                row.fill(0.0);
            }
            for (feature, weight) in of_items.of(item) {
                add_scaled(isa, weight, parameters.features.row(feature as usize), row);
            }
        }
        if let Some(projection) = &parameters.projection {
            gather_vectors(of_items, items, vectors);
            let shape = (items.len(), projection.width(), of_items.width());
            let stride = to.stride();
            let vectors = vectors.view(items.len());
            product(isa, shape, vectors, projection.view(projection.rows()), to.data_mut(), stride, true);
        }
    }
}

/// Copies the vectors of items into the first rows of `to`, which grows to as many rows.
pub(crate) fn gather_vectors(of_items: &ItemFeatures, items: &[ItemIndex], to: &mut Matrix) {
    if to.width() != of_items.width() {
        *to = Matrix::zeros(0, of_items.width());
    }
    make_room(items.len(), to);
    for (r, &item) in items.iter().enumerate() {
        to.row_mut(r)[..of_items.width()].copy_from_slice(of_items.vector(item));
    }
}

/// Grows a buffer to at least `rows` rows, whose number varies from step to step.
pub(crate) fn make_room(rows: usize, buffer: &mut Matrix) {
    if buffer.rows() < rows {
        buffer.add_rows(rows.next_multiple_of(TILE) - buffer.rows());
    }
}

/// The rows of items for inference: adds the content of items `first..` to their own rows, in any layout.
pub(crate) fn add_content(
    content: &ItemFeatures,
    parameters: &ContentParameters<Matrix>,
    first: usize,
    table: &mut Matrix,
) {
    let width = table.width();
    for r in first..content.len() {
        let item = r as ItemIndex;
        let row = &mut table.row_mut(r)[..width];
        let mut add = |weight: f32, of: &Matrix, from: usize| {
            row.iter_mut().zip(of.values(from)).for_each(|(x, value)| *x += weight * value);
        };
        content.of(item).for_each(|(feature, weight)| add(weight, &parameters.features, feature as usize));
        if let Some(projection) = &parameters.projection {
            content.vector(item).iter().enumerate().for_each(|(k, &x)| add(x, projection, k));
        }
    }
}
