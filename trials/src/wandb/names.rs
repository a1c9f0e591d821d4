//! What people call what the recipe has.

use nightsweep_trainer::Metric;

use crate::schema::{self, Fields, Shape};

/// What a parameter of a sweep is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Which alternative.
    Choice(Home),
    /// A field of alternatives, by the names it may have there.
    Of(Home, &'static [&'static str]),
    /// A field of the recipe, by its path.
    Plain(&'static str),
    /// How long trials train.
    Epochs,
    /// A key that is the study's, not a trial's.
    Study(&'static [&'static str]),
}

/// A choice of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Model,
    Optimizer,
    Schedule,
    Policy,
}

/// Names in lower case without anything but letters and digits, and what each means.
const NAMES: &[(&[&str], Field)] = &[
    (&["optimizer", "optim", "opt", "optimizername", "optimizertype"], Field::Choice(Home::Optimizer)),
    (
        &["scheduler", "schedule", "lrscheduler", "lrschedule", "sched", "schedulertype", "lrschedulertype"],
        Field::Choice(Home::Schedule),
    ),
    (
        &["model", "arch", "architecture", "backbone", "network", "net", "modelname", "modeltype"],
        Field::Choice(Home::Model),
    ),
    (&["autoaugment", "augpolicy", "aa", "policy", "augmentpolicy"], Field::Choice(Home::Policy)),
    (&["lr", "learningrate", "baselr", "initlr", "initiallr", "maxlr", "lr0"], Field::Of(Home::Optimizer, &["lr"])),
    (&["weightdecay", "wd", "l2", "l2reg", "decay"], Field::Of(Home::Optimizer, &["weight_decay"])),
    (&["momentum", "sgdmomentum"], Field::Of(Home::Optimizer, &["momentum"])),
    (&["nesterov"], Field::Of(Home::Optimizer, &["nesterov"])),
    (&["beta1", "adambeta1"], Field::Of(Home::Optimizer, &["beta1"])),
    (&["beta2", "adambeta2"], Field::Of(Home::Optimizer, &["beta2"])),
    (&["eps", "epsilon", "adameps", "adamepsilon", "opteps"], Field::Of(Home::Optimizer, &["epsilon"])),
    (&["warmup", "warmupepochs", "numwarmupepochs", "lrwarmupepochs"], Field::Of(Home::Schedule, &["warmup_epochs"])),
    (&["gamma", "lrgamma", "lrdecay", "decayrate", "lrdecayrate"], Field::Of(Home::Schedule, &["gamma"])),
    (&["stepsize", "lrstepsize", "lrstep", "decayepochs"], Field::Of(Home::Schedule, &["every_epochs"])),
    (&["pctstart"], Field::Of(Home::Schedule, &["peak_at"])),
    (
        &["dropout", "dropoutrate", "droprate", "drop", "dropoutprob", "dropoutp", "pdropout"],
        Field::Of(Home::Model, &["dropout"]),
    ),
    (
        &["droppath", "droppathrate", "stochasticdepth", "stochasticdepthprob"],
        Field::Of(Home::Model, &["stochastic_depth"]),
    ),
    (
        &["width", "hiddensize", "hiddendim", "hiddenunits", "hiddenlayersize", "fclayersize", "channels", "embeddim"],
        Field::Of(Home::Model, &["width", "dim"]),
    ),
    (&["depth", "numlayers", "nlayers", "layers", "hiddenlayers"], Field::Of(Home::Model, &["depth"])),
    (&["heads", "numheads", "nheads"], Field::Of(Home::Model, &["heads"])),
    (&["patchsize", "patch"], Field::Of(Home::Model, &["patch"])),
    (
        &["batchsize", "batch", "bs", "trainbatchsize", "perdevicetrainbatchsize", "batchsizetrain", "minibatchsize"],
        Field::Plain("batch_size"),
    ),
    (
        &["accumulate", "gradaccum", "gradientaccumulationsteps", "accumulategradbatches", "gradaccumsteps"],
        Field::Plain("accumulate"),
    ),
    (&["labelsmoothing", "smoothing"], Field::Plain("label_smoothing")),
    (
        &[
            "clipnorm",
            "gradclip",
            "gradientclip",
            "maxgradnorm",
            "gradientclipval",
            "clipgrad",
            "gradclipnorm",
            "gradientclipping",
            "gradnormclip",
        ],
        Field::Plain("clip_norm"),
    ),
    (&["clipvalue", "gradclipvalue"], Field::Plain("clip_value")),
    (&["patience", "earlystoppingpatience", "earlystopping"], Field::Plain("patience")),
    (&["emadecay", "ema", "modelemadecay"], Field::Plain("ema.decay")),
    (&["mixup", "mixupalpha"], Field::Plain("augment.mixup")),
    (&["cutmix", "cutmixalpha"], Field::Plain("augment.cutmix")),
    (&["flip", "hflip", "horizontalflip", "randomflip", "fliplr"], Field::Plain("augment.flip")),
    (&["vflip", "verticalflip", "flipud"], Field::Plain("augment.flip_vertical")),
    (&["croppadding", "randomcroppadding", "padding"], Field::Plain("augment.crop_padding")),
    (&["rotate", "rotation", "degrees", "rotationdegrees"], Field::Plain("augment.rotate")),
    (&["translate"], Field::Plain("augment.translate")),
    (&["shear"], Field::Plain("augment.shear")),
    (&["brightness"], Field::Plain("augment.brightness")),
    (&["contrast"], Field::Plain("augment.contrast")),
    (&["saturation"], Field::Plain("augment.saturation")),
    (&["hue"], Field::Plain("augment.hue")),
    (&["erase", "randomerasing", "randomerase", "reprob", "erasing"], Field::Plain("augment.erase")),
    (&["cutout", "cutoutsize", "cutoutlength"], Field::Plain("augment.cutout")),
    (&["blur", "gaussianblur"], Field::Plain("augment.blur")),
    (&["precision"], Field::Plain("precision")),
    (&["epochs", "epoch", "numepochs", "nepochs", "maxepochs", "numtrainepochs", "trainingepochs"], Field::Epochs),
    (&["seed", "randomseed", "rngseed"], Field::Study(&["study", "seed"])),
    (&["imagesize", "imgsize", "inputsize", "resolution", "imsize", "cropsize"], Field::Study(&["data", "image_size"])),
];

/// What people call the alternatives, beside our own names.
const WORDS: &[(Home, &str, &[&str])] = &[
    (Home::Optimizer, "sgd", &["momentum", "sgdm", "nesterov", "sgdmomentum"]),
    (Home::Optimizer, "adamw", &["adamwdecay"]),
    (Home::Schedule, "constant", &["none", "false", "fixed"]),
    (Home::Schedule, "cosine", &["cosineannealing", "cosineannealinglr", "cos", "cosinelr", "cosinedecay"]),
    (Home::Schedule, "step", &["steplr", "stepdecay"]),
    (Home::Schedule, "multi_step", &["multisteplr"]),
    (Home::Schedule, "exponential", &["exponentiallr", "exp", "exponentialdecay"]),
    (Home::Schedule, "polynomial", &["poly", "linear", "polynomiallr", "linearlr", "lineardecay"]),
    (Home::Schedule, "one_cycle", &["onecyclelr", "1cycle"]),
    (Home::Schedule, "plateau", &["reducelronplateau", "reduceonplateau", "reducelr"]),
    (Home::Schedule, "sgdr", &["cosineannealingwarmrestarts", "cosinewarmrestarts", "cosinerestarts", "warmrestarts"]),
    (Home::Schedule, "triangular", &["cyclic", "cycliclr"]),
    (Home::Model, "convnet", &["cnn", "simplecnn", "smallcnn"]),
    (Home::Model, "mlp", &["dnn", "fc", "fullyconnected"]),
    (Home::Model, "wrn", &["wideresnet"]),
    (Home::Model, "vit_tiny", &["vittinypatch16224", "deittiny"]),
    (Home::Model, "vit_small", &["vitsmallpatch16224", "deitsmall"]),
    (Home::Model, "efficientnet_b0", &["efficientnet"]),
    (Home::Policy, "none", &["false"]),
    (Home::Policy, "trivial_augment", &["trivialaugmentwide", "ta", "tawide"]),
    (Home::Policy, "rand_augment", &["ra", "rand"]),
];

/// What people measure.
const METRICS: &[(&[&str], Metric)] = &[
    (
        &[
            "valaccuracy",
            "valacc",
            "accuracy",
            "acc",
            "validationaccuracy",
            "evalaccuracy",
            "valacc1",
            "valtop1",
            "top1",
            "testaccuracy",
            "testacc",
            "evalacc",
            "bestvalacc",
            "bestaccuracy",
        ],
        Metric::ValAccuracy,
    ),
    (&["valloss", "loss", "validationloss", "evalloss", "testloss", "valnll"], Metric::ValLoss),
    (&["valf1", "f1", "valmacrof1", "macrof1", "evalf1", "f1score"], Metric::ValMacroF1),
    (&["valtop5accuracy", "top5", "valacc5", "valtop5"], Metric::ValTop5Accuracy),
    (&["valbalancedaccuracy", "balancedaccuracy"], Metric::ValBalancedAccuracy),
    (&["valece", "ece"], Metric::ValEce),
];

/// Letters and digits alone, in lower case.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What a parameter means: by its whole name, else by the last part of it.
pub fn field(name: &str) -> Option<Field> {
    let find = |name: &str| NAMES.iter().find(|(names, _)| names.contains(&name)).map(|(_, field)| *field);
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    find(&bare(name)).or_else(|| find(&bare(last))).or_else(|| match last {
        // `optimizer.name`, `scheduler.type`
        "name" | "type" | "kind" => field(name.rsplit_once('.')?.0).filter(|field| matches!(field, Field::Choice(_))),
        _ => None,
    })
}

/// What a sweep's metric means.
pub fn metric(name: &str) -> Option<Metric> {
    let bare = bare(name);
    METRICS.iter().find(|(names, _)| names.contains(&bare.as_str())).map(|(_, metric)| *metric)
}

impl Home {
    /// Its place in the recipe.
    pub fn path(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Optimizer => "optimizer",
            Self::Schedule => "schedule",
            Self::Policy => "augment.policy",
        }
    }

    /// The alternatives with their fields.
    pub fn kinds(self) -> Vec<(&'static str, Fields)> {
        match super::shape_of(&self.path().split('.').collect::<Vec<_>>()) {
            Some(Shape::Choice(kinds)) => kinds,
            _ => unreachable!("`{}` is a choice of {:?}", self.path(), schema::recipe()),
        }
    }

    /// The alternative where a sweep names none.
    pub fn default_kind(self) -> String {
        super::default_kind(self.path())
    }

    /// The alternative that a word means.
    pub fn kind(self, word: &str, kinds: &[(&'static str, Fields)]) -> Option<&'static str> {
        let wanted = bare(word);
        let named = |(kind, _): &&(&'static str, Fields)| bare(kind) == wanted;
        let ours = kinds.iter().find(named).map(|(kind, _)| *kind);
        ours.or_else(|| {
            let row = WORDS.iter().find(|(home, _, words)| *home == self && words.contains(&wanted.as_str()));
            row.map(|(_, kind, _)| *kind)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_tables_is_one_of_the_recipe_and_meant_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (names, field) in NAMES {
            for name in *names {
                assert!(*name == bare(name) && seen.insert(*name), "{name}");
            }
            match field {
                Field::Plain(path) => assert!(super::super::shape_of(&path.split('.').collect::<Vec<_>>()).is_some()),
                Field::Of(home, fields) => {
                    let has = |field: &&str| home.kinds().iter().any(|(_, own)| own.get(field).is_some());
                    assert!(fields.iter().all(has), "{fields:?}");
                }
                Field::Choice(home) => assert!(home.kinds().iter().any(|(kind, _)| *kind == home.default_kind())),
                Field::Epochs | Field::Study(_) => {}
            }
        }
        for (home, kind, words) in WORDS {
            assert!(home.kinds().iter().any(|(known, _)| known == kind), "{kind}");
            assert!(words.iter().all(|word| *word == bare(word)), "{words:?}");
        }
    }
}
