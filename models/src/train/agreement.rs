//! Measures how well a fake-quantized network and its artefact agree.
//!
//! [`measure`] takes a graph whose ranges and bits are set and labelled images. It quantizes and
//! compiles the graph and runs both sides: layer by layer, each node of the network being fed the
//! integers that the runtime fed to the operation, and end to end. What is compared is integers.

use burn::tensor::{Device, Tensor, TensorData};
use fourbit::{Artefact, ParseError};
use rayon::prelude::*;

use crate::agreement::{Agreement, LayerAgreement};
use crate::compile::{CompileError, compile};
use crate::dataset::Images;
use crate::file::AlignedBytes;
use crate::fold::folded_graph;
use crate::graph::{Graph, Node, TensorId};
use crate::qat::fake_quant::integer;
use crate::qat::tape::floats;
use crate::qat::{Network, NetworkError};
use crate::quantize::{QuantizeError, quantize};
use crate::simulate::{self, SimulateError, Simulator, best};
use crate::train::step;

/// Images on which layers are compared: with ten logits each, one that differs is within the limit.
const LAYER_IMAGES: usize = 1024;
/// Images that a thread holds the activations of.
const BATCH: usize = 32;

/// Why the two were not compared.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// The graph has no fake-quantized network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The graph has no integer graph.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The integer graph has no artefact.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The runtime refuses the artefact.
    #[error("the network's artefact cannot be used: {0}")]
    Parse(ParseError),
    /// The runtime refuses the images.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// Compares the network of `graph` with its artefact: layers on some images, top-1 on all.
pub fn measure(
    graph: &Graph,
    images: &Images,
    device: &Device,
    threads: usize,
) -> Result<Agreement, AgreementError> {
    compare(graph, &artefact(graph)?, images, device, threads)
}

/// The artefact's bytes.
fn artefact(graph: &Graph) -> Result<AlignedBytes, AgreementError> {
    let graph = quantize(graph)?;
    Ok(AlignedBytes::copy(&compile(&graph, &graph.labels, "")?))
}

/// Compares the network of `graph` with an artefact of the same operations.
fn compare(
    graph: &Graph,
    artefact: &AlignedBytes,
    images: &Images,
    device: &Device,
    threads: usize,
) -> Result<Agreement, AgreementError> {
    let artefact = Artefact::parse(artefact.bytes()).map_err(AgreementError::Parse)?;
    let simulator = Simulator::new(artefact, simulate::Backend::Host);
    let (network, values) = Network::new(folded_graph(graph))?;
    let sides = Sides { graph: network.graph(&values), network, values, simulator, device };
    let layers = sides.layers(images)?;

    let logits = step::logits(&sides.network, &sides.values, device, images, threads);
    let scale = sides.scale(sides.graph.output);
    let training: Vec<i8> = logits.iter().map(|&logit| integer(logit, scale) as i8).collect();
    let runtime = sides.simulator.evaluate(&simulate::values(&images.pixels), &images.labels)?;
    let classes = (training.len() / images.len().max(1)).max(1);
    let (mut same, mut correct) = (0, 0);
    for ((ours, theirs), label) in
        training.chunks_exact(classes).zip(runtime.logits.chunks_exact(classes)).zip(&images.labels)
    {
        same += usize::from(best(ours) == best(theirs));
        correct += usize::from(best(ours) == usize::from(*label));
    }
    Ok(Agreement {
        layers,
        images: images.len(),
        same_top1: same,
        training_accuracy: correct as f64 / images.len().max(1) as f64,
        runtime_accuracy: runtime.accuracy(),
    })
}

/// A network in training and in the runtime.
struct Sides<'a> {
    /// With the ranges that training rounds to.
    graph: Graph,
    network: Network,
    values: Vec<Vec<f32>>,
    simulator: Simulator<'a>,
    device: &'a Device,
}

impl Sides<'_> {
    /// Value of one step of a tensor.
    fn scale(&self, id: TensorId) -> f32 {
        self.graph.tensors[id].range.expect("a compiled network has every range").scale()
    }

    /// What the artefact's operations write, in its order, which the compiler chooses.
    fn executed(&self) -> Vec<TensorId> {
        let artefact = self.simulator.artefact();
        let names = (0..artefact.op_count()).map(|op| artefact.name(op));
        let node = |name: &str| self.graph.nodes.iter().find(|node| node.name == name);
        names.filter_map(|name| Some(node(name)?.output)).collect()
    }

    /// Every layer on the first images.
    fn layers(&self, images: &Images) -> Result<Vec<LayerAgreement>, SimulateError> {
        let images = images.spread(LAYER_IMAGES);
        let indices: Vec<usize> = (0..images.len()).collect();
        let batches = indices.par_chunks(BATCH).map(|indices| self.batch(&images, indices));
        let empty = |node: &Node| LayerAgreement { name: node.name.clone(), ..Default::default() };
        let mut total: Vec<_> = self.graph.nodes.iter().map(empty).collect();
        for batch in batches.collect::<Result<Vec<_>, _>>()? {
            for (total, layer) in total.iter_mut().zip(batch) {
                total.values += layer.values;
                total.differing += layer.differing;
                total.largest_step = total.largest_step.max(layer.largest_step);
            }
        }
        Ok(total)
    }

    /// Every layer on some images.
    fn batch(&self, images: &Images, indices: &[usize]) -> Result<Vec<LayerAgreement>, SimulateError> {
        let executed = self.executed();
        // Per tensor, what the runtime has, in steps from the real zero.
        let mut steps: Vec<Vec<i32>> = vec![Vec::new(); self.graph.tensors.len()];
        for &index in indices {
            let pixels = images.image(index);
            steps[self.graph.input].extend(pixels.iter().map(|&pixel| i32::from(pixel)));
            let outputs = self.simulator.activations(&simulate::values(pixels))?;
            for (id, output) in executed.iter().zip(outputs) {
                steps[*id].extend(output);
            }
        }
        let real = |&id: &TensorId| {
            let [height, width, channels] = self.graph.tensors[id].shape;
            let values: Vec<f32> = steps[id].iter().map(|&step| step as f32 * self.scale(id)).collect();
            let data = TensorData::new(values, [indices.len(), height, width, channels]);
            Tensor::<4>::from_data(data, self.device)
        };
        let leaves = self.network.leaves(&self.values, self.device);
        let layer = |(index, node): (usize, &Node)| {
            let inputs = node.inputs.iter().map(real).collect();
            let output = floats(self.network.node(index, &leaves, inputs, &mut Vec::new()));
            let (scale, runtime) = (self.scale(node.output), &steps[node.output]);
            let differences =
                output.iter().zip(runtime).map(|(&x, &step)| (integer(x, scale) as i32).abs_diff(step));
            LayerAgreement {
                name: node.name.clone(),
                values: runtime.len(),
                differing: differences.clone().filter(|&difference| difference > 0).count(),
                largest_step: differences.max().unwrap_or(0),
            }
        };
        Ok(self.graph.nodes.iter().enumerate().map(layer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{MAX_DIFFERING, MAX_STEP};
    use crate::graph::Op;
    use crate::scheme::Setting;
    use crate::zoo;

    fn images(count: usize) -> Images {
        let image = |seed| zoo::image([32, 32, 3], seed as u64).into_iter().map(|value| value as u8 ^ 0x80);
        let labels = (0..count).map(|i| (i % 10) as u8).collect();
        Images { pixels: (0..count).flat_map(image).collect(), labels }
    }

    #[test]
    fn random_networks_agree_in_every_setting() {
        let images = images(24);
        for setting in Setting::ALL {
            let graph = zoo::resnet8(7, setting).expect("calibrates");
            let found = measure(&graph, &images, &Device::flex(), 1).expect("measures");
            assert_eq!(found.layers.len(), graph.nodes.len());
            assert!(found.layers.iter().all(|layer| layer.values >= 24 * 10));
            assert_eq!(found.complaints(), Vec::<String>::new(), "{setting}: {found:?}");
            assert_eq!(found.images, 24);
        }
    }

    #[test]
    fn a_planted_difference_is_found_where_it_is() {
        let images = images(4);
        let graph = zoo::resnet8(7, Setting::W4a8).expect("calibrates");
        for steps in [0.5, 5.0] {
            let mut planted = folded_graph(&graph);
            let node = planted.nodes.iter_mut().find(|node| node.name == "stack2.conv1").expect("a node");
            let step = planted.tensors[node.output].range.expect("a range").scale();
            let Op::Conv2d(conv) = &mut node.op else { panic!("a convolution") };
            conv.bias[3] += steps * step;
            let artefact = artefact(&planted).expect("compiles");
            let found = compare(&graph, &artefact, &images, &Device::flex(), 1).expect("measures");
            for layer in &found.layers {
                let here = layer.name == "stack2.conv1";
                assert_eq!(layer.part() > MAX_DIFFERING, here, "{layer:?}");
                assert_eq!(layer.largest_step > MAX_STEP, here && steps > 1.0, "{layer:?}");
            }
            assert!(found.complaints().iter().any(|complaint| complaint.starts_with("stack2.conv1: ")));
        }
    }

    #[test]
    fn a_float_graph_is_refused() {
        let mut graph = zoo::resnet8(7, Setting::W8a8).expect("calibrates");
        graph.tensors[1].range = None;
        let error = measure(&graph, &images(1), &Device::flex(), 1).expect_err("refused");
        assert!(matches!(error, AgreementError::Quantize(_)), "{error}");
    }
}
