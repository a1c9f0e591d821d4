//! Work cut into shares for threads, always in the same way for the same number of them.

use std::cell::Cell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Products below which another thread costs more than it saves: it takes some tens of microseconds to wake.
const SMALL: usize = 1 << 22;

/// Threads that so many products are worth.
pub fn threads_for(products: usize) -> usize {
    if products < SMALL { 1 } else { rayon::current_num_threads() }
}

/// Does each piece of work, on all threads. A single piece, or what a single thread would do, is done at once here: to hand
/// it over and wait would take longer than many a layer does.
pub fn for_each<T: Send>(work: impl Iterator<Item = T>, f: impl Fn(T) + Sync + Send) {
    map(work, f);
}

/// [`for_each`] with results, in the work's order.
pub fn map<T: Send, R: Send>(work: impl Iterator<Item = T>, f: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        return work.map(f).collect();
    }
    let work: Vec<T> = work.collect();
    match work.len() {
        0 | 1 => work.into_iter().map(f).collect(),
        _ => work.into_par_iter().map(f).collect(),
    }
}

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
