//! Changes of a whole layer that leave the network consistent: most of these files parse and run.

use fourbit::artefact::header::kind;
use fourbit::artefact::{OP_BYTES, PLACEMENT_BYTES, TENSOR_BYTES};
use fourbit::kernels::{Family, Window};
use fourbit_tests::Rng;

use crate::reseal::{Parts, put};
use crate::spread::{bytes, extents, spread};

/// Layers of the largest network.
const MAX_OPS: usize = 12;
/// Bytes of the largest tensor and filter.
const MAX_BYTES: u32 = 2000;
/// Codes of the operations.
const CONV2D: u8 = 1;
const DEPTHWISE_CONV2D: u8 = 2;
const MATMUL: u8 = 3;
const ADD: u8 = 4;
const AVG_POOL2D: u8 = 5;
const MAX_POOL2D: u8 = 6;

/// Where an op's record has the first and an add's second input, and the window.
const INPUTS: [usize; 2] = [1, 5];
const WINDOW: usize = 6;

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
    if records.tensors.len() != TENSOR_BYTES * (op_count + 1) || op_count == 0 {
        return;
    }
    let op = rng.size(0, op_count - 1);
    match rng.size(0, 4) {
        0 if op_count < MAX_OPS => records.insert(op, parts, rng),
        1 => records.retype(op, rng),
        2 => records.slide(op, rng),
        3 => records.refilter(op, parts, rng),
        _ => {}
    }
    let op = rng.size(0, op_count - 1);
    let input = records.tensor_at(op, rng.pick(INPUTS));
    parts.sections[tensors].content = records.tensors;
    parts.sections[ops].content = records.ops;
    for family in Family::ALL {
        if !rng.one_in(8) {
            spread(parts, family);
        }
        if rng.one_in(4) {
            place_over(parts, family, input.into(), op + 1);
        }
    }
}

/// The output of an op in the place of an input: right for some adds only.
fn place_over(parts: &mut Parts, family: Family, input: usize, output: usize) {
    let key = (kind::PLAN, family as u16);
    let Some(part) = parts.sections.iter_mut().find(|part| (part.kind, part.tag) == key) else { return };
    let (from, to) = (PLACEMENT_BYTES * input, PLACEMENT_BYTES * output);
    if from.max(to) + PLACEMENT_BYTES <= part.content.len() {
        // The offset, not the lines.
        part.content.copy_within(from + 1..from + PLACEMENT_BYTES, to + 1);
    }
}

impl Records {
    fn byte(&self, op: usize, at: usize) -> u8 {
        self.ops[OP_BYTES * op + at]
    }

    fn set(&mut self, op: usize, at: usize, field: &[u8]) {
        put(&mut self.ops, OP_BYTES * op + at, field);
    }

    /// A tensor that an op's record names.
    fn tensor_at(&self, op: usize, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(op, at), self.byte(op, at + 1)])
    }

    /// A tensor's record; the image's for an index outside.
    fn tensor(&mut self, index: usize) -> &mut [u8] {
        let at = TENSOR_BYTES * index;
        let at = if at + TENSOR_BYTES <= self.tensors.len() { at } else { 0 };
        &mut self.tensors[at..at + TENSOR_BYTES]
    }

    /// Height, width and channels of an op's first input and of its output.
    fn shapes(&mut self, op: usize) -> [[usize; 3]; 2] {
        let input = self.tensor_at(op, INPUTS[0]).into();
        [input, op + 1].map(|tensor| extents(self.tensor(tensor)))
    }

    fn set_shape(&mut self, tensor: usize, [height, width, channels]: [usize; 3]) {
        let record = self.tensor(tensor);
        let dtype = u32::from(record[0] & 0xF);
        put(record, 0, &((channels as u32) << 4 | dtype).to_le_bytes());
        put(record, 7, &(height as u16).to_le_bytes());
        put(record, 9, &(width as u16).to_le_bytes());
    }

    /// A copy of a layer before the last, from its own input or from any tensor; the last reads it in one of
    /// four.
    fn insert(&mut self, op: usize, parts: &mut Parts, rng: &mut Rng) {
        let new = self.ops.len() / OP_BYTES - 1;
        let (record, output) =
            (self.ops[OP_BYTES * op..OP_BYTES * (op + 1)].to_vec(), self.tensor(op + 1).to_vec());
        if bytes(&output) > MAX_BYTES {
            return;
        }
        self.ops.splice(OP_BYTES * new..OP_BYTES * new, record);
        let at = TENSOR_BYTES * (new + 1);
        self.tensors.splice(at..at, output);
        let inputs = if self.byte(new, 0) == ADD { &INPUTS[..] } else { &INPUTS[..1] };
        for &at in inputs {
            if rng.one_in(3) {
                self.set(new, at, &(rng.size(0, new) as u16).to_le_bytes());
            }
        }
        self.fit(new);
        if rng.one_in(2) {
            self.refilter(new, parts, rng);
        }
        if rng.one_in(4) {
            self.set(new + 1, INPUTS[0], &(new as u16 + 1).to_le_bytes());
        }
    }

    /// The output's shape as input and operation give it.
    fn fit(&mut self, op: usize) {
        let (code, [[height, width, channels], [_, _, outputs]]) = (self.byte(op, 0), self.shapes(op));
        let field = |i: usize| usize::from(self.byte(op, WINDOW + i));
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
        self.set_shape(op + 1, shape);
    }

    /// Another element type for a layer's output, with a clamp that every type admits.
    fn retype(&mut self, op: usize, rng: &mut Rng) {
        let (dtype, zero_point) = rng.pick([(0, -128i8), (0, 0), (0, 3), (1, 0), (2, 0)]);
        let record = self.tensor(op + 1);
        record[0] = record[0] & 0xF0 | dtype;
        record[4] = zero_point as u8;
        self.set(op, 3, &[0, 7]);
    }

    /// Another window, and the output that it gives.
    fn slide(&mut self, op: usize, rng: &mut Rng) {
        if matches!(self.byte(op, 0), MATMUL | ADD) {
            return;
        }
        let mut size = |low, high| [rng.size(low, high), rng.size(low, high)];
        let (kernel, stride, ends, starts) = (size(1, 4), size(1, 3), size(0, 3), size(0, 3));
        let padding = [starts[0], ends[0], starts[1], ends[1]];
        for (index, field) in kernel.into_iter().chain(stride).chain(padding).enumerate() {
            self.set(op, WINDOW + index, &[field as u8]);
        }
        self.fit(op);
    }

    /// Another number of output channels (sometimes), width of the weights and layout, with random
    /// weights behind the others and constants that admit them.
    fn refilter(&mut self, op: usize, parts: &mut Parts, rng: &mut Rng) {
        let (Some(weights), Some(channels)) = (parts.find(kind::WEIGHTS), parts.find(kind::CHANNELS)) else {
            return;
        };
        let code = self.byte(op, 0);
        if !matches!(code, CONV2D | DEPTHWISE_CONV2D | MATMUL) {
            return;
        }
        let [[height, width, inputs], [rows, columns, mut outputs]] = self.shapes(op);
        let last = op + 1 == self.ops.len() / OP_BYTES;
        if !last && rng.one_in(2) {
            outputs = rng.size(1, 19);
            self.set_shape(op + 1, [rows, columns, outputs]);
        }
        let taps = match code {
            MATMUL => height * width,
            _ => usize::from(self.byte(op, WINDOW)) * usize::from(self.byte(op, WINDOW + 1)),
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
        self.set(op, 5, &[rng.pick([4, 8]) | rng.pick([0, 1]) << 4]);
        self.set(op, 14, &places);
    }
}
