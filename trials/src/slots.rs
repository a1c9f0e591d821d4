//! The places where trials train: shares of each GPU that the driver shows, else the CPU's cores.

use std::thread;

use nightsweep_trainer::DeviceName;
use nightsweep_trainer::device::count_cuda;

use crate::gpus::{Driver, Gpus};

/// Memory of a GPU below which no training of images fits, beside CUDA's own half gigabyte.
const LEAST_MEMORY: u64 = 1 << 30;

/// A place for one worker at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Place in the list of slots.
    pub index: usize,
    /// Where its worker computes.
    pub device: DeviceName,
    /// Further GPUs of its worker, for trials that train on several. No trial does yet.
    pub more: Vec<DeviceName>,
    /// The part of a GPU that it is, if others may have the rest.
    pub share: Option<Share>,
    /// Cores that its worker stays on; any, if empty.
    pub cores: Vec<usize>,
    /// How far its worker gives way to other processes, from 0 to 19.
    pub nice: u8,
}

/// A part of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which GPU.
    pub gpu: usize,
    /// Place among the slots of that GPU, from 0: those behind the first are only used while that pays.
    pub rank: usize,
    /// Bytes of memory that all slots of that GPU have together.
    pub budget: u64,
}

impl Slot {
    /// All of a device.
    pub fn new(index: usize, device: DeviceName) -> Self {
        Self { index, device, more: Vec::new(), share: None, cores: Vec::new(), nice: 0 }
    }

    /// Whether its worker computes on a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self.device, DeviceName::Cuda { .. })
    }
}

/// Slots that are used in any case: further shares of a GPU are only while that pays.
pub fn certain(slots: &[Slot]) -> Vec<Slot> {
    slots.iter().filter(|slot| slot.share.is_none_or(|share| share.rank == 0)).cloned().collect()
}

/// What a person said about the slots.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotOptions {
    /// Use these, whatever else there is; one named twice is shared by two workers.
    pub devices: Option<Vec<DeviceName>>,
    /// How many workers there are on the CPU.
    pub workers: Option<usize>,
    /// The GPUs to use, all of them if `None`.
    pub gpus: Option<Vec<usize>>,
    /// Share of each GPU's memory that trials may have together, in (0, 1].
    pub gpu_memory: f64,
    /// Most trials that share a GPU.
    pub per_gpu: usize,
    /// How far workers give way to other processes, from 0 to 19.
    pub nice: u8,
    /// Whether each worker stays on cores of its own.
    pub pin: bool,
}

/// Nine tenths of a GPU leave room for the desktop and for fragments. Four trials are about what keeps a large GPU busy with
/// small images; fewer share one if that is not faster.
impl Default for SlotOptions {
    fn default() -> Self {
        Self { devices: None, workers: None, gpus: None, gpu_memory: 0.9, per_gpu: 4, nice: 0, pin: false }
    }
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
    /// Others use all of the GPUs.
    #[error("other processes leave no memory on the GPUs that may be used")]
    Full,
}

/// The slots of this machine.
pub fn find(options: &SlotOptions) -> Result<Vec<Slot>, SlotError> {
    let driver = Driver::find();
    let usable = driver.count().min(count_cuda());
    let cores = own_cores();
    choose(options, &driver, usable, &cores)
}

/// The cores that this process may use.
fn own_cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let cores: Vec<usize> = allowed
        .map(|set| (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
        .unwrap_or_default();
    // A quota of processor time allows fewer than there are.
    let count = thread::available_parallelism().map_or(1, |cores| cores.get());
    if cores.is_empty() { (0..count).collect() } else { cores.into_iter().take(count).collect() }
}

fn choose(
    options: &SlotOptions,
    driver: &impl Gpus,
    usable_gpus: usize,
    cores: &[usize],
) -> Result<Vec<Slot>, SlotError> {
    let named = options.gpus.clone();
    let missing = named.iter().flatten().copied().find(|index| *index >= usable_gpus);
    if let Some(index) = missing {
        return Err(SlotError::NoSuchGpu { index, count: usable_gpus });
    }
    let mut slots = match (&options.devices, options.workers) {
        (Some(devices), workers) => named_devices(devices, workers, usable_gpus, cores.len())?,
        (None, workers) => match named.unwrap_or_else(|| (0..usable_gpus).collect()) {
            gpus if gpus.is_empty() => one_thread_each(workers.unwrap_or(cores.len())),
            gpus => shares(&gpus, options, driver)?,
        },
    };
    if slots.is_empty() {
        return Err(SlotError::None);
    }
    let mut free = cores.iter().copied();
    for (index, slot) in slots.iter_mut().enumerate() {
        slot.index = index;
        slot.nice = options.nice;
        if let DeviceName::Cpu { threads } = slot.device
            && options.pin
        {
            slot.cores = free.by_ref().take(threads).collect();
        }
    }
    // With more threads than cores, nobody gets a core alone.
    let threads: usize = slots.iter().map(|slot| slot.cores.len().max(1)).sum();
    if threads > cores.len() {
        slots.iter_mut().for_each(|slot| slot.cores.clear());
    }
    Ok(slots)
}

fn named_devices(
    devices: &[DeviceName],
    workers: Option<usize>,
    usable_gpus: usize,
    cores: usize,
) -> Result<Vec<Slot>, SlotError> {
    if devices.iter().all(|device| matches!(device, DeviceName::Cpu { .. })) {
        return Ok(cpus(devices, workers, cores));
    }
    let missing = devices.iter().find_map(|device| match device {
        DeviceName::Cuda { index } if *index >= usable_gpus => Some(*index),
        _ => None,
    });
    match missing {
        Some(index) => Err(SlotError::NoSuchGpu { index, count: usable_gpus }),
        None => Ok(devices.iter().map(|device| Slot::new(0, *device)).collect()),
    }
}

/// The slots of GPUs: first one of each, then the second ones, which are used while sharing pays. One whose memory others
/// have is left out.
fn shares(gpus: &[usize], options: &SlotOptions, driver: &impl Gpus) -> Result<Vec<Slot>, SlotError> {
    let budget = |gpu: usize| driver.state(gpu).map(|state| state.budget(options.gpu_memory));
    let budgets: Vec<(usize, Option<u64>)> = gpus.iter().map(|gpu| (*gpu, budget(*gpu))).collect();
    let open: Vec<(usize, Option<u64>)> =
        budgets.into_iter().filter(|(_, budget)| budget.is_none_or(|budget| budget >= LEAST_MEMORY)).collect();
    if open.is_empty() {
        return Err(SlotError::Full);
    }
    let slot = |rank: usize, gpu: usize, budget: Option<u64>| {
        let share = budget.map(|budget| Share { gpu, rank, budget });
        // Where nothing is known of its memory, a GPU has one slot.
        (rank == 0 || share.is_some()).then(|| Slot { share, ..Slot::new(0, DeviceName::Cuda { index: gpu }) })
    };
    let ranks = 0..options.per_gpu.max(1);
    Ok(ranks.flat_map(|rank| open.iter().filter_map(move |(gpu, budget)| slot(rank, *gpu, *budget))).collect())
}

/// `cpu` alone is all of it; `cpu:2` is a slot of two threads, once or as often as there are to be workers.
fn cpus(devices: &[DeviceName], workers: Option<usize>, cores: usize) -> Vec<Slot> {
    match devices {
        [DeviceName::Cpu { threads: 0 }] => one_thread_each(workers.unwrap_or(cores)),
        [device] => vec![Slot::new(0, *device); workers.unwrap_or(1)],
        devices => devices.iter().map(|device| Slot::new(0, *device)).collect(),
    }
}

/// Two processes of one thread each train 1.35 times as fast in sum as one of two threads (docs/results.md).
fn one_thread_each(workers: usize) -> Vec<Slot> {
    vec![Slot::new(0, DeviceName::Cpu { threads: 1 }); workers]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpus::GpuState;

    const GIB: u64 = 1 << 30;

    /// GPUs of 24 GiB each, with what others have of them.
    struct Simulated(Vec<u64>);

    impl Gpus for Simulated {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn state(&self, index: usize) -> Option<GpuState> {
            Some(GpuState { total: 24 * GIB, processes: [(7, *self.0.get(index)? * GIB)].into() })
        }
    }

    const CORES: [usize; 4] = [0, 1, 2, 3];

    fn check(devices: &[&str], workers: Option<usize>, gpus: usize, expected: &[&str]) {
        let named: Vec<DeviceName> = devices.iter().map(|name| name.parse().unwrap()).collect();
        let devices = (!devices.is_empty()).then_some(named);
        let options = SlotOptions { devices, workers, per_gpu: 1, ..SlotOptions::default() };
        let slots = choose(&options, &Simulated(vec![0; gpus]), gpus, &CORES).unwrap();
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
        let check = |options: SlotOptions, gpus: usize, expected| {
            assert_eq!(choose(&options, &Simulated(vec![0; gpus]), gpus, &CORES), Err(expected));
        };
        let default = SlotOptions::default;
        let gpu = Some(vec![DeviceName::Cuda { index: 1 }]);
        check(SlotOptions { devices: gpu, ..default() }, 1, SlotError::NoSuchGpu { index: 1, count: 1 });
        check(SlotOptions { gpus: Some(vec![0, 2]), ..default() }, 2, SlotError::NoSuchGpu { index: 2, count: 2 });
        check(SlotOptions { workers: Some(0), ..default() }, 0, SlotError::None);
        check(SlotOptions { devices: Some(vec![]), ..default() }, 0, SlotError::None);
    }

    #[test]
    fn a_gpu_is_cut_into_shares_of_what_others_leave() {
        let check = |gpus: Option<Vec<usize>>, others: &[u64], expected: Result<&[(usize, usize, u64)], SlotError>| {
            let options = SlotOptions { gpus, gpu_memory: 0.75, per_gpu: 2, ..SlotOptions::default() };
            let slots = choose(&options, &Simulated(others.to_vec()), others.len(), &CORES);
            let shares = slots.map(|slots| {
                let share = |slot: &Slot| slot.share.map(|share| (share.gpu, share.rank, share.budget / GIB));
                slots.iter().filter_map(share).collect::<Vec<_>>()
            });
            assert_eq!(shares.as_deref(), expected.as_ref().copied());
        };
        check(None, &[0, 0], Ok(&[(0, 0, 18), (1, 0, 18), (0, 1, 18), (1, 1, 18)]));
        check(Some(vec![0, 2]), &[0, 0, 10], Ok(&[(0, 0, 18), (2, 0, 14), (0, 1, 18), (2, 1, 14)]));
        // The second is somebody else's tonight.
        check(None, &[0, 24], Ok(&[(0, 0, 18), (0, 1, 18)]));
        check(None, &[24], Err(SlotError::Full));
    }

    #[test]
    fn workers_have_cores_of_their_own_if_there_are_enough() {
        let check = |devices: &[&str], expected: &[&[usize]]| {
            let devices = Some(devices.iter().map(|name| name.parse().unwrap()).collect());
            let options = SlotOptions { devices, pin: true, nice: 5, ..SlotOptions::default() };
            let slots = choose(&options, &Simulated(vec![]), 0, &CORES).unwrap();
            let cores: Vec<&[usize]> = slots.iter().map(|slot| slot.cores.as_slice()).collect();
            assert_eq!(cores, expected);
            assert!(slots.iter().all(|slot| slot.nice == 5));
        };
        check(&["cpu:1", "cpu:2"], &[&[0], &[1, 2]]);
        check(&["cpu:2", "cpu:2"], &[&[0, 1], &[2, 3]]);
        check(&["cpu:2", "cpu:2", "cpu:2"], &[&[], &[], &[]]);
    }
}
