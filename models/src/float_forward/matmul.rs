//! Patches times filters, in the shape that compilers vectorise: outputs side by side.

/// Patches multiplied together.
pub(super) const PATCHES: usize = 4;
/// Outputs side by side.
const LANES: usize = 8;

/// Filters as panels of outputs: `[panel][column][lane]`, the last panel filled up with zeros.
pub(super) struct Panels {
    values: Vec<f32>,
    outputs: usize,
    columns: usize,
}

impl Panels {
    /// Panels of weights `[outputs][columns]`.
    pub(super) fn new(weights: &[f32], outputs: usize, columns: usize) -> Self {
        let mut values = vec![0.0; outputs.div_ceil(LANES) * columns * LANES];
        for (output, row) in weights.chunks_exact(columns).enumerate() {
            let panel = &mut values[output / LANES * columns * LANES..][..columns * LANES];
            for (&weight, lanes) in row.iter().zip(panel.chunks_exact_mut(LANES)) {
                lanes[output % LANES] = weight;
            }
        }
        Self { values, outputs, columns }
    }

    /// `to[patch][output] = bias + patch * filter` for as many patches as `to` has room for.
    pub(super) fn multiply(&self, patches: &[f32], bias: &[f32], to: &mut [f32]) {
        let rows: [&[f32]; PATCHES] =
            std::array::from_fn(|i| &patches[i * self.columns..(i + 1) * self.columns]);
        for (index, panel) in self.values.chunks_exact(self.columns * LANES).enumerate() {
            let sums = tile(rows, panel);
            let first = index * LANES;
            let lanes = LANES.min(self.outputs - first);
            for (sums, to) in sums.iter().zip(to.chunks_exact_mut(self.outputs)) {
                let bias = &bias[first..first + lanes];
                for ((to, sum), bias) in to[first..first + lanes].iter_mut().zip(sums).zip(bias) {
                    *to = sum + bias;
                }
            }
        }
    }
}

fn tile([p, q, r, s]: [&[f32]; PATCHES], panel: &[f32]) -> [[f32; LANES]; PATCHES] {
    let mut sums = [[0.0; LANES]; PATCHES];
    let (lanes, _) = panel.as_chunks::<LANES>();
    for ((((weights, p), q), r), s) in lanes.iter().zip(p).zip(q).zip(r).zip(s) {
        for (sums, x) in sums.iter_mut().zip([p, q, r, s]) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += x * weight;
            }
        }
    }
    sums
}
