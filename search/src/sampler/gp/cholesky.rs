//! The Cholesky factor of a small symmetric matrix, and what a Gaussian process does with it.

/// A lower triangle, row by row: row i has i + 1 numbers.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    size: usize,
    rows: Vec<f64>,
}

/// Where a row of a packed lower triangle starts.
pub(crate) fn row(at: usize) -> usize {
    at * (at + 1) / 2
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums let the compiler use vector registers: it may not reorder a single one.
    let mut sums = [0.0; 4];
    let (chunks_a, chunks_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

impl Cholesky {
    /// The factor of the matrix whose packed lower triangle is given; `None` if it is not positive definite.
    pub(crate) fn new(size: usize, mut rows: Vec<f64>) -> Option<Self> {
        for i in 0..size {
            let (done, current) = rows.split_at_mut(row(i));
            for j in 0..i {
                let other = &done[row(j)..row(j) + j + 1];
                current[j] = (current[j] - dot(&current[..j], &other[..j])) / other[j];
            }
            let pivot = current[i] - dot(&current[..i], &current[..i]);
            if pivot.is_nan() || pivot <= 0.0 {
                return None;
            }
            current[i] = pivot.sqrt();
        }
        Some(Self { size, rows })
    }

    fn row(&self, at: usize) -> &[f64] {
        &self.rows[row(at)..=row(at) + at]
    }

    /// Solves L x = b in place.
    pub(crate) fn solve_lower(&self, b: &mut [f64]) {
        for i in 0..self.size {
            let current = self.row(i);
            b[i] = (b[i] - dot(&current[..i], &b[..i])) / current[i];
        }
    }

    /// Solves Lᵀ x = b in place.
    pub(crate) fn solve_upper(&self, b: &mut [f64]) {
        for i in (0..self.size).rev() {
            let current = self.row(i);
            b[i] /= current[i];
            let solved = b[i];
            b[..i].iter_mut().zip(current).for_each(|(b, l)| *b -= solved * l);
        }
    }

    /// Half the logarithm of the determinant.
    pub(crate) fn half_log_determinant(&self) -> f64 {
        (0..self.size).map(|at| self.row(at)[at].ln()).sum()
    }

    /// The packed lower triangle of the inverse of the matrix.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        // Rows of the inverse of Lᵀ: each column of L⁻¹ as a row, so that the products below read along rows.
        let size = self.size;
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(size);
        for j in 0..size {
            let mut column = vec![0.0; size - j];
            column[0] = 1.0 / self.row(j)[j];
            for i in j + 1..size {
                let current = self.row(i);
                column[i - j] = -dot(&current[j..i], &column[..i - j]) / current[i];
            }
            columns.push(column);
        }
        let mut inverse = Vec::with_capacity(row(size));
        for i in 0..size {
            inverse.extend((0..=i).map(|j| dot(&columns[i], &columns[j][i - j..])));
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let size = 7;
        let entry =
            |i: usize, j: usize| (-((i as f64 - j as f64) / 2.0).powi(2)).exp() + if i == j { 0.1 } else { 0.0 };
        let packed = (0..size).flat_map(|i| (0..=i).map(move |j| entry(i, j))).collect();
        let factor = Cholesky::new(size, packed).unwrap();
        let inverse = factor.inverse();
        let inverse = |i: usize, j: usize| inverse[row(i.max(j)) + i.min(j)];
        for i in 0..size {
            for j in 0..size {
                let product: f64 = (0..size).map(|k| entry(i, k) * inverse(k, j)).sum();
                assert!((product - f64::from(i == j)).abs() < 1e-9, "{i} {j} {product}");
            }
        }
        let mut solved: Vec<f64> = (0..size).map(|i| entry(i, 3)).collect();
        factor.solve_lower(&mut solved);
        factor.solve_upper(&mut solved);
        assert!(solved.iter().enumerate().all(|(i, x)| (x - f64::from(i == 3)).abs() < 1e-9));
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_no_factor() {
        assert!(Cholesky::new(2, vec![1.0, 2.0, 1.0]).is_none());
        assert!(Cholesky::new(1, vec![f64::NAN]).is_none());
    }
}
