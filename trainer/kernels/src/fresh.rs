//! Room for results that are written once and whole: clearing it first would cost a pass over memory.

#![expect(unsafe_code, reason = "changes only the type of a vector, as `Vec<MaybeUninit<T>>` has no stable way yet")]

use std::mem::{ManuallyDrop, MaybeUninit};

/// Room for so many numbers.
pub fn fresh(len: usize) -> Vec<MaybeUninit<f32>> {
    let mut room = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and `MaybeUninit` needs no value.
    unsafe { room.set_len(len) };
    room
}

/// The numbers, now that each has been written. For this crate's kernels only, which write all that they are given.
pub(crate) fn assume_written(room: Vec<MaybeUninit<f32>>) -> Vec<f32> {
    let mut room = ManuallyDrop::new(room);
    // SAFETY: same allocation, and the same size and alignment of the elements; the kernels wrote all of them.
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}

/// Numbers as room, to be added to.
pub(crate) fn as_room(numbers: Vec<f32>) -> Vec<MaybeUninit<f32>> {
    let mut numbers = ManuallyDrop::new(numbers);
    // SAFETY: same allocation, and the same size and alignment of the elements.
    unsafe { Vec::from_raw_parts(numbers.as_mut_ptr().cast(), numbers.len(), numbers.capacity()) }
}
