//! Where a trial computes: a number of CPU threads or a GPU, found at run time.

use std::fmt;
use std::str::FromStr;

pub use burn::tensor::Device;

/// Name of a device, as users write it: `cpu`, `cpu:4` (threads) or `cuda:0` (index).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceName {
    /// The CPU, with this many threads; 0 is one for each core.
    Cpu {
        /// Threads that compute.
        threads: usize,
    },
    /// An NVIDIA GPU, counted as CUDA does.
    Cuda {
        /// Place in CUDA's list.
        index: usize,
    },
}

/// A text that names no device.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no device: use `cpu`, `cpu:THREADS` or `cuda:INDEX`")]
pub struct ParseDeviceError(String);

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The binary was built with `--no-default-features`.
    #[error("this binary was built without CUDA")]
    BuiltWithoutCuda,
    /// The driver shows no such GPU.
    #[error("there is no GPU {index}: the driver shows {count}")]
    NoSuchGpu {
        /// The one asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The thread pool exists already with another size.
    #[error("could not set {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the pool says.
        source: rayon::ThreadPoolBuildError,
    },
}

impl DeviceName {
    /// Makes the device ready. Once per process: the number of threads cannot change afterwards.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu { threads } => {
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build_global()
                    .map_err(|source| DeviceError::Threads { threads, source })?;
                Ok(Device::flex())
            }
            Self::Cuda { index } => open_cuda(index),
        }
    }

    /// The device for a process that does other things too: on the CPU, with the threads that there are.
    pub fn open_shared(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu { .. } => Ok(Device::flex()),
            Self::Cuda { index } => open_cuda(index),
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<Device, DeviceError> {
    // `Device::cuda` panics without a driver, so it is only asked for what the driver shows.
    let count = count_cuda();
    if index >= count { Err(DeviceError::NoSuchGpu { index, count }) } else { Ok(Device::cuda(index)) }
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::BuiltWithoutCuda)
}

/// GPUs that CUDA can use; 0 without a driver.
#[cfg(feature = "cuda")]
pub fn count_cuda() -> usize {
    use burn::tensor::DeviceType;
    Device::enumerate(DeviceType::Cuda).into_vec().len()
}

/// GPUs that CUDA can use: none in this build.
#[cfg(not(feature = "cuda"))]
pub fn count_cuda() -> usize {
    0
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { threads: 0 } => f.write_str("cpu"),
            Self::Cpu { threads } => write!(f, "cpu:{threads}"),
            Self::Cuda { index } => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, number.parse().map_err(|_| ParseDeviceError(text.to_owned()))?),
            None => (text, 0),
        };
        match kind {
            "cpu" => Ok(Self::Cpu { threads: number }),
            "cuda" => Ok(Self::Cuda { index: number }),
            _ => Err(ParseDeviceError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["cpu", "cpu:4", "cuda:0", "cuda:7"] {
            assert_eq!(text.parse::<DeviceName>().unwrap().to_string(), text);
        }
        for text in ["gpu", "cuda:x", "cpu:-1", ""] {
            let error = text.parse::<DeviceName>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no device")));
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        assert!(DeviceName::Cuda { index: 1000 }.open().is_err());
    }
}
