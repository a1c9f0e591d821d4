//! Work cut into shares for threads, always in the same way for the same number of them.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::team::Team;

/// Products below which another thread costs more than it saves.
const SMALL: usize = 1 << 19;

/// As many threads as rayon's pool has, the caller among them.
static TEAM: LazyLock<Team> = LazyLock::new(|| Team::new(rayon::current_num_threads() - 1));

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
    if work.len() <= 1 {
        return work.into_iter().map(f).collect();
    }
    /// What goes in, and what has come out.
    enum Piece<T, R> {
        Open(T),
        Taken,
        Done(R),
    }
    let pieces: Vec<Mutex<Piece<T, R>>> = work.into_iter().map(|piece| Mutex::new(Piece::Open(piece))).collect();
    TEAM.run(pieces.len(), &|index| {
        let mut piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
        if let Piece::Open(work) = std::mem::replace(&mut *piece, Piece::Taken) {
            *piece = Piece::Done(f(work));
        }
    });
    let done = |piece: Mutex<Piece<T, R>>| match piece.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Piece::Done(result) => result,
        Piece::Open(_) | Piece::Taken => unreachable!("a piece that panicked does not return"),
    };
    pieces.into_iter().map(done).collect()
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
