//! How much memory a trial takes: the process's as Linux counts it, a GPU's as burn's allocator does.

use std::fs;

use burn::tensor::Device;

/// Starts the count of the peak anew; where that is not allowed, the peak is the process's.
pub fn reset_peak() {
    // 5 resets VmHWM (proc_pid_clear_refs(5)). A kernel without it keeps the old peak, which is still an upper bound.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most resident memory since the last reset; `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Memory that burn holds on a GPU, which is the most that was in use since it last let go of some; `None` on a CPU.
pub fn device_bytes(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_sees_a_large_allocation() {
        let block = vec![1u8; 64 << 20];
        // Other tests of this process reset the peak at any time, but never below what is resident.
        let Some(peak) = peak_bytes() else { return };
        assert!(peak >= block.len() as u64, "{peak}");
        std::hint::black_box(block);
    }
}
