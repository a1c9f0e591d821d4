//! A small quasi-Newton minimizer (BFGS, Nocedal and Wright 2006, algorithm 6.1) with a backtracking line search.

/// Minimizes from a start; `evaluate` gives value and gradient, or `None` where there is no value.
pub(super) fn minimize(
    start: Vec<f64>,
    steps: usize,
    mut evaluate: impl FnMut(&[f64]) -> Option<(f64, Vec<f64>)>,
) -> Vec<f64> {
    let size = start.len();
    let mut at = start;
    let Some((mut value, mut gradient)) = evaluate(&at) else { return at };
    let mut inverse_hessian = identity(size, 1.0 / norm(&gradient).max(1.0));
    for iteration in 0..steps {
        if norm(&gradient) < 1e-3 {
            break;
        }
        let mut direction: Vec<f64> = inverse_hessian.iter().map(|row| -dot(row, &gradient)).collect();
        if dot(&direction, &gradient) >= 0.0 {
            inverse_hessian = identity(size, 1.0 / norm(&gradient).max(1.0));
            direction = gradient.iter().map(|slope| -slope / norm(&gradient).max(1.0)).collect();
        }
        // Parameters are logarithms: a step beyond 2 is a factor of 7.
        let longest = direction.iter().fold(0.0f64, |most, step| most.max(step.abs()));
        let mut length = (2.0 / longest).min(1.0);
        let slope = dot(&direction, &gradient);
        let mut accepted = None;
        for _ in 0..12 {
            let next: Vec<f64> = at.iter().zip(&direction).map(|(at, step)| at + length * step).collect();
            if let Some((next_value, next_gradient)) = evaluate(&next)
                && next_value <= value + 1e-4 * length * slope
            {
                accepted = Some((next, next_value, next_gradient));
                break;
            }
            length *= 0.4;
        }
        let Some((next, next_value, next_gradient)) = accepted else { break };
        let moved: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-10 {
            if iteration == 0 {
                inverse_hessian = identity(size, curvature / dot(&turned, &turned));
            }
            update(&mut inverse_hessian, &moved, &turned, curvature);
        }
        let gained = value - next_value;
        (at, value, gradient) = (next, next_value, next_gradient);
        if gained < 1e-4 {
            break;
        }
    }
    at
}

fn update(inverse_hessian: &mut [Vec<f64>], moved: &[f64], turned: &[f64], curvature: f64) {
    let product: Vec<f64> = inverse_hessian.iter().map(|row| dot(row, turned)).collect();
    let scale = (curvature + dot(turned, &product)) / (curvature * curvature);
    for (i, row) in inverse_hessian.iter_mut().enumerate() {
        for (j, entry) in row.iter_mut().enumerate() {
            *entry += scale * moved[i] * moved[j] - (product[i] * moved[j] + moved[i] * product[j]) / curvature;
        }
    }
}

fn identity(size: usize, scale: f64) -> Vec<Vec<f64>> {
    (0..size).map(|i| (0..size).map(|j| if i == j { scale } else { 0.0 }).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let rosenbrock = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            Some((a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b]))
        };
        let found = minimize(vec![-1.2, 1.0], 200, rosenbrock);
        assert!((found[0] - 1.0).abs() < 0.05 && (found[1] - 1.0).abs() < 0.1, "{found:?}");
    }
}
