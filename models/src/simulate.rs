//! The simulator: the runtime on this machine, weights unpacked once, all cores over images.
//!
//! Takes a checked artefact and int8 images (`pixel - 128`, NHWC, one after the other), gives the
//! int8 logits that every board gives. The reference kernels can be asked for instead of the
//! fast ones, and a trace tells the first operation in which two runs differ.

use std::time::Instant;

use fourbit::kernels::{Family, Host, Kernels, Reference, TensorRef, Vectors};
use fourbit::{Artefact, Event, Observer, Session, SessionError, crc32};
use rayon::prelude::*;

use crate::file::AlignedBytes;

/// Which kernels compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The fast ones of this machine.
    Host,
    /// The specification: a hundred times slower.
    Reference,
}

/// Why images were not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulateError {
    /// The images are not whole images of the network's size.
    #[error(
        "{values} values are not whole images of {image} values: resize the images to the network's input"
    )]
    Images {
        /// Values given.
        values: usize,
        /// Values of an image.
        image: usize,
    },
    /// Another number of labels than images.
    #[error("{labels} labels for {images} images: give one label per image")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Images given.
        images: usize,
    },
    /// A label is not one of the network's classes.
    #[error(
        "label {label} in a data set for a network of {logits} classes: name the data set that it was trained on"
    )]
    Label {
        /// The label.
        label: u8,
        /// Classes of the network.
        logits: usize,
    },
    /// The session refuses the artefact or a buffer.
    #[error("the simulator cannot run the network: {0}")]
    Session(SessionError),
}

/// An artefact ready to run on this machine.
#[derive(Debug)]
pub struct Simulator<'a> {
    artefact: Artefact<'a>,
    /// For which the weights are unpacked.
    vectors: Vectors,
    weights: Vec<i16>,
    backend: Backend,
}

/// An operation's output, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The operation's name.
    pub name: String,
    /// The operation in the field's terms.
    pub kind: &'static str,
    /// CRC-32 of the output's bytes.
    pub crc: u32,
}

/// How a network did on labelled images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Images run.
    pub images: usize,
    /// Images whose largest logit is the label's.
    pub correct: usize,
    /// Counts by label, then by prediction.
    pub confusion: Vec<Vec<usize>>,
    /// One image after the other.
    pub logits: Vec<i8>,
}

impl<'a> Simulator<'a> {
    /// Unpacks the weights of an artefact.
    pub fn new(artefact: Artefact<'a>, backend: Backend) -> Self {
        let (vectors, mut weights) = (Host::vectors(&artefact), Vec::new());
        if backend == Backend::Host {
            weights.resize(Host::weights_len(&artefact), 0);
            Host::unpack(&artefact, vectors, &mut weights);
        }
        Self { artefact, vectors, weights, backend }
    }

    /// The artefact.
    pub fn artefact(&self) -> &Artefact<'a> {
        &self.artefact
    }

    /// The logits of one image after the other.
    pub fn logits(&self, images: &[i8]) -> Result<Vec<i8>, SimulateError> {
        let header = self.artefact.header();
        let (image, classes) = (header.input_shape.elements(), usize::from(header.logits));
        if !images.len().is_multiple_of(image) {
            return Err(SimulateError::Images { values: images.len(), image });
        }
        let count = images.len() / image;
        let mut logits = vec![0; count * classes];
        // Each thread takes a run of images and has buffers of its own.
        let share = count.div_ceil(4 * rayon::current_num_threads()).max(1);
        let parts = images.par_chunks(share * image).zip(logits.par_chunks_mut(share * classes));
        let run = |(images, logits): (&[i8], &mut [i8])| {
            let pairs = images.chunks_exact(image).zip(logits.chunks_exact_mut(classes));
            self.run_all(self.family(), pairs, &mut ())
        };
        parts.try_for_each(run).map_err(SimulateError::Session)?;
        Ok(logits)
    }

    /// Seconds that each of `runs` runs of one image takes on this thread, after one that warms it up.
    pub fn seconds(&self, image: &[i8], runs: usize) -> Result<Vec<f64>, SimulateError> {
        let classes = usize::from(self.artefact.header().logits);
        let (mut logits, mut starts) = (vec![0; (runs + 1) * classes], Vec::new());
        let pairs = std::iter::repeat(image).zip(logits.chunks_exact_mut(classes));
        let pairs = pairs.inspect(|_| starts.push(Instant::now()));
        self.run_all(self.family(), pairs, &mut ()).map_err(SimulateError::Session)?;
        starts.push(Instant::now());
        Ok(starts.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect())
    }

    /// The output of every operation for one image.
    pub fn trace(&self, image: &[i8]) -> Result<Vec<Trace>, SimulateError> {
        let mut tracer = Tracer(Vec::new());
        let mut logits = vec![0; usize::from(self.artefact.header().logits)];
        self.run_all(Family::Host, [(image, &mut logits[..])].into_iter(), &mut tracer)
            .map_err(SimulateError::Session)?;
        Ok(tracer.0)
    }

    /// The output of every operation for one image, NHWC, in steps from the real zero.
    pub fn activations(&self, image: &[i8]) -> Result<Vec<Vec<i32>>, SimulateError> {
        let mut steps = Steps(Vec::new());
        let mut logits = vec![0; usize::from(self.artefact.header().logits)];
        self.run_all(Family::Host, [(image, &mut logits[..])].into_iter(), &mut steps)
            .map_err(SimulateError::Session)?;
        Ok(steps.0)
    }

    /// Runs labelled images.
    pub fn evaluate(&self, images: &[i8], labels: &[u8]) -> Result<Evaluation, SimulateError> {
        let header = self.artefact.header();
        let (image, classes) = (header.input_shape.elements(), usize::from(header.logits));
        if images.len() != labels.len() * image {
            return Err(SimulateError::Labels { labels: labels.len(), images: images.len() / image });
        }
        if let Some(&label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(SimulateError::Label { label, logits: classes });
        }
        let logits = self.logits(images)?;
        let mut confusion = vec![vec![0; classes]; classes];
        for (scores, &label) in logits.chunks_exact(classes).zip(labels) {
            confusion[usize::from(label)][best(scores)] += 1;
        }
        let correct = (0..classes).map(|class| confusion[class][class]).sum();
        Ok(Evaluation { images: labels.len(), correct, confusion, logits })
    }

    /// The plan that the kernels are made for.
    fn family(&self) -> Family {
        match self.backend {
            Backend::Reference => Reference::FAMILY,
            Backend::Host => Host::FAMILY,
        }
    }

    /// Runs pairs of image and logits in one session under the plan of a family.
    fn run_all<'p>(
        &self,
        family: Family,
        pairs: impl Iterator<Item = (&'p [i8], &'p mut [i8])>,
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        match self.backend {
            Backend::Reference => self.session(family, Reference, pairs, observer),
            Backend::Host => {
                let mut patch = vec![0; Host::patch_len(&self.artefact)];
                let host = Host::new(self.vectors, &self.weights, &mut patch);
                self.session(family, host, pairs, observer)
            }
        }
    }

    fn session<'p, K: Kernels>(
        &self,
        family: Family,
        kernels: K,
        mut pairs: impl Iterator<Item = (&'p [i8], &'p mut [i8])>,
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        let mut arena = AlignedBytes::zeroed(self.artefact.header().arena_bytes(family));
        let mut session = Session::planned(&self.artefact, family, kernels, arena.bytes_mut())?;
        pairs.try_for_each(|(image, logits)| session.run_observed(image, logits, observer))
    }
}

impl Evaluation {
    /// Part of the images that were classified as their label; 0 without images.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Pixels as the network reads them: `pixel - 128`.
pub fn values(pixels: &[u8]) -> Vec<i8> {
    pixels.iter().map(|&pixel| (pixel ^ 0x80) as i8).collect()
}

/// The class with the largest logit, the first of equals.
pub fn best(logits: &[i8]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

/// Notes every output, under a plan that keeps tensors whole.
struct Tracer(Vec<Trace>);

impl Observer for Tracer {
    fn begin(&mut self, _event: &Event<'_>) {}

    fn end(&mut self, event: &Event<'_>) {
        let crc = crc32(event.output.data);
        self.0.push(Trace { name: event.name.to_owned(), kind: event.kind, crc });
    }
}

/// Keeps every output, under a plan that keeps tensors whole.
struct Steps(Vec<Vec<i32>>);

impl Observer for Steps {
    fn begin(&mut self, _event: &Event<'_>) {}

    fn end(&mut self, event: &Event<'_>) {
        let TensorRef { data, shape, dtype, zero_point, .. } = event.output;
        let rows = data.chunks_exact(dtype.row_bytes(shape.channels));
        let step = |row, channel| dtype.get(row, channel) - zero_point;
        self.0.push(rows.flat_map(|row| (0..shape.channels).map(move |i| step(row, i))).collect());
    }
}

#[cfg(test)]
mod tests;
