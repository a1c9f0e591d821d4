//! The loss and the optimizer steps against their definitions in double precision, on every instruction set.

use nightsweep_kernels::update::{Adam, Sgd};
use nightsweep_kernels::{CrossEntropy, LEVEL, Level};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn levels() -> impl Iterator<Item = Level> {
    [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|level| *level <= *LEVEL)
}

fn numbers(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

#[track_caller]
fn close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(got) - expected).abs() < 2e-6, "{what}: {got} instead of {expected} at {index}");
    }
}

#[test]
fn the_loss_is_its_definition_and_so_is_its_gradient() {
    for (batch, classes, smoothing, reach) in
        [(1, 2, 0.0, 1.0), (3, 10, 0.0, 5.0), (4, 16, 0.1, 60.0), (5, 100, 0.3, 1.0), (2, 1000, 0.1, 3.0)]
    {
        let mut random = ChaCha8Rng::seed_from_u64(classes as u64);
        let scores: Vec<f32> = numbers(&mut random, batch * classes).iter().map(|x| x * reach).collect();
        let labels: Vec<usize> = (0..batch).map(|_| random.random_range(0..classes)).collect();
        let (mut loss, mut gradient) = (0.0, Vec::new());
        for (row, &label) in scores.chunks_exact(classes).zip(&labels) {
            let most = row.iter().fold(f64::MIN, |most, &x| most.max(f64::from(x)));
            let log_all = most + row.iter().map(|&x| (f64::from(x) - most).exp()).sum::<f64>().ln();
            for (class, &score) in row.iter().enumerate() {
                let target = smoothing / classes as f64 + if class == label { 1.0 - smoothing } else { 0.0 };
                let log_likelihood = f64::from(score) - log_all;
                loss -= target * log_likelihood / batch as f64;
                gradient.push((log_likelihood.exp() - target) / batch as f64);
            }
        }
        for level in levels() {
            let got = CrossEntropy::at(level, &scores, &labels, smoothing as f32);
            let what = format!("{batch}×{classes}, smoothing {smoothing}, {level:?}");
            assert!((f64::from(got.loss) / loss - 1.0).abs() < 1e-5, "{what}: {} instead of {loss}", got.loss);
            close(&what, &got.gradient, &gradient);
        }
    }
}

#[test]
fn a_loss_of_what_is_no_number_is_none() {
    for level in levels() {
        let got = CrossEntropy::at(level, &[1.0, f32::NAN, 0.5, 0.0], &[0, 1], 0.0);
        assert!(got.loss.is_nan(), "{level:?}: {}", got.loss);
    }
}

#[test]
fn descent_is_its_definition() {
    for (len, nesterov, weight_decay) in [(1, false, 0.0), (33, true, 0.01), (1_000, true, 0.1)] {
        let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay };
        for level in levels() {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let mut weight = numbers(&mut random, len);
            let mut velocity = vec![0.0; len];
            let mut expected: Vec<[f64; 2]> = weight.iter().map(|&w| [f64::from(w), 0.0]).collect();
            for _ in 0..3 {
                let gradient = numbers(&mut random, len);
                for ([w, v], &g) in expected.iter_mut().zip(&gradient) {
                    let g = f64::from(g) + weight_decay * *w;
                    *v = 0.9 * *v + g;
                    *w -= 0.1 * if nesterov { g + 0.9 * *v } else { *v };
                }
                weight = sgd.step_at(level, &weight, &gradient, &mut velocity);
            }
            let [weights, velocities] = [0, 1].map(|slot| expected.iter().map(|it| it[slot]).collect::<Vec<f64>>());
            close(&format!("weights of {sgd:?}, {level:?}"), &weight, &weights);
            close(&format!("velocities of {sgd:?}, {level:?}"), &velocity, &velocities);
        }
    }
}

#[test]
fn adam_is_its_definition() {
    for (len, penalty, decay) in [(1, 0.0, 0.0), (33, 0.1, 0.0), (1_000, 0.0, 0.05)] {
        for level in levels() {
            let mut random = ChaCha8Rng::seed_from_u64(2);
            let mut weight = numbers(&mut random, len);
            let [mut first, mut second] = [0, 1].map(|_| vec![0.0; len]);
            let mut expected: Vec<[f64; 3]> = weight.iter().map(|&w| [f64::from(w), 0.0, 0.0]).collect();
            for count in 1..4 {
                let gradient = numbers(&mut random, len);
                let lacks = |beta: f64| 1.0 - beta.powi(count);
                for ([w, m, v], &g) in expected.iter_mut().zip(&gradient) {
                    *w *= 1.0 - decay;
                    let g = f64::from(g) + penalty * *w;
                    *m = 0.9 * *m + 0.1 * g;
                    *v = 0.99 * *v + 0.01 * g * g;
                    *w -= 0.05 / lacks(0.9) * *m / ((*v / lacks(0.99)).sqrt() + 1e-4);
                }
                let adam = Adam {
                    lr: 0.05 / lacks(0.9),
                    beta1: 0.9,
                    beta2: 0.99,
                    correction: 1.0 / lacks(0.99).sqrt(),
                    epsilon: 1e-4,
                    penalty,
                    decay,
                };
                weight = adam.step_at(level, &weight, &gradient, [&mut first, &mut second]);
            }
            let weights: Vec<f64> = expected.iter().map(|it| it[0]).collect();
            close(&format!("weights of {len}, {penalty}, {decay}, {level:?}"), &weight, &weights);
        }
    }
}
