//! Second moments of what a linear node reads and of what it should give.
//!
//! Takes the node's input for every image and the targets of its sums, gives covariances and means over
//! all output positions. Sums run in a fixed order, so they do not depend on the number of cores.

use rayon::prelude::*;

use crate::float_forward::gather;
use crate::graph::{Conv, Graph, Node, Op};

/// Most patches that are looked at; where there are more, evenly spread ones are.
const MOST_PATCHES: usize = 1 << 16;
/// Patches that are gathered before they are multiplied.
const BLOCK: usize = 512;

/// Moments of the patches `x` and the targets `y` of a group of outputs that read the same inputs.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// Values of a patch.
    pub(super) columns: usize,
    /// Covariance of the patches, `[column][column]`.
    pub(super) inputs: Vec<f64>,
    /// Covariance of targets and patches, `[output][column]`.
    pub(super) cross: Vec<f64>,
    /// Mean of the patches.
    pub(super) input_mean: Vec<f64>,
    /// Mean of the targets.
    pub(super) target_mean: Vec<f64>,
}

/// Where a node's patches are, and what they hold.
struct Patches<'a> {
    conv: &'a Conv,
    input: [usize; 3],
    output: [usize; 3],
    /// A group for each channel.
    depthwise: bool,
    columns: usize,
}

/// The moments of a linear node: one group of all outputs, or one for each depthwise channel.
///
/// `inputs` and `targets` hold an image's values each, NHWC; a patch is in the order of the weights.
pub(super) fn moments(
    graph: &Graph,
    node: &Node,
    conv: &Conv,
    inputs: &[&[f32]],
    targets: &[Vec<f32>],
) -> Vec<Moments> {
    let patches = Patches::new(graph, node, conv);
    let outputs = patches.output[2];
    let (groups, outputs) = if patches.depthwise { (outputs, 1) } else { (1, outputs) };
    let positions = patches.output[0] * patches.output[1];
    let stride = (positions * inputs.len()).div_ceil(MOST_PATCHES).max(1);
    let chosen: Vec<(usize, usize)> = (0..inputs.len())
        // Every image starts at another position.
        .flat_map(|image| (image % stride..positions).step_by(stride).map(move |at| (image, at)))
        .collect();
    let mut moments = vec![Moments::zeros(patches.columns, outputs); groups];
    for block in chosen.chunks(BLOCK) {
        let rows = block.par_iter().map(|&(image, at)| patches.gather(inputs[image], at));
        let rows: Vec<Vec<f32>> = rows.collect();
        let wanted: Vec<&[f32]> =
            block.iter().map(|&(image, at)| &targets[image][at * patches.output[2]..]).collect();
        moments.par_iter_mut().enumerate().for_each(|(group, moments)| {
            let from = group * patches.columns;
            let rows: Vec<&[f32]> = rows.iter().map(|row| &row[from..from + patches.columns]).collect();
            let wanted: Vec<&[f32]> = wanted.iter().map(|values| &values[group..group + outputs]).collect();
            moments.add(&rows, &wanted);
        });
    }
    moments.iter_mut().for_each(|moments| moments.centre(chosen.len()));
    moments
}

impl<'a> Patches<'a> {
    fn new(graph: &Graph, node: &Node, conv: &'a Conv) -> Self {
        let input = graph.tensors[node.inputs[0]].shape;
        let output = graph.tensors[node.output].shape;
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        let input = if matches!(node.op, Op::Dense(_)) { [1, 1, input.iter().product()] } else { input };
        let taps: usize = conv.window.kernel.iter().product();
        let columns = if depthwise { taps } else { taps * input[2] };
        Self { conv, input, output, depthwise, columns }
    }

    /// The patch at a position; of a depthwise node one channel's after the other's.
    fn gather(&self, input: &[f32], at: usize) -> Vec<f32> {
        let taps: usize = self.conv.window.kernel.iter().product();
        let channels = self.input[2];
        let mut patch = vec![0.0; taps * channels];
        let position = [at / self.output[1], at % self.output[1]];
        gather(&self.conv.window, input, self.input, position, &mut patch);
        if !self.depthwise {
            return patch;
        }
        (0..taps * channels).map(|i| patch[i % taps * channels + i / taps]).collect()
    }
}

impl Moments {
    fn zeros(columns: usize, outputs: usize) -> Self {
        Self {
            columns,
            inputs: vec![0.0; columns * columns],
            cross: vec![0.0; outputs * columns],
            input_mean: vec![0.0; columns],
            target_mean: vec![0.0; outputs],
        }
    }

    /// Adds raw sums; of the inputs' moments the upper triangle.
    fn add(&mut self, rows: &[&[f32]], wanted: &[&[f32]]) {
        let columns = self.columns;
        self.inputs.par_chunks_exact_mut(columns).with_min_len(16).enumerate().for_each(|(i, to)| {
            add_products(&mut to[i..], rows.iter().map(|row| (row[i], &row[i..])));
        });
        self.cross.par_chunks_exact_mut(columns).with_min_len(16).enumerate().for_each(|(o, to)| {
            add_products(to, rows.iter().zip(wanted).map(|(row, wanted)| (wanted[o], *row)));
        });
        add_products(&mut self.input_mean, rows.iter().map(|row| (1.0, *row)));
        add_products(&mut self.target_mean, wanted.iter().map(|wanted| (1.0, *wanted)));
    }

    /// Sums over so many patches to means and covariances.
    fn centre(&mut self, count: usize) {
        let Self { columns, inputs, cross, input_mean, target_mean } = self;
        let columns = *columns;
        let part = 1.0 / count.max(1) as f64;
        for values in [&mut *inputs, cross, input_mean, target_mean] {
            values.iter_mut().for_each(|value| *value *= part);
        }
        for i in 0..columns {
            for j in i..columns {
                inputs[i * columns + j] -= input_mean[i] * input_mean[j];
                inputs[j * columns + i] = inputs[i * columns + j];
            }
        }
        for (row, target) in cross.chunks_exact_mut(columns).zip(&*target_mean) {
            row.iter_mut().zip(&*input_mean).for_each(|(value, mean)| *value -= mean * target);
        }
    }
}

/// Adds `sum(factor * row)`: a block in `f32`, the blocks in `f64`.
fn add_products<'a>(to: &mut [f64], rows: impl Iterator<Item = (f32, &'a [f32])>) {
    let mut sums = vec![0.0f32; to.len()];
    for (factor, row) in rows.filter(|(factor, _)| *factor != 0.0) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += factor * x);
    }
    to.iter_mut().zip(&sums).for_each(|(to, &sum)| *to += f64::from(sum));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Tensor, Window};

    fn graph(op: Op, input: [usize; 3], output: [usize; 3]) -> Graph {
        let tensor = |shape| Tensor { name: String::new(), shape, range: None };
        Graph {
            name: "one".into(),
            tensors: vec![tensor(input), tensor(output)],
            nodes: vec![Node { name: "op".into(), op, inputs: vec![0], output: 1 }],
            input: 0,
            output: 1,
            labels: vec![],
        }
    }

    fn conv(kernel: [usize; 2]) -> Conv {
        let window = Window { kernel, ..Window::default() };
        Conv { window, weights: vec![], bias: vec![], norm: None, relu: false, weight_bits: None }
    }

    fn of(op: Op, inputs: &[&[f32]], targets: &[Vec<f32>], output: [usize; 3]) -> Vec<Moments> {
        let graph = graph(op, [1, 2, 2], output);
        let node = &graph.nodes[0];
        let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &node.op else { panic!() };
        moments(&graph, node, conv, inputs, targets)
    }

    #[test]
    fn two_patches_by_hand() {
        let found = of(Op::Conv2d(conv([1, 1])), &[&[1.0, 2.0, 3.0, 8.0]], &[vec![1.0, 5.0]], [1, 2, 1]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].input_mean, [2.0, 5.0]);
        assert_eq!(found[0].inputs, [1.0, 3.0, 3.0, 9.0]);
        assert_eq!(found[0].target_mean, [3.0]);
        assert_eq!(found[0].cross, [2.0, 6.0]);
    }

    #[test]
    fn a_dense_node_has_a_patch_an_image() {
        let images: [&[f32]; 2] = [&[0.0, 1.0, 2.0, 3.0], &[2.0, 1.0, 0.0, 3.0]];
        let found = of(Op::Dense(conv([1, 1])), &images, &[vec![1.0], vec![3.0]], [1, 1, 1]);
        assert_eq!(found[0].input_mean, [1.0, 1.0, 1.0, 3.0]);
        assert_eq!(found[0].inputs[..4], [1.0, 0.0, -1.0, 0.0]);
        assert_eq!(found[0].cross, [1.0, 0.0, -1.0, 0.0]);
    }

    #[test]
    fn depthwise_channels_are_groups() {
        let images: [&[f32]; 2] = [&[1.0, 10.0, 2.0, 20.0], &[3.0, 10.0, 2.0, 40.0]];
        let targets = [vec![1.0, 2.0], vec![1.0, 4.0]];
        let found = of(Op::DepthwiseConv2d(conv([1, 2])), &images, &targets, [1, 1, 2]);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (&found[0].input_mean[..], &found[1].input_mean[..]),
            (&[2.0, 2.0][..], &[10.0, 30.0][..])
        );
        assert_eq!(found[0].inputs, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(found[1].inputs, [0.0, 0.0, 0.0, 100.0]);
        assert_eq!((&found[0].cross[..], &found[1].cross[..]), (&[0.0, 0.0][..], &[0.0, 10.0][..]));
    }
}
