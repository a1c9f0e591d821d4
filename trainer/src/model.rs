//! The networks: from a batch of images to one score per class.

mod coatnet;
pub(crate) mod conv;
mod convnet;
mod dense;
mod drop_path;
mod efficientnet;
mod fused;
mod init;
mod mlp;
mod norm;
mod pool;
mod resnet;
mod vit;
mod wrn;

use burn::module::{Flag, Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::{Device, Tensor};

use crate::recipe::ModelSpec;
use crate::seed::TrialSeed;
use crate::weights::is_head;

pub use coatnet::Coatnet;
pub use conv::Conv;
pub use convnet::Convnet;
pub use efficientnet::Efficientnet;
pub(crate) use efficientnet::stage_of as efficientnet_stage;
pub use mlp::Mlp;
pub use norm::Norm;
pub use resnet::Resnet;
pub use vit::Vit;
pub use wrn::Wrn;

pub(crate) use init::{Scheme, initialize, linear, normal};
use vit::Layout;

/// A network of any kind.
#[derive(Module, Debug)]
pub enum Model {
    /// Fully connected layers.
    Mlp(Mlp),
    /// Convolutions and pooling.
    Convnet(Convnet),
    /// A residual network.
    Resnet(Resnet),
    /// A wide residual network.
    Wrn(Wrn),
    /// An EfficientNet.
    Efficientnet(Efficientnet),
    /// A vision transformer, its patches from one linear map or from convolutions.
    Vit(Vit),
    /// Convolutions, then attention.
    Coatnet(Coatnet),
}

/// What a network is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Classes to tell apart.
    pub classes: usize,
}

impl Model {
    /// Builds the network of a recipe with the first weights of a trial.
    pub fn new(spec: &ModelSpec, shape: InputShape, seed: TrialSeed, device: &Device) -> Self {
        let cifar = |n, net| Self::Resnet(Resnet::cifar(n, net, shape, device));
        let resnet = |blocks, expansion, net| Self::Resnet(Resnet::large(blocks, expansion, net, shape, device));
        let efficientnet = |lite, net| Self::Efficientnet(Efficientnet::b0(lite, net, shape, device));
        let vit = |layout| Self::Vit(Vit::new(layout, shape, device));
        let (model, scheme) = match spec {
            ModelSpec::Mlp(mlp) => (Self::Mlp(Mlp::new(mlp, shape, device)), Scheme::Resnet),
            ModelSpec::Convnet(net) => (Self::Convnet(Convnet::new(net, shape, device)), Scheme::Resnet),
            ModelSpec::Resnet8(net) => (cifar(1, net), Scheme::Resnet),
            ModelSpec::Resnet20(net) => (cifar(3, net), Scheme::Resnet),
            ModelSpec::Resnet32(net) => (cifar(5, net), Scheme::Resnet),
            ModelSpec::Resnet44(net) => (cifar(7, net), Scheme::Resnet),
            ModelSpec::Resnet56(net) => (cifar(9, net), Scheme::Resnet),
            ModelSpec::Resnet18(net) => (resnet([2, 2, 2, 2], 1, net), Scheme::Resnet),
            ModelSpec::Resnet34(net) => (resnet([3, 4, 6, 3], 1, net), Scheme::Resnet),
            ModelSpec::Resnet50(net) => (resnet([3, 4, 6, 3], 4, net), Scheme::Resnet),
            ModelSpec::Wrn(net) => (Self::Wrn(Wrn::new(net, shape, device)), Scheme::Resnet),
            ModelSpec::EfficientnetLite0(net) => (efficientnet(true, net), Scheme::Efficientnet),
            ModelSpec::EfficientnetB0(net) => (efficientnet(false, net), Scheme::Efficientnet),
            ModelSpec::Vit(net) => (vit(net.into()), Scheme::Transformer),
            ModelSpec::VitTiny(net) => (vit(Layout::sized(192, 3, net)), Scheme::Transformer),
            ModelSpec::VitSmall(net) => (vit(Layout::sized(384, 6, net)), Scheme::Transformer),
            ModelSpec::Hybrid(net) => (vit(net.into()), Scheme::Transformer),
            ModelSpec::Coatnet(net) => (Self::Coatnet(Coatnet::new(net, shape, device)), Scheme::Transformer),
        };
        init::initialize(model, scheme, seed)
    }

    /// With a backbone that does not learn, whose norms go by their running statistics; or with one that does again.
    pub fn freeze_backbone(self, frozen: bool) -> Self {
        if !frozen {
            return self.unfreeze();
        }
        let mut backbone = Backbone { path: Vec::new(), ids: Vec::new() };
        self.visit(&mut backbone);
        self.freeze_group(ParamGroup::from_ids(backbone.ids))
    }

    /// Images `[batch, channels, height, width]` to scores `[batch, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(images),
            Self::Convnet(convnet) => convnet.forward(images),
            Self::Resnet(resnet) => resnet.forward(images),
            Self::Wrn(wrn) => wrn.forward(images),
            Self::Efficientnet(net) => net.forward(images),
            Self::Vit(vit) => vit.forward(images),
            Self::Coatnet(net) => net.forward(images),
        }
    }
}

/// Gathers what is not part of the last layer.
struct Backbone {
    path: Vec<String>,
    ids: Vec<ParamId>,
}

impl Backbone {
    fn push(&mut self, id: ParamId) {
        if !is_head(&self.path.join(".")) {
            self.ids.push(id);
        }
    }
}

impl ModuleVisitor for Backbone {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.push(param.id);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.push(flag.id);
    }
}

#[cfg(test)]
mod tests;
