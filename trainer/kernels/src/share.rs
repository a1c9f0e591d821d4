//! Work cut into shares for threads, always in the same way for the same number of them.

use std::cell::Cell;
use std::mem::MaybeUninit;

/// How many of `count` a thread takes at once when all together take them in `shares` shares.
pub fn share_of(count: usize, shares: usize) -> usize {
    count.div_ceil(shares.max(1)).max(1)
}

/// Cuts off the front of a slice and leaves the rest.
pub fn take_front<'a>(rest: &mut &'a mut [MaybeUninit<f32>], len: usize) -> &'a mut [MaybeUninit<f32>] {
    let (front, others) = std::mem::take(rest).split_at_mut(len);
    *rest = others;
    front
}

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lends a thread's own numbers, which are of no value.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = work(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}
