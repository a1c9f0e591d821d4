//! What the driver tells of GPUs: how much memory they have, and who else uses it. A trait, because tests have GPUs that
//! are not there.

use std::collections::BTreeMap;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;

/// A GPU as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuState {
    /// Bytes of memory.
    pub total: u64,
    /// Bytes that each process has, by its number.
    pub processes: BTreeMap<u32, u64>,
}

impl GpuState {
    /// Bytes that we may use of that share of the memory, when others keep what they have.
    pub fn budget(&self, share: f64) -> u64 {
        let foreign: u64 = self.processes.values().sum();
        ((self.total as f64 * share) as u64).min(self.total.saturating_sub(foreign))
    }
}

/// Who knows the GPUs of a machine.
pub trait Gpus {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them; `None` where nobody can tell.
    fn state(&self, index: usize) -> Option<GpuState>;
}

/// The GPUs of this machine, as NVIDIA's management library shows them; none without a driver.
pub struct Driver(Option<Nvml>);

impl Driver {
    /// Looks for the library at run time; its absence is no error.
    pub fn find() -> Self {
        Self(Nvml::init().ok())
    }
}

impl Gpus for Driver {
    fn count(&self) -> usize {
        self.0.as_ref().and_then(|nvml| nvml.device_count().ok()).map_or(0, |count| count as usize)
    }

    fn state(&self, index: usize) -> Option<GpuState> {
        let gpu = self.0.as_ref()?.device_by_index(u32::try_from(index).ok()?).ok()?;
        let total = gpu.memory_info().ok()?.total;
        let processes = gpu.running_compute_processes().ok()?.into_iter().map(|process| {
            let bytes = match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => bytes,
                // As in a container that hides its neighbours.
                UsedGpuMemory::Unavailable => 0,
            };
            (process.pid, bytes)
        });
        Some(GpuState { total, processes: processes.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_is_left_to_them() {
        let check = |total, others: &[u64], share, expected| {
            let processes = (7..).zip(others.iter().copied()).collect();
            assert_eq!(GpuState { total, processes }.budget(share), expected);
        };
        check(100, &[], 1.0, 100);
        check(100, &[], 0.8, 80);
        check(100, &[10, 5], 0.8, 80);
        check(100, &[30, 30], 0.8, 40);
        check(100, &[70, 70], 0.8, 0);
    }
}
