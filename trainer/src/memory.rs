//! How much memory a trial takes: the process's as Linux counts it, a GPU's as burn's allocator does.

#![expect(unsafe_code, reason = "the allocator's settings are a C interface")]

use std::ffi::c_long;
use std::fs;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;

/// mimalloc's `mi_option_purge_delay`, which the bindings do not name: milliseconds until freed memory goes back to the
/// system; -1 is never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Trainings that keep memory at this time, and the delay before the first of them.
static KEEPING: Mutex<(usize, c_long)> = Mutex::new((0, 0));

/// Freed memory stays with the process while this lives, then all of it goes back.
#[derive(Debug)]
#[must_use = "the memory goes back when this is dropped"]
pub struct Kept(());

/// Keeps freed memory for what is allocated next: each step of a training asks for the same large blocks as the one before,
/// and pages that went back in between are cleared by the system again, which took a third of a ViT's time.
///
/// Does nothing where mimalloc is not the program's allocator.
pub fn keep() -> Kept {
    let mut keeping = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
    if keeping.0 == 0 {
        // SAFETY: reads and writes a number of the allocator's; the lock keeps other threads of ours away.
        unsafe {
            keeping.1 = libmimalloc_sys::mi_option_get(PURGE_DELAY);
            libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        }
    }
    keeping.0 += 1;
    Kept(())
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut keeping = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        keeping.0 -= 1;
        if keeping.0 == 0 {
            // SAFETY: as above; collecting may happen at any time.
            unsafe {
                libmimalloc_sys::mi_option_set(PURGE_DELAY, keeping.1);
                libmimalloc_sys::mi_collect(true);
            }
        }
    }
}

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
    fn the_setting_that_keeps_memory_is_the_allocators_delay() {
        // SAFETY: reads a number.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        let kept = [keep(), keep()];
        assert_eq!(delay(), -1);
        let [one, other] = kept;
        drop(one);
        assert_eq!(delay(), -1);
        drop(other);
        // Other tests of this process may train.
        assert!([-1, 1000].contains(&delay()), "mimalloc gives memory back after a second, not {} ms", delay());
    }

    #[test]
    fn the_peak_sees_a_large_allocation() {
        let block = vec![1u8; 64 << 20];
        // Other tests of this process reset the peak at any time, but never below what is resident.
        let Some(peak) = peak_bytes() else { return };
        assert!(peak >= block.len() as u64, "{peak}");
        std::hint::black_box(block);
    }
}
