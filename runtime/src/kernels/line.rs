//! A matrix product as the convolution that it is: the reference and the fast kernels compute it so.

use crate::kernels::args::{Conv2d, MatMul, TensorMut, TensorRef, Window};
use crate::kernels::ring::Ring;
use crate::shape::Shape;

impl<'a> MatMul<'a> {
    /// The same as a 1x1 convolution of an image of one line, whose pixels are the rows.
    pub fn as_conv2d(&self) -> Conv2d<'a> {
        let Self { input, dtype, zero_point, rows, filter, epilogue, kernel } = *self;
        let (shape, ring) = (Shape::new(1, rows, filter.shape.inputs), Ring::whole(1));
        let input = TensorRef { data: input, ring, shape, dtype, zero_point };
        let window = Window::ONE;
        Conv2d { input, filter, epilogue, window, kernel }
    }

    /// The output as that convolution's.
    pub fn line<'o>(&self, out: &'o mut TensorMut<'_>) -> TensorMut<'o> {
        let (shape, ring) = (Shape::new(1, self.rows, self.filter.shape.outputs), Ring::whole(1));
        TensorMut { data: out.data, ring, shape, dtype: out.dtype, zero_point: out.zero_point }
    }
}
