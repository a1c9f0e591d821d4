//! The places where trials train: each GPU that the driver shows, else the CPU's cores.

use std::thread;

use nightsweep_trainer::DeviceName;
use nightsweep_trainer::device::count_cuda;
use nvml_wrapper::Nvml;

/// A place for one worker at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Place in the list of slots.
    pub index: usize,
    /// Where its worker computes.
    pub device: DeviceName,
}

/// What a person said about the slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotOptions {
    /// Use these, whatever else there is; one named twice is shared by two workers.
    pub devices: Option<Vec<DeviceName>>,
    /// How many workers there are on the CPU.
    pub workers: Option<usize>,
}

/// Why there is no slot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// None were named, or zero workers.
    #[error("no device is left to train on")]
    None,
    /// A GPU that this binary cannot use.
    #[error("there is no GPU {index} that this binary can use: it sees {count}")]
    NoSuchGpu {
        /// The one asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
}

/// The slots of this machine.
pub fn find(options: &SlotOptions) -> Result<Vec<Slot>, SlotError> {
    let gpus = || count_gpus().min(count_cuda());
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    choose(options, gpus, cores)
}

fn choose(options: &SlotOptions, gpus: impl FnOnce() -> usize, cores: usize) -> Result<Vec<Slot>, SlotError> {
    let devices = match (&options.devices, options.workers) {
        (Some(devices), _) if devices.iter().all(|device| matches!(device, DeviceName::Cpu { .. })) => {
            cpus(devices, options.workers, cores)
        }
        (Some(devices), _) => {
            let count = gpus();
            let missing = devices.iter().find_map(|device| match device {
                DeviceName::Cuda { index } if *index >= count => Some(*index),
                _ => None,
            });
            if let Some(index) = missing {
                return Err(SlotError::NoSuchGpu { index, count });
            }
            devices.clone()
        }
        (None, workers) => match gpus() {
            0 => one_thread_each(workers.unwrap_or(cores)),
            count => (0..count).map(|index| DeviceName::Cuda { index }).collect(),
        },
    };
    let slots: Vec<Slot> = devices.into_iter().enumerate().map(|(index, device)| Slot { index, device }).collect();
    if slots.is_empty() { Err(SlotError::None) } else { Ok(slots) }
}

/// `cpu` alone is all of it; `cpu:2` is a slot of two threads, once or as often as there are to be workers.
fn cpus(devices: &[DeviceName], workers: Option<usize>, cores: usize) -> Vec<DeviceName> {
    match devices {
        [DeviceName::Cpu { threads: 0 }] => one_thread_each(workers.unwrap_or(cores)),
        [device] => vec![*device; workers.unwrap_or(1)],
        devices => devices.to_vec(),
    }
}

/// Two processes of one thread each train 1.35 times as fast in sum as one of two threads (docs/results.md).
fn one_thread_each(workers: usize) -> Vec<DeviceName> {
    vec![DeviceName::Cpu { threads: 1 }; workers]
}

/// GPUs that the driver shows; the library is looked for at run time, and its absence is no error.
fn count_gpus() -> usize {
    Nvml::init().and_then(|nvml| nvml.device_count()).map_or(0, |count| count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(devices: &[&str], workers: Option<usize>, gpus: usize, expected: &[&str]) {
        let named: Vec<DeviceName> = devices.iter().map(|name| name.parse().unwrap()).collect();
        let options = SlotOptions { devices: (!devices.is_empty()).then_some(named), workers };
        let slots = choose(&options, || gpus, 4).unwrap();
        let names: Vec<String> = slots.iter().map(|slot| slot.device.to_string()).collect();
        assert_eq!(names, expected);
        assert!(slots.iter().enumerate().all(|(index, slot)| slot.index == index));
    }

    #[test]
    fn every_gpu_is_a_slot_and_without_one_every_core() {
        check(&[], None, 2, &["cuda:0", "cuda:1"]);
        check(&[], None, 0, &["cpu:1"; 4]);
        check(&[], Some(2), 0, &["cpu:1"; 2]);
    }

    #[test]
    fn what_a_person_names_is_taken_as_it_is() {
        check(&["cuda:1"], None, 2, &["cuda:1"]);
        check(&["cuda:0", "cuda:0", "cpu:2"], None, 1, &["cuda:0", "cuda:0", "cpu:2"]);
        check(&["cpu"], None, 8, &["cpu:1"; 4]);
        check(&["cpu"], Some(3), 8, &["cpu:1"; 3]);
        check(&["cpu:2"], Some(2), 8, &["cpu:2"; 2]);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let options = |devices, workers| SlotOptions { devices, workers };
        let gpu = options(Some(vec![DeviceName::Cuda { index: 1 }]), None);
        assert_eq!(choose(&gpu, || 1, 4), Err(SlotError::NoSuchGpu { index: 1, count: 1 }));
        assert_eq!(choose(&options(None, Some(0)), || 0, 4), Err(SlotError::None));
        assert_eq!(choose(&options(Some(vec![]), None), || 0, 4), Err(SlotError::None));
    }
}
