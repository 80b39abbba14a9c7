//! The vector of a session: the top layer's output, to which the input can be added, and which can be scaled to a length.

use super::config::NetworkConfig;
use super::layers::Cpu;
use upnext_kernels::{Matrix, add_scaled, dot, padded};

/// Smallest length of a vector that is scaled; a shorter one, such as one of which dropout has left nothing, becomes 0 and has no
/// gradient.
const TINY: f32 = 1e-9;

/// The last stage before the scores, for networks that have `input_to_output` or `cosine_scale` (`docs/algorithms.md`,
/// section 1).
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) adds_input: bool,
    /// The length of the vectors; `None` for any.
    scale: Option<f32>,
    /// B × out: the vectors.
    pub(crate) state: Matrix,
    /// B × out: the gradient of the vectors.
    pub(crate) d_state: Matrix,
    /// B: the factor by which each vector was scaled.
    factors: Vec<f32>,
}

impl Head {
    /// Buffers for up to `rows` rows; `None` for a network whose top layer's output is scored as it is.
    pub(crate) fn new(config: &NetworkConfig, rows: usize) -> Option<Self> {
        let (adds_input, scale) = (config.input_to_output, config.cosine_scale);
        let matrix = || Matrix::zeros(rows, config.output_width());
        (adds_input || scale.is_some()).then(|| Self {
            adds_input,
            scale,
            state: matrix(),
            d_state: matrix(),
            factors: vec![1.0; rows],
        })
    }

    /// Computes the vectors of the first `rows` rows from the top layer's output and the input's vectors, B × out each.
    pub(crate) fn forward(&mut self, cpu: Cpu, top: &Matrix, input: &Matrix, rows: usize) {
        let width = padded(self.state.width());
        for b in 0..rows {
            let row = &mut self.state.row_mut(b)[..width];
            row.copy_from_slice(&top.row(b)[..width]);
            if self.adds_input {
                add_scaled(cpu.isa, 1.0, &input.row(b)[..width], row);
            }
            if let Some(scale) = self.scale {
                let length = dot(cpu.isa, row, row).sqrt();
                let factor = if length < TINY { 0.0 } else { scale / length };
                row.iter_mut().for_each(|x| *x *= factor);
                self.factors[b] = factor;
            }
        }
    }

    /// Sets the gradients of the top layer's output and, if it was added, of the input from that of the vectors.
    ///
    /// With `o` before scaling and `y = s o / |o|`, `do = s / |o| (dy − y (y · dy) / s²)`.
    pub(crate) fn backward(&mut self, cpu: Cpu, d_top: &mut Matrix, d_input: &mut Matrix, rows: usize) {
        let width = padded(self.state.width());
        for b in 0..rows {
            let d = &mut self.d_state.row_mut(b)[..width];
            if let Some(scale) = self.scale {
                let own = &self.state.row(b)[..width];
                let along = dot(cpu.isa, own, d) / (scale * scale);
                add_scaled(cpu.isa, -along, own, d);
                let factor = self.factors[b];
                d.iter_mut().for_each(|x| *x *= factor);
            }
            d_top.row_mut(b)[..width].copy_from_slice(d);
            if self.adds_input {
                d_input.row_mut(b)[..width].copy_from_slice(d);
            }
        }
    }
}
