//! Speed of training steps, asked for from outside: scripts/bench-train.sh runs this beside PyTorch.
//!
//! Arguments: what the recipe has of its own as JSON (`{"model":{"kind":"resnet8"},"clip_norm":1}`), the image as
//! `HEIGHTxWIDTHxCHANNELS`, images per batch, threads. Each line of standard input is a number of steps; the answer is the
//! seconds that they took, the pieces of memory asked for in them, and their bytes.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout};
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use nightsweep_trainer::average::Average;
use nightsweep_trainer::loss::cross_entropy;
use nightsweep_trainer::model::{InputShape, Model};
use nightsweep_trainer::optimizer::{Gradients, Optimizer, Rates};
use nightsweep_trainer::{DeviceName, Recipe, TrialSeed};

/// The product's, and what it is asked for.
struct Counting {
    pieces: AtomicU64,
    bytes: AtomicU64,
}

#[global_allocator]
static ALLOCATOR: Counting = Counting { pieces: AtomicU64::new(0), bytes: AtomicU64::new(0) };

// SAFETY: mimalloc does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [recipe, image, batch, threads] = arguments.as_slice() else {
        println!("asked by scripts/bench-train.sh, with RECIPE IMAGE BATCH THREADS");
        return;
    };
    let recipe: Recipe = serde_json::from_str(recipe).expect("the recipe is JSON");
    let sides: Vec<usize> = image.split('x').map(|side| side.parse().expect("a side is a number")).collect();
    let [height, width, channels] = sides[..] else { panic!("`{image}` is not HEIGHTxWIDTHxCHANNELS") };
    let batch: usize = batch.parse().expect("the batch is a number");
    let device = DeviceName::Cpu { threads: threads.parse().expect("threads are a number") };
    let device = device.open().expect("the pool is made once").autodiff();
    // As a trial does.
    let _kept = nightsweep_trainer::memory::keep();
    let shape = InputShape { channels, height, width, classes: 10 };
    let mut training = Training::new(&recipe, shape, batch, &device);
    for line in std::io::stdin().lock().lines() {
        let steps: usize = line.expect("standard input can be read").trim().parse().expect("steps are a number");
        let counts = || [&ALLOCATOR.pieces, &ALLOCATOR.bytes].map(|count| count.load(Ordering::Relaxed));
        let ([pieces, bytes], begin) = (counts(), Instant::now());
        for _ in 0..steps {
            training.step();
        }
        let (seconds, [more_pieces, more_bytes]) = (begin.elapsed().as_secs_f64(), counts());
        println!("{seconds} {} {}", more_pieces - pieces, more_bytes - bytes);
        std::io::stdout().flush().expect("standard output can be written");
    }
}

struct Training {
    /// Taken and put back by each step.
    model: Option<Model>,
    optimizer: Optimizer,
    average: Option<Average<Model>>,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl Training {
    fn new(recipe: &Recipe, shape: InputShape, batch: usize, device: &Device) -> Self {
        let InputShape { channels, height, width, classes } = shape;
        let seed = TrialSeed { study: 1, trial: 0 };
        let labels: Vec<i64> = (0..batch as i64).map(|index| index % classes as i64).collect();
        Self {
            model: Some(Model::new(&recipe.model, shape, seed, device)),
            optimizer: Optimizer::new(recipe),
            average: Average::new(&recipe.ema),
            images: Tensor::random([batch, channels, height, width], Distribution::Normal(0.0, 1.0), device),
            labels: Tensor::from_data(TensorData::new(labels, [batch]), device),
        }
    }

    fn step(&mut self) {
        let model = self.model.take().expect("each step puts it back");
        let scores = model.forward(self.images.clone());
        let loss = cross_entropy(scores, self.labels.clone(), 0.0);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let gradients = Gradients::of(&model, gradients);
        let rates = Rates { epoch: 0, lr: 0.01, momentum: None };
        let model = self.optimizer.step(model, gradients, rates);
        if let Some(average) = &mut self.average {
            average.follow(model.valid(), self.optimizer.updates());
        }
        self.model = Some(model);
    }
}
