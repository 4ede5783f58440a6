//! Single-precision matrix product on slices, one thread.
//!
//! The one place in this crate that is not safe Rust: a call of the `gemm` crate behind a bounds
//! check of all three matrices.

/// A matrix inside a slice: element `(r, c)` is `data[r * row_stride + c * col_stride]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major `rows x cols`.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "matrix of {rows}x{cols} in {} elements", data.len());
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose, without moving data.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = a b`, or `out += a b` where `accumulate` holds; `out` is row-major.
pub(super) fn matmul(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], accumulate: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(k, b.rows, "inner dimensions");
    assert!(out.len() >= m * n, "product of {m}x{n} into {} elements", out.len());
    // SAFETY: `Matrix` is built only by `new` and `t`, which keep every index below `data.len()`;
    // `out` holds `m * n` elements (asserted) addressed with strides `n` and 1, is not aliased
    // (`&mut`), and every element of it is initialised.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        // [1 2 3; 4 5 6] times its transpose.
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let m = Matrix::new(&a, 2, 3);
        let mut out = [0.0; 4];
        matmul(m, m.t(), &mut out, false);
        assert_eq!(out, [14.0, 32.0, 32.0, 77.0]);
        matmul(m, m.t(), &mut out, true);
        assert_eq!(out, [28.0, 64.0, 64.0, 154.0]);
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn shapes_must_agree() {
        let a = [0.0; 6];
        let m = Matrix::new(&a, 2, 3);
        matmul(m, m, &mut [0.0; 9], false);
    }
}
