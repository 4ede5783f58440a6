//! One operation with its arguments, ready to run on any kernels.

use core::fmt;
use core::ops::Range;

use fourbit::kernels::{Add, Addend, Conv2d, ConvAdd, Kernels, MatMul, Pool, Ring, TensorMut};
use fourbit::shape::{DType, Shape};

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`Kernels::conv2d`].
    Conv2d = 1,
    /// [`Kernels::depthwise_conv2d`].
    DepthwiseConv2d = 2,
    /// [`Kernels::matmul`].
    MatMul = 3,
    /// [`Kernels::add`].
    Add = 4,
    /// [`Kernels::avg_pool2d`].
    AvgPool2d = 5,
    /// [`Kernels::max_pool2d`].
    MaxPool2d = 6,
    /// [`Kernels::conv2d_add`].
    Conv2dAdd = 8,
}

/// An operation's arguments.
#[derive(Clone, Copy, Debug)]
pub enum Args<'a> {
    /// For [`Kernels::conv2d`].
    Conv2d(Conv2d<'a>),
    /// For [`Kernels::depthwise_conv2d`].
    DepthwiseConv2d(Conv2d<'a>),
    /// For [`Kernels::matmul`].
    MatMul(MatMul<'a>),
    /// For [`Kernels::add`]; both addends have data.
    Add(Add<'a>),
    /// For [`Kernels::avg_pool2d`].
    AvgPool2d(Pool<'a>),
    /// For [`Kernels::max_pool2d`].
    MaxPool2d(Pool<'a>),
    /// For [`Kernels::conv2d_add`], and the type between the two; the other addend has data.
    Conv2dAdd(Conv2d<'a>, ConvAdd<'a>, DType),
}

/// Arguments and the description of the output.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What is computed.
    pub args: Args<'a>,
    /// Height, width and channels of the output.
    pub shape: Shape,
    /// Storage of an output element.
    pub dtype: DType,
    /// The output's zero point.
    pub zero_point: i32,
}

impl Kind {
    /// Every operation, in the order of its code.
    pub const ALL: [Kind; 7] = [
        Self::Conv2d,
        Self::DepthwiseConv2d,
        Self::MatMul,
        Self::Add,
        Self::AvgPool2d,
        Self::MaxPool2d,
        Self::Conv2dAdd,
    ];

    /// Those that TOSA has, and so the oracle has vectors of.
    pub const IN_TOSA: [Kind; 6] =
        [Self::Conv2d, Self::DepthwiseConv2d, Self::MatMul, Self::Add, Self::AvgPool2d, Self::MaxPool2d];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Conv2d => "conv2d",
            Kind::DepthwiseConv2d => "depthwise_conv2d",
            Kind::MatMul => "matmul",
            Kind::Add => "add",
            Kind::AvgPool2d => "avg_pool2d",
            Kind::MaxPool2d => "max_pool2d",
            Kind::Conv2dAdd => "conv2d_add",
        })
    }
}

impl<'a> Case<'a> {
    /// The operation.
    pub fn kind(&self) -> Kind {
        match self.args {
            Args::Conv2d(_) => Kind::Conv2d,
            Args::DepthwiseConv2d(_) => Kind::DepthwiseConv2d,
            Args::MatMul(_) => Kind::MatMul,
            Args::Add(_) => Kind::Add,
            Args::AvgPool2d(_) => Kind::AvgPool2d,
            Args::MaxPool2d(_) => Kind::MaxPool2d,
            Args::Conv2dAdd(..) => Kind::Conv2dAdd,
        }
    }

    /// Bytes of the output.
    pub fn bytes(&self) -> usize {
        self.shape.bytes(self.dtype)
    }

    /// Runs the operation into `out`.
    pub fn run<K: Kernels>(&self, kernels: &mut K, scratch: &mut [u8], out: &mut [u8]) {
        let height = self.shape.height;
        self.run_rows(kernels, scratch, 0..height, out, Ring::whole(height));
    }

    /// Makes some rows of the output, in a ring; all rows of a product.
    pub fn run_rows<K: Kernels>(
        &self,
        kernels: &mut K,
        scratch: &mut [u8],
        rows: Range<usize>,
        out: &mut [u8],
        ring: Ring,
    ) {
        let (shape, dtype, zero_point) = (self.shape, self.dtype, self.zero_point);
        let out = &mut TensorMut { data: out, ring, shape, dtype, zero_point };
        match &self.args {
            Args::Conv2d(op) => kernels.conv2d(op, rows, scratch, out),
            Args::Conv2dAdd(op, add, _) => kernels.conv2d_add(op, add, rows, scratch, out),
            Args::DepthwiseConv2d(op) => kernels.depthwise_conv2d(op, rows, scratch, out),
            Args::MatMul(op) => kernels.matmul(op, scratch, out),
            Args::Add(op) => kernels.add(op, rows, out),
            Args::AvgPool2d(op) => kernels.avg_pool2d(op, rows, out),
            Args::MaxPool2d(op) => kernels.max_pool2d(op, rows, out),
        }
    }

    /// The same addition with one addend in the output's own bytes, for each addend of the
    /// output's width; gives the bytes that the output must hold before the run.
    pub fn in_place(&self) -> impl Iterator<Item = (Case<'a>, &'a [u8])> + use<'a> {
        let (case, bits) = (*self, self.dtype.bits());
        let here = move |addend: Addend<'a>| addend.data.filter(|_| addend.dtype.bits() == bits);
        let without = |addend: Addend<'a>| Addend { data: None, ..addend };
        let sides = match self.args {
            Args::Add(op) => [
                here(op.a).map(|data| (Args::Add(Add { a: without(op.a), ..op }), data)),
                here(op.b).map(|data| (Args::Add(Add { b: without(op.b), ..op }), data)),
            ],
            Args::Conv2dAdd(op, add, between) => {
                let replaced = ConvAdd { other: without(add.other), ..add };
                [here(add.other).map(|data| (Args::Conv2dAdd(op, replaced, between), data)), None]
            }
            _ => [None, None],
        };
        sides.into_iter().flatten().map(move |(args, data)| (Case { args, ..case }, data))
    }
}
