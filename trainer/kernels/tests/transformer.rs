//! Dense layers, layer norm and attention against their definitions in double precision, on every instruction set of
//! this processor. Gradients are those of the definitions by central differences.

use nightsweep_kernels::{Activation, Attention, Dense, LEVEL, LayerNorm, Level};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn numbers(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|level| *level <= *LEVEL)
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

#[track_caller]
fn close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(got) - expected).abs() / scale;
        assert!(off < 2e-5, "{what}: {got} instead of {expected} at {index}");
    }
}

/// The slope of `Σ gradient · function(at)` along each number.
fn slopes(at: &[f64], gradient: &[f32], function: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let total = |at: &[f64]| -> f64 { function(at).iter().zip(gradient).map(|(&y, &g)| y * f64::from(g)).sum() };
    let mut at = at.to_vec();
    (0..at.len())
        .map(|index| {
            let here = at[index];
            at[index] = here + STEP;
            let above = total(&at);
            at[index] = here - STEP;
            let below = total(&at);
            at[index] = here;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

fn dense(x: &[f64], weights: &[f64], bias: &[f64], activation: Activation) -> Vec<f64> {
    let (inputs, outputs) = (weights.len() / bias.len(), bias.len());
    let sum = |row: &[f64], output: usize| -> f64 {
        bias[output] + (0..inputs).map(|input| row[input] * weights[input * outputs + output]).sum::<f64>()
    };
    let sums = x.chunks_exact(inputs).flat_map(|row| (0..outputs).map(move |output| sum(row, output)));
    sums.map(|sum| match activation {
        Activation::Nothing => sum,
        Activation::Relu => sum.max(0.0),
        Activation::Gelu => sum * 0.5 * libm::erfc(-sum * std::f64::consts::FRAC_1_SQRT_2),
    })
    .collect()
}

#[test]
fn a_dense_layer_is_its_definition() {
    for (seed, [rows, inputs, outputs]) in
        [[1, 1, 1], [3, 5, 10], [7, 16, 16], [2, 3, 70], [9, 20, 33], [131, 4, 3], [5, 130, 5]].into_iter().enumerate()
    {
        for activation in [Activation::Nothing, Activation::Relu, Activation::Gelu] {
            let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
            let [x, weights, bias, gradient] =
                [rows * inputs, inputs * outputs, outputs, rows * outputs].map(|count| numbers(&mut random, count));
            let [x64, w64, b64] = [&x, &weights, &bias].map(|values| double(values));
            let expected = dense(&x64, &w64, &b64, activation);
            let to_x = slopes(&x64, &gradient, |x| dense(x, &w64, &b64, activation));
            let to_weights = slopes(&w64, &gradient, |w| dense(&x64, w, &b64, activation));
            let to_bias = slopes(&b64, &gradient, |b| dense(&x64, &w64, b, activation));
            for level in levels() {
                let what = |of: &str| format!("{of} of {rows}×{inputs}×{outputs}, {activation:?}, {level:?}");
                let layer = Dense::at(level, inputs, outputs, activation);
                let (result, sums) = layer.forward(&x, &weights, Some(&bias));
                close(&what("result"), &result, &expected);
                let without = dense(&x64, &w64, &vec![0.0; outputs], activation);
                close(&what("result without bias"), &layer.forward(&x, &weights, None).0, &without);
                let seen = match activation {
                    Activation::Nothing => None,
                    Activation::Relu => Some(result.clone()),
                    Activation::Gelu => sums,
                };
                let back = |wants| layer.backward(&x, &weights, seen.as_deref(), &gradient, wants);
                let got = back(true);
                close(&what("gradient to the rows"), &got.to_rows.unwrap(), &to_x);
                close(&what("gradient to the weights"), &got.to_weights, &to_weights);
                close(&what("gradient to the bias"), &got.to_bias, &to_bias);
                let again = back(false);
                assert!(again.to_rows.is_none());
                assert_eq!((again.to_weights, again.to_bias), (got.to_weights, got.to_bias), "the same twice");
            }
        }
    }
}

fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let width = gamma.len();
    x.chunks_exact(width)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / width as f64;
            let normed = row.iter().map(move |x| (x - mean) / (variance + 1e-6).sqrt());
            normed.zip(gamma).zip(beta).map(|((x, gamma), beta)| x * gamma + beta)
        })
        .collect()
}

#[test]
fn layer_norm_is_its_definition() {
    for (seed, [rows, width]) in [[1, 2], [5, 16], [3, 17], [40, 40], [9, 64]].into_iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let [x, gamma, beta, gradient] =
            [rows * width, width, width, rows * width].map(|count| numbers(&mut random, count));
        let [x64, g64, b64] = [&x, &gamma, &beta].map(|values| double(values));
        let expected = layer_norm(&x64, &g64, &b64);
        let to_x = slopes(&x64, &gradient, |x| layer_norm(x, &g64, &b64));
        let to_gamma = slopes(&g64, &gradient, |gamma| layer_norm(&x64, gamma, &b64));
        let to_beta = slopes(&b64, &gradient, |beta| layer_norm(&x64, &g64, beta));
        for level in levels() {
            let what = |of: &str| format!("{of} of {rows}×{width}, {level:?}");
            let norm = LayerNorm::at(level, width, 1e-6);
            close(&what("result"), &norm.forward(&x, &gamma, &beta), &expected);
            let got = norm.backward(&x, &gamma, &gradient);
            close(&what("gradient to the rows"), &got.to_rows, &to_x);
            close(&what("gradient to gamma"), &got.to_gamma, &to_gamma);
            close(&what("gradient to beta"), &got.to_beta, &to_beta);
        }
    }
}

fn attention(qkv: &[f64], [tokens, heads, size]: [usize; 3]) -> Vec<f64> {
    let width = heads * size;
    let mut out = vec![0.0; qkv.len() / 3];
    for (image, out) in qkv.chunks_exact(3 * tokens * width).zip(out.chunks_exact_mut(tokens * width)) {
        let at = |token: usize, part: usize, head: usize, number: usize| {
            image[token * 3 * width + part * width + head * size + number]
        };
        for (head, query) in (0..heads).flat_map(|head| (0..tokens).map(move |token| (head, token))) {
            let likeness = |key: usize| -> f64 {
                (0..size).map(|n| at(query, 0, head, n) * at(key, 1, head, n)).sum::<f64>() / (size as f64).sqrt()
            };
            let exponentials: Vec<f64> = (0..tokens).map(|key| likeness(key).exp()).collect();
            let total: f64 = exponentials.iter().sum();
            for number in 0..size {
                out[query * width + head * size + number] =
                    (0..tokens).map(|key| exponentials[key] / total * at(key, 2, head, number)).sum();
            }
        }
    }
    out
}

#[test]
fn attention_is_its_definition() {
    let shapes = [(1, [1, 1, 1]), (2, [5, 2, 3]), (1, [16, 1, 16]), (1, [17, 2, 8]), (1, [37, 1, 4])];
    for (seed, (batch, shape)) in shapes.into_iter().enumerate() {
        let [tokens, heads, size] = shape;
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let qkv: Vec<f32> = numbers(&mut random, batch * tokens * 3 * heads * size).iter().map(|x| 3.0 * x).collect();
        let gradient = numbers(&mut random, batch * tokens * heads * size);
        let q64 = double(&qkv);
        let expected = attention(&q64, shape);
        let to_qkv = slopes(&q64, &gradient, |qkv| attention(qkv, shape));
        for level in levels() {
            let of = Attention::at(level, tokens, heads, size);
            let (out, rows) = of.forward(&qkv);
            close(&format!("result of {batch}×{shape:?}, {level:?}"), &out, &expected);
            close(&format!("gradient of {batch}×{shape:?}, {level:?}"), &of.backward(&qkv, &rows, &gradient), &to_qkv);
        }
    }
}

#[test]
fn great_likenesses_do_not_overflow() {
    let of = Attention::new(20, 1, 1);
    let qkv: Vec<f32> = (0..20).flat_map(|token| [100.0, token as f32, token as f32]).collect();
    let (out, _) = of.forward(&qkv);
    assert!(out.iter().all(|&x| (x - 19.0).abs() < 1e-3), "the last key is by far the likest: {out:?}");
}
