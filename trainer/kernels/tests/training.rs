//! The loss and the optimizer steps against their definitions in double precision, on every instruction set.

use nightsweep_kernels::update::{self, Adam, AdamDirection, Along, Lion, Moments, Rule, Sgd, Towards};
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

/// Three updates by a rule, of weights and their state, against the same in double precision.
#[track_caller]
fn check<const N: usize, R: Rule<N>>(what: &str, rule: impl Fn(i32) -> R, definition: impl Fn(i32, &mut [f64], f64)) {
    for (len, level) in [1, 33, 1_000].into_iter().flat_map(|len| levels().map(move |level| (len, level))) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut weight = numbers(&mut random, len);
        let mut state: [Vec<f32>; N] = std::array::from_fn(|_| vec![0.0; len]);
        let mut expected: Vec<Vec<f64>> = weight.iter().map(|&w| [vec![f64::from(w)], vec![0.0; N]].concat()).collect();
        for count in 1..4 {
            let gradient = numbers(&mut random, len);
            for (it, &g) in expected.iter_mut().zip(&gradient) {
                definition(count, it, f64::from(g));
            }
            let state = state.each_mut().map(Vec::as_mut_slice);
            weight = update::step_at(level, rule(count), &weight, &gradient, state);
        }
        for (slot, found) in [&weight].into_iter().chain(&state).enumerate() {
            let expected: Vec<f64> = expected.iter().map(|it| it[slot]).collect();
            close(&format!("{what}, slot {slot} of {len}, {level:?}"), found, &expected);
        }
    }
}

#[test]
fn descent_is_its_definition() {
    for (scale, nesterov, weight_decay) in [(1.0, false, 0.0), (0.5, true, 0.01), (1.0, true, 0.1)] {
        let sgd = Sgd { scale, lr: 0.1, momentum: 0.9, nesterov, weight_decay };
        check(
            &format!("{sgd:?}"),
            |_| sgd,
            |_, it, g| {
                let [w, v] = it else { unreachable!() };
                let g = scale * g + weight_decay * *w;
                *v = 0.9 * *v + g;
                *w -= 0.1 * if nesterov { g + 0.9 * *v } else { *v };
            },
        );
    }
}

/// The state of the next two tests, and the moments without what they lack.
fn moments(scale: f64, count: i32) -> (Moments, [f64; 2]) {
    let lacks = [0.9, 0.99].map(|beta: f64| 1.0 - beta.powi(count));
    (Moments { scale, beta1: 0.9, beta2: 0.99, correction: 1.0 / lacks[1].sqrt(), epsilon: 1e-4 }, lacks)
}

fn direction(count: i32, [m, v]: [&mut f64; 2], g: f64) -> f64 {
    let (_, lacks) = moments(1.0, count);
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.99 * *v + 0.01 * g * g;
    *m / lacks[0] / ((*v / lacks[1]).sqrt() + 1e-4)
}

#[test]
fn adam_is_its_definition() {
    for (scale, penalty, decay) in [(1.0, 0.0, 0.0), (0.5, 0.1, 0.0), (1.0, 0.0, 0.05)] {
        let adam = |count| {
            let (moments, lacks) = moments(scale, count);
            Adam { moments, lr: 0.05 / lacks[0], penalty, decay }
        };
        check(&format!("Adam, {scale}, {penalty}, {decay}"), adam, |count, it, g| {
            let [w, m, v] = it else { unreachable!() };
            *w *= 1.0 - decay;
            *w -= 0.05 * direction(count, [m, v], scale * g + penalty * *w);
        });
    }
}

#[test]
fn where_lamb_goes_is_its_definition() {
    let lamb = |count| {
        let (moments, lacks) = moments(0.5, count);
        AdamDirection { moments, correction: 1.0 / lacks[0], decay: 0.1 }
    };
    check("LAMB", lamb, |count, it, g| {
        let [w, m, v] = it else { unreachable!() };
        *w = direction(count, [m, v], 0.5 * g) + 0.1 * *w;
    });
}

#[test]
fn lion_is_its_definition() {
    let lion = Lion { scale: 0.5, lr: 0.1, beta1: 0.9, beta2: 0.99, decay: 0.05 };
    check(
        "Lion",
        |_| lion,
        |_, it, g| {
            let [w, m] = it else { unreachable!() };
            *w = *w * 0.95 - 0.1 * (0.9 * *m + 0.1 * 0.5 * g).signum();
            *m = 0.99 * *m + 0.01 * 0.5 * g;
        },
    );
    for level in levels() {
        let mut momentum = [0.0; 5];
        let gradient = [0.0, 1e-40, f32::NAN, -1e-30, 1e30];
        let new = update::step_at(level, Lion { scale: 1.0, ..lion }, &[1.0; 5], &gradient, [&mut momentum]);
        let expected = [0.95, 0.85, f32::NAN, 1.05, 0.85];
        let is_it =
            |(found, expected): (&f32, f32)| found.is_nan() && expected.is_nan() || (found - expected).abs() < 1e-6;
        assert!(new.iter().zip(expected).all(is_it), "{new:?}, {level:?}");
    }
}

#[test]
fn a_step_along_and_a_share_of_the_way_are_their_definitions() {
    check("along", |_| Along(-0.3), |_, it, g| it[0] -= 0.3 * g);
    check("towards", |_| Towards(0.25), |_, it, g| it[0] += 0.25 * (g - it[0]));
}

#[test]
fn the_sum_of_squares_is_its_definition() {
    for len in [0, 1, 31, 4_096, 10_000, 300_001] {
        let numbers = numbers(&mut ChaCha8Rng::seed_from_u64(3), len);
        let expected: f64 = numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        for level in levels() {
            let found = update::square_sum_at(level, &numbers);
            assert!((found - expected).abs() <= 1e-6 * expected, "{found} instead of {expected} of {len}, {level:?}");
        }
    }
}
