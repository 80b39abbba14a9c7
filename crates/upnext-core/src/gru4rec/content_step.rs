//! The gradients of the content's parameters in a step: those of items' rows, passed on to features and to the projection.
//!
//! Shapes as in `content.rs`. Each part of the items sums the gradients of its own items' features, and each part of the features then
//! takes the sums of all parts of the items, so that no result depends on the number of threads.

use super::content::{ContentRows, gather_vectors, make_room};
use super::layers::Cpu;
use super::output::{PARTS, Part, part_of};
use crate::content::ContentShape;
use crate::data::ItemIndex;
use upnext_kernels::{GradientRows, Isa, Matrix, RowGroups, add_scaled, padded, product};

/// What the items of one part add to the gradients of the content.
#[derive(Debug)]
pub(crate) struct ContentSums {
    /// The features that the items have, each with its uses.
    uses: RowGroups,
    /// The feature of each use, the row of the item's gradient, and the weight.
    features: Vec<u32>,
    source: Vec<u32>,
    weights: Vec<f32>,
    /// Features in use × (out + 1).
    sums: Matrix,
    /// Items × d.
    vectors: Matrix,
    /// d × (out + 1).
    d_projection: Matrix,
}

impl ContentSums {
    fn new(content: ContentShape, width: usize) -> Self {
        Self {
            uses: RowGroups::new(content.features),
            features: Vec::new(),
            source: Vec::new(),
            weights: Vec::new(),
            sums: Matrix::zeros(0, width),
            vectors: Matrix::zeros(0, content.width),
            d_projection: Matrix::zeros(content.width, width),
        }
    }

    /// Sums the gradients of the items' features, and of the projection. Row `i` of `d_rows` is the gradient of the row of the `i`-th
    /// item.
    fn sum(&mut self, isa: Isa, content: ContentRows, items: &[ItemIndex], d_rows: &Matrix) {
        self.features.clear();
        self.source.clear();
        self.weights.clear();
        for (i, &item) in (0..).zip(items) {
            for (feature, weight) in content.of_items.of(item) {
                self.features.push(feature);
                self.source.push(i);
                self.weights.push(weight);
            }
        }
        self.uses.group((0..).zip(self.features.iter().copied()));
        let groups = self.uses.rows().len();
        make_room(groups, &mut self.sums);
        for g in 0..groups {
            let sum = self.sums.row_mut(g);
            sum.fill(0.0);
            for &u in self.uses.uses(g) {
                add_scaled(isa, self.weights[u as usize], d_rows.row(self.source[u as usize] as usize), sum);
            }
        }
        let width = content.of_items.width();
        if width > 0 {
            gather_vectors(content.of_items, items, &mut self.vectors);
            let stride = self.d_projection.stride();
            self.d_projection.clear();
            let shape = (width, d_rows.width(), items.len());
            let vectors = self.vectors.view(items.len()).transposed();
            let d_projection = self.d_projection.data_mut();
            product(isa, shape, vectors, d_rows.view(items.len()), d_projection, stride, true);
        }
    }
}

/// The gradients of one part of the features.
#[derive(Debug)]
pub(crate) struct FeaturePart {
    /// The features of the part that the step uses, each with its rows of `gradients`.
    pub(crate) uses: RowGroups,
    /// The part of the items and the group there of each row of `gradients`.
    from: Vec<(u32, u32)>,
    /// Uses × (out + 1).
    gradients: Matrix,
}

impl FeaturePart {
    fn new(part: usize, features: usize, width: usize) -> Self {
        let uses = RowGroups::of_part(features, part, PARTS);
        Self { uses, from: Vec::new(), gradients: Matrix::zeros(0, width) }
    }

    /// Takes the sums of all parts of the items for the features of part `part`.
    fn collect(&mut self, part: usize, sums: &[ContentSums; PARTS]) {
        self.from.clear();
        for (p, sums) in (0..).zip(sums) {
            let of_part = (0..).zip(sums.uses.rows()).filter(|&(_, &feature)| part_of(feature) == part);
            self.from.extend(of_part.map(|(group, _)| (p, group)));
        }
        let feature = |&(p, group): &(u32, u32)| sums[p as usize].uses.rows()[group as usize];
        self.uses.group((0..).zip(self.from.iter().map(feature)));
        make_room(self.from.len(), &mut self.gradients);
        for (u, &(p, group)) in self.from.iter().enumerate() {
            self.gradients.row_mut(u).copy_from_slice(sums[p as usize].sums.row(group as usize));
        }
    }

    /// The gradients of the features in use.
    pub(crate) fn gradients(&self) -> GradientRows<'_> {
        GradientRows { gradients: &self.gradients, source: None }
    }
}

/// The buffers of the content in a training step.
#[derive(Debug)]
pub(crate) struct ContentStep {
    sums: [ContentSums; PARTS],
    pub(crate) parts: [FeaturePart; PARTS],
}

impl ContentStep {
    /// Buffers for content of a shape, and rows of items of `width` columns.
    pub(crate) fn new(content: ContentShape, width: usize) -> Self {
        Self {
            sums: std::array::from_fn(|_| ContentSums::new(content, width)),
            parts: std::array::from_fn(|part| FeaturePart::new(part, content.features, width)),
        }
    }

    /// Computes the gradients of the content's parameters from those of the items' rows, which `parts` have grouped. That of the projection
    /// goes to `d_projection`.
    pub(crate) fn differentiate(
        &mut self,
        cpu: Cpu,
        content: ContentRows,
        parts: &[Part; PARTS],
        d_projection: Option<&mut Matrix>,
    ) {
        cpu.pool.for_each_owned(&mut self.sums, |p, sums| {
            sums.sum(cpu.isa, content, parts[p].used(), &parts[p].d_rows);
        });
        let sums = &self.sums;
        cpu.pool.for_each_owned(&mut self.parts, |part, features| features.collect(part, sums));
        if let Some(total) = d_projection {
            let width = padded(total.width());
            total.clear();
            for k in 0..total.rows() {
                for part in sums {
                    add_scaled(
                        cpu.isa,
                        1.0,
                        &part.d_projection.row(k)[..width],
                        &mut total.row_mut(k)[..width],
                    );
                }
            }
        }
    }
}
