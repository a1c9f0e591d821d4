//! What this process trains on and with.

use std::fs;

use nightsweep_store::Provenance;
use nightsweep_trainer::{DeviceName, LIBRARIES, TrialSeed};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// What a trial on that device trains on and with; `data` is the fingerprint of its images.
pub fn of(seed: TrialSeed, data: &str, device: DeviceName) -> Provenance {
    Provenance {
        study_seed: seed.study,
        trial_seed: seed.trial,
        data: data.to_owned(),
        files: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: device.to_string(),
        hardware: hardware(device),
        libraries: LIBRARIES.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect(),
    }
}

/// The processor, or the GPU with its driver.
fn hardware(device: DeviceName) -> String {
    match device {
        DeviceName::Cpu { .. } => processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        DeviceName::Cuda { index } => gpu(index).unwrap_or_else(|error| format!("an NVIDIA GPU ({error})")),
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn gpu(index: usize) -> Result<String, NvmlError> {
    let nvml = Nvml::init()?;
    let name = nvml.device_by_index(u32::try_from(index).unwrap_or(u32::MAX))?.name()?;
    let cuda = nvml.sys_cuda_driver_version()?;
    Ok(format!("{name}, driver {}, CUDA {}.{}", nvml.sys_driver_version()?, cuda / 1000, cuda % 1000 / 10))
}
