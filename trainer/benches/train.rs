//! Speed of training steps, asked for from outside: scripts/bench-train.sh runs this beside PyTorch.
//!
//! Arguments: the model as JSON (`{"kind":"resnet8"}`), the image as `HEIGHTxWIDTHxCHANNELS`, images per batch, threads.
//! Each line of standard input is a number of steps; the answer is the seconds that they took.

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use nightsweep_trainer::loss::cross_entropy;
use nightsweep_trainer::model::{InputShape, Model};
use nightsweep_trainer::optimizer::{Gradients, Optimizer, Rates};
use nightsweep_trainer::recipe::ModelSpec;
use nightsweep_trainer::{DeviceName, Recipe, TrialSeed};

/// As in the product's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [model, image, batch, threads] = arguments.as_slice() else {
        println!("asked by scripts/bench-train.sh, with MODEL IMAGE BATCH THREADS");
        return;
    };
    let spec: ModelSpec = serde_json::from_str(model).expect("the model is JSON");
    let sides: Vec<usize> = image.split('x').map(|side| side.parse().expect("a side is a number")).collect();
    let [height, width, channels] = sides[..] else { panic!("`{image}` is not HEIGHTxWIDTHxCHANNELS") };
    let batch: usize = batch.parse().expect("the batch is a number");
    let device = DeviceName::Cpu { threads: threads.parse().expect("threads are a number") };
    let device = device.open().expect("the pool is made once").autodiff();
    // As a trial does.
    let _kept = nightsweep_trainer::memory::keep();
    let shape = InputShape { channels, height, width, classes: 10 };
    let mut training = Training::new(&spec, shape, batch, &device);
    for line in std::io::stdin().lock().lines() {
        let steps: usize = line.expect("standard input can be read").trim().parse().expect("steps are a number");
        let begin = Instant::now();
        for _ in 0..steps {
            training.step();
        }
        println!("{}", begin.elapsed().as_secs_f64());
        std::io::stdout().flush().expect("standard output can be written");
    }
}

struct Training {
    /// Taken and put back by each step.
    model: Option<Model>,
    optimizer: Optimizer,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl Training {
    fn new(spec: &ModelSpec, shape: InputShape, batch: usize, device: &Device) -> Self {
        let InputShape { channels, height, width, classes } = shape;
        let seed = TrialSeed { study: 1, trial: 0 };
        let labels: Vec<i64> = (0..batch as i64).map(|index| index % classes as i64).collect();
        Self {
            model: Some(Model::new(spec, shape, seed, device)),
            optimizer: Optimizer::new(&Recipe::default()),
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
        self.model = Some(self.optimizer.step(model, gradients, rates));
    }
}
