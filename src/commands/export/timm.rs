//! A recipe as a command line for timm's train.py, as near as its flags come, and what has no equivalent there. The flags
//! are those of timm 0.9, which later versions have too: `timm_flags.txt` lists them.

use std::fmt::Write;

use nightsweep_trainer::recipe::{Mixing, Policy, PolicySpec};
use nightsweep_trainer::{Recipe, TrialSeed};
use serde_json::Value;

/// The images that the recipe is for.
#[derive(Clone, Copy, Debug)]
pub struct Images {
    /// 1 or 3.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// How many there are to tell apart.
    pub classes: usize,
}

/// A shell script that trains by timm what comes nearest to the recipe.
pub fn script(recipe: &Recipe, seed: TrialSeed, images: Option<Images>) -> String {
    let mut to = Translation::of(recipe);
    to.images(images);
    to.model();
    to.training(recipe);
    to.optimizer(recipe);
    to.schedule(recipe);
    to.augmentation(recipe);
    to.loss();
    to.flag("--seed", (seed.study.wrapping_add(seed.trial) % (1 << 32)).to_string());
    to.script()
}

/// What was translated so far. What is not taken out of the recipe and is not off has no equivalent.
struct Translation {
    recipe: Value,
    flags: Vec<String>,
    lost: Vec<String>,
}

/// A value at which a field does nothing, so that nothing needs to stand for it.
const OFF: [(&str, &str); 26] = [
    ("clip_norm", "0.0"),
    ("clip_value", "0.0"),
    ("clip_adaptive", "0.0"),
    ("pretrained.freeze_epochs", "0"),
    ("patience", "0"),
    ("diverge_factor", "0.0"),
    ("keep", "\"best\""),
    ("test_time.flip", "false"),
    ("test_time.crops", "1"),
    ("preprocess.denoise.kind", "\"none\""),
    ("preprocess.equalize.kind", "\"none\""),
    ("class_weights.kind", "\"none\""),
    ("sampling", "\"shuffled\""),
    ("loss.sum_classes", "false"),
    ("augment.crop_padding", "0"),
    ("augment.rotate", "0.0"),
    ("augment.translate", "0.0"),
    ("augment.scale", "0.0"),
    ("augment.shear", "0.0"),
    ("augment.hue", "0.0"),
    ("augment.grayscale", "0.0"),
    ("augment.blur", "0.0"),
    ("augment.noise", "0.0"),
    ("augment.cutout", "0"),
    ("model.stem", "\"auto\""),
    ("model.norm", "\"batch\""),
];

impl Translation {
    fn of(recipe: &Recipe) -> Self {
        let recipe = serde_json::to_value(recipe).expect("a recipe is plain data");
        Self { recipe, flags: Vec::new(), lost: Vec::new() }
    }

    /// The field at that path, which is thereby told.
    fn take(&mut self, path: &str) -> Value {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        let table =
            table.split('.').filter(|part| !part.is_empty()).try_fold(&mut self.recipe, |at, part| at.get_mut(part));
        table.and_then(|table| table.as_object_mut()?.remove(key)).unwrap_or(Value::Null)
    }

    fn number(&mut self, path: &str) -> f64 {
        self.take(path).as_f64().unwrap_or(0.0)
    }

    fn word(&mut self, path: &str) -> String {
        self.take(path).as_str().unwrap_or_default().to_owned()
    }

    fn flag(&mut self, name: &str, value: impl ToString) {
        self.flags.push(format!("{name} {}", value.to_string()).trim_end().to_owned());
    }

    fn without(&mut self, what: impl Into<String>) {
        self.lost.push(what.into());
    }

    fn images(&mut self, images: Option<Images>) {
        self.flag("--data-dir", "\"$DATA\"");
        match images {
            Some(Images { channels, height, width, classes }) => {
                self.flag("--num-classes", classes);
                self.flag("--input-size", format!("{channels} {height} {width}"));
            }
            None => {
                self.flag("--num-classes", "\"$CLASSES\"");
                self.flag("--input-size", "\"$CHANNELS\" \"$HEIGHT\" \"$WIDTH\"");
            }
        }
        self.flag("--crop-pct", "1");
        match self.word("normalize").as_str() {
            "imagenet" => self.flags.push("--mean 0.485 0.456 0.406 --std 0.229 0.224 0.225".to_owned()),
            "centered" => self.flags.push("--mean 0.498 0.498 0.498 --std 0.502 0.502 0.502".to_owned()),
            "unit" => self.flags.push("--mean 0 0 0 --std 1 1 1".to_owned()),
            _ => self.without("normalize = \"data\": give the data's own --mean and --std"),
        }
    }

    fn model(&mut self) {
        let kind = self.word("model.kind");
        let torch = self.word("model.style") == "pytorch";
        let (patch, size) = (self.number("model.patch"), self.word("model.size"));
        let pool = self.word("model.pool");
        let patched = |to: &mut Self, name: &str, more: &str| {
            let patch = if patch == 0.0 { 16.0 } else { patch };
            to.flag("--model", name);
            to.flag("--model-kwargs", format!("patch_size={patch}{more}"));
            if pool == "mean" {
                to.flag("--gp", "avg");
            }
        };
        match (kind.as_str(), size.as_str()) {
            ("resnet18" | "resnet34" | "resnet50", _) => self.flag("--model", &kind),
            ("efficientnet_lite0" | "efficientnet_b0", _) if torch => self.flag("--model", &kind),
            ("efficientnet_lite0" | "efficientnet_b0", _) => self.flag("--model", format!("tf_{kind}")),
            ("vit_tiny", _) => patched(self, "vit_tiny_patch16_224", ""),
            ("vit_small", _) => patched(self, "vit_small_patch16_224", ""),
            ("vit", _) => {
                let [dim, depth, heads] = ["dim", "depth", "heads"].map(|name| self.number(&format!("model.{name}")));
                patched(self, "vit_tiny_patch16_224", &format!(" embed_dim={dim} depth={depth} num_heads={heads}"));
            }
            ("coatnet", "pico" | "nano") => self.flag("--model", format!("coatnet_{size}_rw_224")),
            _ => {
                self.flag("--model", "\"$MODEL\"");
                self.without(format!("model = \"{kind}\": timm has no such network; MODEL is yours to choose"));
            }
        }
        if kind.starts_with("vit") && patch == 0.0 {
            self.without("model.patch = 0: above 64 pixels it is 16, below them 4");
        }
        let small = ["resnet18", "resnet34", "resnet50", "efficientnet_lite0", "efficientnet_b0", "coatnet"];
        if self.recipe["model"]["stem"] == "large" {
            self.take("model.stem");
        } else if small.contains(&kind.as_str()) && self.recipe["model"]["stem"] == "auto" {
            self.without("model.stem = \"auto\": up to 64 pixels a first convolution of stride 1; timm's has stride 2");
        }
        for (path, flag) in [("model.dropout", "--drop"), ("model.stochastic_depth", "--drop-path")] {
            let share = self.number(path);
            if share > 0.0 {
                self.flag(flag, share);
            }
        }
        let path = self.word("pretrained.path");
        if !path.is_empty() {
            self.flag("--initial-checkpoint", quoted(&path));
        }
    }

    fn training(&mut self, recipe: &Recipe) {
        for told in ["batch_size", "accumulate", "micro_batch", "epochs"] {
            self.take(told);
        }
        let piece = if recipe.micro_batch == 0 { recipe.batch_size } else { recipe.micro_batch.min(recipe.batch_size) };
        self.flag("--batch-size", piece);
        self.flag("--grad-accum-steps", recipe.batch_size.div_ceil(piece) * recipe.accumulate);
        if self.take("gradient_checkpointing") == true {
            self.flag("--grad-checkpointing", "");
        }
        match self.word("precision").as_str() {
            "bf16" => self.flags.push("--amp --amp-dtype bfloat16".to_owned()),
            "f16" => self.flags.push("--amp --amp-dtype float16".to_owned()),
            _ => {}
        }
        let (decay, warmup, keep) = (self.number("ema.decay"), self.take("ema.warmup"), self.take("ema.keep"));
        if decay > 0.0 {
            self.flags.push(format!("--model-ema --model-ema-decay {decay}"));
            if warmup == true {
                self.without("ema.warmup: the mean follows slowly from the first update on");
            }
            if keep == false {
                self.without("ema.keep = false: timm judges by the mean too");
            }
        }
        let limits = [("clip_norm", "norm"), ("clip_value", "value"), ("clip_adaptive", "agc")];
        if let Some((path, mode)) = limits.into_iter().find(|(path, _)| self.recipe[path].as_f64() > Some(0.0)) {
            let most = self.number(path);
            self.flags.push(format!("--clip-grad {most} --clip-mode {mode}"));
        }
    }

    fn optimizer(&mut self, recipe: &Recipe) {
        self.take("lr_scaling");
        let kind = self.word("optimizer.kind");
        let nesterov = self.take("optimizer.nesterov") == true;
        let name = match kind.as_str() {
            "sgd" if nesterov => "sgd",
            "sgd" => "momentum",
            "lars" if nesterov => "nlars",
            "adam" | "adamw" | "rmsprop" | "lamb" | "lars" | "lion" => kind.as_str(),
            _ => {
                self.without(format!("optimizer = \"{kind}\": OPTIMIZER is yours to choose"));
                "\"$OPTIMIZER\""
            }
        };
        let (every, alpha) = (self.number("lookahead.every"), self.number("lookahead.alpha"));
        if every > 0.0 && (every, alpha) != (6.0, 0.5) {
            self.without(format!("lookahead.every = {every}, lookahead.alpha = {alpha}: timm's are 6 and 0.5"));
        }
        self.flag("--opt", format!("{}{name}", if every > 0.0 { "lookahead_" } else { "" }));
        self.take("optimizer.lr");
        // Already scaled by the images of an update.
        self.flag("--lr", recipe.lr(0));
        let decay = self.number("optimizer.weight_decay");
        self.flag("--weight-decay", decay);
        let has = |to: &Self, name: &str| to.recipe["optimizer"].get(name).is_some();
        if has(self, "momentum") {
            let momentum = self.number("optimizer.momentum");
            self.flag("--momentum", momentum);
        }
        if has(self, "beta1") && kind != "muon" {
            let betas = [self.number("optimizer.beta1"), self.number("optimizer.beta2")];
            self.flag("--opt-betas", format!("{} {}", betas[0], betas[1]));
        }
        if has(self, "epsilon") {
            let epsilon = self.number("optimizer.epsilon");
            self.flag("--opt-eps", epsilon);
        }
        let mut more = Vec::new();
        for (own, theirs) in [("alpha", "alpha"), ("centered", "centered"), ("trust_coefficient", "trust_coeff")] {
            if has(self, own) {
                more.push(format!("{theirs}={}", python(&self.take(&format!("optimizer.{own}")))));
            }
        }
        if !more.is_empty() {
            self.flag("--opt-kwargs", more.join(" "));
        }
    }

    fn schedule(&mut self, recipe: &Recipe) {
        let kind = self.word("schedule.kind");
        let warmup = self.number("schedule.warmup_epochs");
        if self.word("schedule.warmup") == "exponential" && warmup > 0.0 {
            self.without("schedule.warmup = \"exponential\": timm's rises along a line");
        }
        let whole = warmup.round();
        if whole != warmup {
            self.without(format!("schedule.warmup_epochs = {warmup}: timm's are whole"));
        }
        let (epochs, lr) = (recipe.epochs as f64, recipe.lr(0));
        let mut length = epochs;
        let name = match kind.as_str() {
            "constant" => "step --decay-rate 1".to_owned(),
            "step" => {
                format!(
                    "step --decay-epochs {} --decay-rate {}",
                    self.number("schedule.every_epochs"),
                    self.number("schedule.gamma")
                )
            }
            "multi_step" => {
                let places = self.take("schedule.milestones");
                let places = places.as_array().into_iter().flatten().filter_map(Value::as_f64);
                let epochs: Vec<String> = places.map(|place| (place * epochs).round().to_string()).collect();
                format!(
                    "multistep --decay-milestones {} --decay-rate {}",
                    epochs.join(" "),
                    self.number("schedule.gamma")
                )
            }
            "exponential" => {
                self.without("schedule = \"exponential\": timm's falls by the epoch, not by the step");
                format!("step --decay-epochs 1 --decay-rate {}", self.number("schedule.gamma"))
            }
            "polynomial" => {
                length = epochs - whole;
                format!("poly --decay-rate {} --warmup-prefix", self.number("schedule.power"))
            }
            "cosine" => {
                length = epochs - whole;
                "cosine --warmup-prefix".to_owned()
            }
            "sgdr" => {
                length = self.number("schedule.first_epochs");
                let (times, decay) = (self.number("schedule.t_mult"), self.number("schedule.decay"));
                let cycles = cycles(epochs - whole, length, times);
                format!(
                    "cosine --lr-cycle-mul {times} --lr-cycle-decay {decay} --lr-cycle-limit {cycles} --warmup-prefix"
                )
            }
            "plateau" => {
                self.without("schedule.threshold and schedule.cooldown: timm's are its own");
                self.take("schedule.threshold");
                self.take("schedule.cooldown");
                format!(
                    "plateau --patience-epochs {} --decay-rate {}",
                    self.number("schedule.patience"),
                    self.number("schedule.gamma")
                )
            }
            _ => {
                self.without(format!("schedule = \"{kind}\": SCHEDULE is yours to choose"));
                "\"$SCHEDULE\"".to_owned()
            }
        };
        self.flag("--epochs", length);
        self.flag("--sched", name);
        if kind != "plateau" {
            self.flag("--sched-on-updates", "");
        }
        let least = self.number("schedule.final_factor") * lr;
        self.flags.push(format!("--min-lr {least} --warmup-epochs {whole} --warmup-lr 0 --cooldown-epochs 0"));
    }

    fn augmentation(&mut self, recipe: &Recipe) {
        let (scale, ratio) = (self.number("augment.crop_scale"), self.number("augment.crop_ratio"));
        match scale < 1.0 {
            true => self.flags.push(format!("--scale {scale} 1 --ratio {} {ratio}", 1.0 / ratio)),
            false => self.flags.push("--scale 1 1 --ratio 1 1".to_owned()),
        }
        for (path, flag) in [("augment.flip", "--hflip"), ("augment.flip_vertical", "--vflip")] {
            let chance = self.number(path);
            self.flag(flag, chance);
        }
        let jitter = ["brightness", "contrast", "saturation"].map(|name| self.number(&format!("augment.{name}")));
        self.flag("--color-jitter", jitter[0]);
        if jitter.iter().any(|reach| *reach != jitter[0]) {
            let [brightness, contrast, saturation] = jitter;
            self.without(format!(
                "augment.brightness = {brightness}, contrast = {contrast}, saturation = {saturation}: timm has one for all"
            ));
        }
        self.policy();
        let (chance, area, with) =
            (self.number("augment.erase"), self.number("augment.erase_area"), self.word("augment.erase_with"));
        self.flag("--reprob", chance);
        if chance > 0.0 {
            self.flag("--remode", if with == "noise" { "pixel" } else { "const" });
            if (area - 0.33).abs() > 0.01 {
                self.without(format!("augment.erase_area = {area}: timm's is a third"));
            }
        }
        for field in ["mixup", "cutmix", "mix_chance", "mix_switch", "mix_until"] {
            self.take(&format!("augment.{field}"));
        }
        if let PolicySpec::Custom(Policy { mix, .. }) = &recipe.augment.policy
            && (mix.len() > 1 || mix.iter().any(|mixing| mixing.from > 0.0))
        {
            self.without("augment.policy.mix: timm mixes in one way, from the start on");
        }
        if let Some(Mixing { mixup, cutmix, chance, switch, until, .. }) = recipe.augment.mixing(0.0) {
            self.flags
                .push(format!("--mixup {mixup} --cutmix {cutmix} --mixup-prob {chance} --mixup-switch-prob {switch}"));
            if until < 1.0 {
                self.flag("--mixup-off-epoch", (until * recipe.epochs as f64).round());
            }
        }
        // These say how something is done that is off, or told as lost itself.
        for detail in ["augment.blur_sigma", "augment.interpolation", "augment.fill", "test_time.shift"] {
            self.take(detail);
        }
        self.flag("--train-interpolation", "bilinear");
    }

    fn policy(&mut self) {
        let (path, ratio) = (self.word("augment.generated.path"), self.number("augment.generated.ratio"));
        if !path.is_empty() && ratio > 0.0 {
            self.without(format!("augment.generated: {ratio} images of `{path}` for each real one of their classes"));
        }
        let policy = self.take("augment.policy");
        let number = |name: &str| policy[name].as_u64().unwrap_or(0);
        match policy["kind"].as_str().unwrap_or("none") {
            "none" => {}
            "auto_augment" if policy["learned_on"] == "imagenet" => self.flag("--aa", "original"),
            "rand_augment" => {
                self.flag("--aa", format!("rand-m{}-n{}", number("m"), number("n")));
                self.without("augment.policy = \"rand_augment\": timm's operations and strengths are its own");
            }
            "aug_mix" => {
                let depth = if number("depth") == 0 { String::new() } else { format!("-d{}", number("depth")) };
                self.flag("--aa", format!("augmix-m{}-w{}{depth}", number("severity"), number("width")));
            }
            "custom" => self.without("augment.policy: a learned policy, in policy.toml"),
            kind => self.without(format!("augment.policy = \"{kind}\"")),
        }
    }

    fn loss(&mut self) {
        match self.word("loss.kind").as_str() {
            "cross_entropy" => {}
            "binary_cross_entropy" => {
                let least = self.number("loss.target_threshold");
                self.flag("--bce-loss", "");
                if least > 0.0 {
                    self.flag("--bce-target-thresh", least);
                }
            }
            kind => self.without(format!("loss = \"{kind}\"")),
        }
        let share = self.number("label_smoothing");
        self.flag("--smoothing", share);
    }

    /// What was not taken and is not off.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        leaves(&self.recipe, String::new(), &mut left);
        let is_off = |(path, value): &(String, String)| OFF.iter().any(|(off, none)| off == path && none == value);
        left.into_iter().filter(|leaf| !is_off(leaf)).map(|(path, value)| format!("{path} = {value}")).collect()
    }

    fn script(mut self) -> String {
        let left = self.left();
        self.lost.extend(left);
        let mut text = "#!/bin/sh\n\
            # The recipe beside this file for timm's train.py (0.9 and later), as near as its flags come. DATA is a folder of\n\
            # train/ and validation/ with a folder for each class.\n"
            .to_owned();
        if !self.lost.is_empty() {
            text.push_str("#\n# Without an equal there:\n");
            for lost in &self.lost {
                let _ = writeln!(text, "#   {lost}");
            }
        }
        text.push_str("\npython train.py");
        for flag in &self.flags {
            let _ = write!(text, " \\\n    {flag}");
        }
        text.push('\n');
        text
    }
}

/// Cosines, each so many times as long as the one before, that begin within so many epochs.
fn cycles(epochs: f64, first: f64, times: f64) -> u64 {
    let (mut left, mut length, mut cycles) = (epochs, first.max(1e-9), 0);
    while left > 1e-9 && cycles < 1000 {
        left -= length;
        length *= times;
        cycles += 1;
    }
    cycles.max(1)
}

fn leaves(value: &Value, path: String, to: &mut Vec<(String, String)>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                leaves(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, to);
            }
        }
        leaf => to.push((path, leaf.to_string())),
    }
}

fn python(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        value => value.to_string(),
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All flags of train.py of timm 0.9.
    const FLAGS: &str = include_str!("timm_flags.txt");

    fn translated(recipe: &str) -> String {
        let recipe: Recipe = toml::from_str(recipe).unwrap();
        let images = Images { channels: 3, height: 224, width: 224, classes: 10 };
        script(&recipe, TrialSeed { study: 1, trial: 2 }, Some(images))
    }

    const RECIPES: [&str; 8] = [
        "",
        "model = { kind = 'resnet50', stem = 'large', dropout = 0.1, stochastic_depth = 0.05 }\nnormalize = 'imagenet'\n\
         optimizer = { kind = 'lamb', lr = 0.005 }\nlr_scaling = 'sqrt'\nbatch_size = 512\nmicro_batch = 128\n\
         loss = { kind = 'binary_cross_entropy', target_threshold = 0.2 }\nprecision = 'bf16'\n\
         augment = { crop_padding = 0, crop_scale = 0.08, mixup = 0.1, cutmix = 1.0, mix_until = 0.9, \
         policy = { kind = 'rand_augment' } }\nema = { decay = 0.9998, warmup = false }\nclip_norm = 1.0",
        "model = { kind = 'vit', dim = 192 }\noptimizer = { kind = 'adamw' }\nlookahead = { every = 5 }\n\
         schedule = { kind = 'sgdr', first_epochs = 2, warmup_epochs = 0.5 }\nepochs = 14",
        "model = { kind = 'coatnet', size = 'pico' }\noptimizer = { kind = 'muon' }\nschedule = { kind = 'one_cycle' }",
        "model = { kind = 'efficientnet_b0' }\noptimizer = { kind = 'rmsprop' }\nschedule = { kind = 'step', every_epochs = 2 }",
        "schedule = { kind = 'multi_step' }\npreprocess = { equalize = { kind = 'clahe' } }\nloss = { kind = 'focal' }",
        "schedule = { kind = 'plateau' }\naugment = { rotate = 10, erase = 0.2, brightness = 0.4 }\nsampling = 'balanced'",
        "schedule = { kind = 'polynomial' }\noptimizer = { kind = 'lars', nesterov = true }\ngradient_checkpointing = true",
    ];

    #[test]
    fn every_flag_is_one_of_timms() {
        for recipe in RECIPES {
            let text = translated(recipe);
            let command = text.split("python train.py").nth(1).unwrap();
            for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
                assert!(FLAGS.lines().any(|known| known == flag), "{flag}: {text}");
            }
        }
    }

    #[test]
    fn what_timm_has_not_is_said() {
        let check = |recipe: &str, expected: &str| assert_eq!(translated(recipe), expected);
        check(
            RECIPES[0],
            r#"#!/bin/sh
# The recipe beside this file for timm's train.py (0.9 and later), as near as its flags come. DATA is a folder of
# train/ and validation/ with a folder for each class.
#
# Without an equal there:
#   normalize = "data": give the data's own --mean and --std
#   model = "resnet8": timm has no such network; MODEL is yours to choose
#   augment.crop_padding = 4

python train.py \
    --data-dir "$DATA" \
    --num-classes 10 \
    --input-size 3 224 224 \
    --crop-pct 1 \
    --model "$MODEL" \
    --batch-size 128 \
    --grad-accum-steps 1 \
    --opt sgd \
    --lr 0.1 \
    --weight-decay 0.0005 \
    --momentum 0.9 \
    --epochs 10 \
    --sched cosine --warmup-prefix \
    --sched-on-updates \
    --min-lr 0 --warmup-epochs 0 --warmup-lr 0 --cooldown-epochs 0 \
    --scale 1 1 --ratio 1 1 \
    --hflip 0.5 \
    --vflip 0 \
    --color-jitter 0 \
    --reprob 0 \
    --train-interpolation bilinear \
    --smoothing 0 \
    --seed 3
"#,
        );
        check(
            RECIPES[1],
            r#"#!/bin/sh
# The recipe beside this file for timm's train.py (0.9 and later), as near as its flags come. DATA is a folder of
# train/ and validation/ with a folder for each class.
#
# Without an equal there:
#   augment.policy = "rand_augment": timm's operations and strengths are its own

python train.py \
    --data-dir "$DATA" \
    --num-classes 10 \
    --input-size 3 224 224 \
    --crop-pct 1 \
    --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 \
    --model resnet50 \
    --drop 0.1 \
    --drop-path 0.05 \
    --batch-size 128 \
    --grad-accum-steps 4 \
    --amp --amp-dtype bfloat16 \
    --model-ema --model-ema-decay 0.9998 \
    --clip-grad 1 --clip-mode norm \
    --opt lamb \
    --lr 0.007071067811865476 \
    --weight-decay 0.01 \
    --opt-betas 0.9 0.999 \
    --opt-eps 0.000001 \
    --epochs 10 \
    --sched cosine --warmup-prefix \
    --sched-on-updates \
    --min-lr 0 --warmup-epochs 0 --warmup-lr 0 --cooldown-epochs 0 \
    --scale 0.08 1 --ratio 0.75 1.3333333333333333 \
    --hflip 0.5 \
    --vflip 0 \
    --color-jitter 0 \
    --aa rand-m9-n2 \
    --reprob 0 \
    --mixup 0.1 --cutmix 1 --mixup-prob 1 --mixup-switch-prob 0.5 \
    --mixup-off-epoch 9 \
    --train-interpolation bilinear \
    --bce-loss \
    --bce-target-thresh 0.2 \
    --smoothing 0 \
    --seed 3
"#,
        );
    }

    #[test]
    fn restarts_are_counted() {
        let check = |epochs, first, times, expected| assert_eq!(cycles(epochs, first, times), expected);
        check(14.0, 2.0, 2.0, 3);
        check(15.0, 2.0, 2.0, 4);
        check(10.0, 1.0, 1.0, 10);
        check(0.0, 1.0, 1.0, 1);
    }
}
