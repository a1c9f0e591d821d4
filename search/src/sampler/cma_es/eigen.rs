//! Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan 2013, section 8.5).

/// Eigenvalues, and the eigenvectors as columns of a matrix.
pub(super) fn decompose(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let size = matrix.len();
    let mut a = matrix.to_vec();
    let mut vectors: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| f64::from(i == j)).collect()).collect();
    let total: f64 = a.iter().flatten().map(|entry| entry * entry).sum();
    for _ in 0..60 {
        let off: f64 = (0..size).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off <= 1e-30 * total {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..size).map(|at| a[at][at]).collect(), vectors)
}

/// Turns the plane of two axes so that their entry becomes zero.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |row: &mut Vec<f64>| {
        let (left, right) = (row[p], row[q]);
        row[p] = cosine * left - sine * right;
        row[q] = sine * left + cosine * right;
    };
    a.iter_mut().for_each(turn);
    vectors.iter_mut().for_each(turn);
    let (above, below) = a.split_at_mut(q);
    for (one, other) in above[p].iter_mut().zip(&mut below[0]) {
        (*one, *other) = (cosine * *one - sine * *other, sine * *one + cosine * *other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_times_values_give_the_matrix_again() {
        let entry = |i: usize, j: usize| 1.0 / (i + j + 1) as f64 + f64::from(i == j) * (i as f64 - 2.0);
        let matrix: Vec<Vec<f64>> = (0..6).map(|i| (0..6).map(|j| entry(i, j)).collect()).collect();
        let (values, vectors) = decompose(&matrix);
        for i in 0..6 {
            for j in 0..6 {
                let again: f64 = (0..6).map(|k| vectors[i][k] * values[k] * vectors[j][k]).sum();
                assert!((again - matrix[i][j]).abs() < 1e-12, "{i} {j} {again}");
                let product: f64 = (0..6).map(|k| vectors[k][i] * vectors[k][j]).sum();
                assert!((product - f64::from(i == j)).abs() < 1e-12, "{i} {j} {product}");
            }
        }
    }
}
