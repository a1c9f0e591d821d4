//! What the driver says of this machine's GPUs, where there is one.

use std::sync::LazyLock;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// A GPU now, whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    pub index: u32,
    pub name: String,
    pub used_bytes: u64,
    pub total_bytes: u64,
    /// Share of the last moments in which a kernel ran, in percent.
    pub busy_percent: u32,
}

/// The library is looked for at run time, once: a machine without it has no GPU that we could use.
static NVML: LazyLock<Option<Nvml>> = LazyLock::new(|| Nvml::init().ok());

/// Every GPU that answers. Waits for the driver, a few milliseconds a GPU.
pub(crate) fn gpus() -> Vec<Gpu> {
    let Some(nvml) = &*NVML else { return Vec::new() };
    (0..nvml.device_count().unwrap_or(0)).filter_map(|index| gpu(nvml, index).ok()).collect()
}

fn gpu(nvml: &Nvml, index: u32) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let memory = device.memory_info()?;
    let busy_percent = device.utilization_rates().map_or(0, |rates| rates.gpu);
    Ok(Gpu { index, name: device.name()?, used_bytes: memory.used, total_bytes: memory.total, busy_percent })
}
