//! A parameter as a matrix with a row for each of its outputs, whichever way it is stored.

use burn::tensor::Tensor;

/// The weights of one output in each row, or a vector as a single row.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) rows: Tensor<2>,
    is_transposed: bool,
}

impl Matrix {
    /// Of a flat tensor of that shape: linear layers are stored `[inputs, outputs]`, convolutions `[outputs, …]`.
    pub(super) fn new(flat: Tensor<1>, shape: &[usize]) -> Self {
        match *shape {
            [inputs, outputs] => Self { rows: flat.reshape([inputs, outputs]).transpose(), is_transposed: true },
            [outputs, _, ..] => Self { rows: flat.reshape([outputs as i32, -1]), is_transposed: false },
            _ => Self { rows: flat.reshape([1, -1]), is_transposed: false },
        }
    }

    /// The changed rows, flat as they were stored.
    pub(super) fn map(self, change: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Tensor<1> {
        let rows = change(self.rows);
        if self.is_transposed { rows.transpose().reshape([-1]) } else { rows.reshape([-1]) }
    }
}
