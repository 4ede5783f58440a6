//! Changes of a whole layer that leave the network consistent: most of these files parse and run.

use fourbit::artefact::header::kind;
use fourbit::artefact::{OP_BYTES, PLACEMENT_BYTES, PLAN_HEAD_BYTES, TENSOR_BYTES};
use fourbit::kernels::{Family, Window};
use fourbit_tests::Rng;

use crate::reseal::{Parts, put};
use crate::spread::{bytes, spread};

/// Layers of the largest network.
const MAX_OPS: usize = 12;
/// Bytes of the largest tensor and filter.
const MAX_BYTES: u32 = 2000;
/// Codes of the operations.
const CONV2D: u16 = 1;
const DEPTHWISE_CONV2D: u16 = 2;
const MATMUL: u16 = 3;
const ADD: u16 = 4;
const AVG_POOL2D: u16 = 5;
const MAX_POOL2D: u16 = 6;

/// Tensor and op records, taken out of the file and put back.
struct Records {
    tensors: Vec<u8>,
    ops: Vec<u8>,
}

/// Adds a layer, or gives one another type, window or filter; then every tensor its own place.
pub(crate) fn change(parts: &mut Parts, rng: &mut Rng) {
    let (Some(tensors), Some(ops)) = (parts.find(kind::TENSORS), parts.find(kind::OPS)) else { return };
    let content = |index: usize| parts.sections[index].content.clone();
    let mut records = Records { tensors: content(tensors), ops: content(ops) };
    let op_count = records.ops.len() / OP_BYTES;
    if records.tensors.len() < 2 * TENSOR_BYTES || op_count == 0 {
        return;
    }
    let op = rng.size(0, op_count - 1);
    match rng.size(0, 4) {
        0 if op_count < MAX_OPS => records.append(op, parts, rng),
        1 => records.retype(op, rng),
        2 => records.slide(op, rng),
        3 => records.refilter(op, parts, rng),
        _ => {}
    }
    let op = rng.size(0, op_count - 1);
    let (input, output) = (records.field(op, rng.pick([4, 6])), records.field(op, 10));
    parts.sections[tensors].content = records.tensors;
    parts.sections[ops].content = records.ops;
    for family in Family::ALL {
        if !rng.one_in(8) {
            spread(parts, family);
        }
        if rng.one_in(4) {
            place_over(parts, family, op as u16, input, output);
        }
    }
}

/// The output of an op in the place of an input, which ends there: right for some adds only.
fn place_over(parts: &mut Parts, family: Family, op: u16, input: u16, output: u16) {
    let key = (kind::PLAN, family as u16);
    let Some(part) = parts.sections.iter_mut().find(|part| (part.kind, part.tag) == key) else { return };
    let at = |tensor: u16| PLAN_HEAD_BYTES + PLACEMENT_BYTES * usize::from(tensor);
    let (from, to) = (at(input), at(output));
    if from.max(to) + PLACEMENT_BYTES > part.content.len() {
        return;
    }
    part.content.copy_within(from..from + 4, to);
    put(&mut part.content, from + 6, &op.to_le_bytes());
}

impl Records {
    fn field(&self, op: usize, at: usize) -> u16 {
        let at = OP_BYTES * op + at;
        u16::from_le_bytes([self.ops[at], self.ops[at + 1]])
    }

    fn set(&mut self, op: usize, at: usize, value: u16) {
        put(&mut self.ops, OP_BYTES * op + at, &value.to_le_bytes());
    }

    /// A tensor's record; the image's for an index outside.
    fn tensor(&mut self, index: u16) -> &mut [u8] {
        let at = TENSOR_BYTES * usize::from(index);
        let at = if at + TENSOR_BYTES <= self.tensors.len() { at } else { 0 };
        &mut self.tensors[at..at + TENSOR_BYTES]
    }

    /// Height, width and channels of a tensor.
    fn shape(&mut self, index: u16) -> [usize; 3] {
        let record = self.tensor(index);
        [4, 6, 8].map(|at| usize::from(u16::from_le_bytes([record[at], record[at + 1]])))
    }

    /// A copy of a layer behind the last, from its own input or from any tensor; its output is the
    /// network's in one of four.
    fn append(&mut self, op: usize, parts: &mut Parts, rng: &mut Rng) {
        let tensors = (self.tensors.len() / TENSOR_BYTES) as u16;
        let output = self.field(op, 10);
        let record = self.tensor(output).to_vec();
        if bytes(&record) > MAX_BYTES {
            return;
        }
        self.tensors.extend(record);
        self.ops.extend_from_within(OP_BYTES * op..OP_BYTES * (op + 1));
        let new = self.ops.len() / OP_BYTES - 1;
        self.set(new, 10, tensors);
        for at in [4, 6] {
            if rng.one_in(3) {
                self.set(new, at, rng.size(0, usize::from(tensors) - 1) as u16);
            }
        }
        self.fit(new);
        if rng.one_in(2) {
            self.refilter(new, parts, rng);
        }
        if rng.one_in(4) {
            put(&mut parts.header, 50, &tensors.to_le_bytes());
        }
    }

    /// The output's shape as input and operation give it.
    fn fit(&mut self, op: usize) {
        let (code, input, output) = (self.field(op, 0), self.field(op, 4), self.field(op, 10));
        let ([height, width, channels], [_, _, outputs]) = (self.shape(input), self.shape(output));
        let field = |i: usize| usize::from(self.field(op, 12 + 2 * i));
        let window = Window {
            kernel: [field(0), field(1)],
            stride: [field(2), field(3)],
            padding: [field(4), field(5), field(6), field(7)],
        };
        let shape = match code {
            CONV2D | DEPTHWISE_CONV2D | AVG_POOL2D | MAX_POOL2D => {
                let extents = (window.output(0, height), window.output(1, width));
                let (Some(height), Some(width)) = extents else { return };
                [height, width, if code == CONV2D { outputs } else { channels }]
            }
            ADD => [height, width, channels],
            _ => return,
        };
        let record = self.tensor(output);
        for (index, extent) in shape.into_iter().enumerate() {
            put(record, 4 + 2 * index, &(extent as u16).to_le_bytes());
        }
    }

    /// Another element type for a layer's output, with a clamp that every type admits.
    fn retype(&mut self, op: usize, rng: &mut Rng) {
        let output = self.field(op, 10);
        let (dtype, zero_point) = rng.pick([(0, -128i8), (0, 0), (0, 3), (1, 0), (2, 0)]);
        self.tensor(output)[..2].copy_from_slice(&[dtype, zero_point as u8]);
        put(&mut self.ops, OP_BYTES * op + 30, &[0, 7]);
    }

    /// Another window, and the output that it gives.
    fn slide(&mut self, op: usize, rng: &mut Rng) {
        if matches!(self.field(op, 0), MATMUL | ADD) {
            return;
        }
        let mut size = |low, high| [rng.size(low, high), rng.size(low, high)];
        let (kernel, stride, ends, starts) = (size(1, 4), size(1, 3), size(0, 3), size(0, 3));
        let padding = [starts[0], ends[0], starts[1], ends[1]];
        for (index, field) in kernel.into_iter().chain(stride).chain(padding).enumerate() {
            self.set(op, 12 + 2 * index, field as u16);
        }
        self.fit(op);
    }

    /// Another number of output channels (sometimes), width of the weights and layout, with random
    /// weights behind the others and constants that admit them.
    fn refilter(&mut self, op: usize, parts: &mut Parts, rng: &mut Rng) {
        let (Some(weights), Some(channels)) = (parts.find(kind::WEIGHTS), parts.find(kind::CHANNELS)) else {
            return;
        };
        let code = self.field(op, 0);
        if !matches!(code, CONV2D | DEPTHWISE_CONV2D | MATMUL) {
            return;
        }
        let (input, output) = (self.field(op, 4), self.field(op, 10));
        let [height, width, inputs] = self.shape(input);
        if output != parts.header_u16(50) && rng.one_in(2) {
            let outputs = rng.size(1, 19) as u16;
            put(self.tensor(output), 8, &outputs.to_le_bytes());
        }
        let [_, _, outputs] = self.shape(output);
        let taps = match code {
            MATMUL => height * width,
            _ => usize::from(self.field(op, 12)) * usize::from(self.field(op, 14)),
        };
        let bytes = outputs.saturating_mul(taps).saturating_mul(inputs);
        if bytes > MAX_BYTES as usize || outputs == 0 {
            return;
        }
        let Ok([filters, constants]) = parts.sections.get_disjoint_mut([weights, channels]) else { return };
        let (filters, constants) = (&mut filters.content, &mut constants.content);
        filters.resize(filters.len().next_multiple_of(4), 0);
        constants.resize(constants.len().next_multiple_of(4), 0);
        let places = [filters.len() as u32, constants.len() as u32].map(u32::to_le_bytes).concat();
        filters.extend((0..bytes).map(|_| rng.bits() as u8));
        let words = |rng: &mut Rng, low: i32, high: i32| {
            (0..outputs).flat_map(|_| rng.range(low, high).to_le_bytes()).collect::<Vec<_>>()
        };
        constants.extend(words(rng, -1000, 1000));
        constants.extend(words(rng, 1 << 30, i32::MAX));
        constants.extend((0..outputs).map(|_| rng.size(33, 44) as u8));
        let storage = [rng.pick([4, 8]), rng.pick([0, 1])];
        put(&mut self.ops, OP_BYTES * op + 28, &storage);
        put(&mut self.ops, OP_BYTES * op + 32, &places);
    }
}
