//! Threads that take part in one layer after another.
//!
//! A training step hands out some hundred pieces of work, each of some hundred microseconds, with next to nothing between
//! them. A thread that sleeps in between takes tens of microseconds to wake, so these wait awake for a while, as OpenMP's do.

#![expect(unsafe_code, reason = "lends a closure on the caller's stack to threads that end later")]

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread without work waits awake: some times what it takes to wake one, and longer than what lies between two
/// layers.
const PATIENCE: Duration = Duration::from_micros(200);
/// How many times a thread comes for pieces, where there are more: enough for the last ones to end together.
const RUNS: usize = 8;
/// Looks at the work between two at the clock.
const LOOKS: u32 = 64;

/// Set in `Shared::state` while a job takes helpers; the rest of it counts those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

/// A number of threads that help whoever calls [`Team::run`].
pub struct Team {
    shared: Arc<Shared>,
    helpers: Vec<Helper>,
    /// Held by who leads: there is one job at a time.
    lead: Mutex<()>,
}

struct Helper {
    thread: Thread,
    sleeps: Arc<AtomicBool>,
}

struct Shared {
    state: AtomicUsize,
    /// The next piece that nobody has taken.
    next: AtomicUsize,
    count: AtomicUsize,
    /// Pieces that are taken at once.
    run: AtomicUsize,
    /// Written by the leader while the state is zero, read by who is counted in it.
    job: UnsafeCell<Option<&'static (dyn Fn(usize) + Sync)>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: the protocol at `job`; all else is made for sharing.
unsafe impl Sync for Shared {}

impl Team {
    /// A team of the caller and so many others, who live as long as the process.
    pub fn new(helpers: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            run: AtomicUsize::new(1),
            job: UnsafeCell::new(None),
            panic: Mutex::new(None),
        });
        let helper = |index| {
            let (shared, sleeps) = (Arc::clone(&shared), Arc::new(AtomicBool::new(false)));
            let own = Arc::clone(&sleeps);
            let spawned = thread::Builder::new().name(format!("layer-{index}")).spawn(move || shared.help(&own));
            // With fewer threads the same work takes longer.
            spawned.ok().map(|handle| Helper { thread: handle.thread().clone(), sleeps })
        };
        let helpers = (0..helpers).filter_map(helper).collect();
        Self { shared, helpers, lead: Mutex::new(()) }
    }

    /// Calls `work` once with each number below `count`, on whichever threads are free, and returns when all is done. Of two
    /// callers at the same time, or one inside the other, the second works alone.
    ///
    /// # Panics
    /// If `work` does.
    pub fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let lead = match self.lead.try_lock() {
            Ok(lead) if count > 1 && !self.helpers.is_empty() => lead,
            _ => return (0..count).for_each(work),
        };
        let shared = &*self.shared;
        // SAFETY: the reference is taken back below before the borrow ends: no helper enters a closed job, and this waits
        // until none is inside.
        let lent = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work) };
        // SAFETY: the state is zero, so that nobody reads it.
        unsafe { *shared.job.get() = Some(lent) };
        shared.next.store(0, Ordering::Relaxed);
        shared.count.store(count, Ordering::Relaxed);
        shared.run.store((count / ((1 + self.helpers.len()) * RUNS)).max(1), Ordering::Relaxed);
        shared.state.store(OPEN, Ordering::Release);
        // Either a helper that goes to sleep sees the job, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        for helper in self.helpers.iter().filter(|helper| helper.sleeps.load(Ordering::Relaxed)) {
            helper.thread.unpark();
        }
        shared.take_pieces(lent);
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let begin = Instant::now();
        while shared.state.load(Ordering::Acquire) != 0 {
            // A helper without a processor needs this one's.
            if begin.elapsed() < PATIENCE { spin_loop() } else { thread::yield_now() }
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(lead);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Shared {
    fn has_pieces(&self) -> bool {
        self.state.load(Ordering::Acquire) & OPEN != 0
            && self.next.load(Ordering::Relaxed) < self.count.load(Ordering::Relaxed)
    }

    fn take_pieces(&self, job: &(dyn Fn(usize) + Sync)) {
        let [count, run] = [&self.count, &self.run].map(|number| number.load(Ordering::Relaxed));
        let work = || {
            loop {
                let first = self.next.fetch_add(run, Ordering::Relaxed);
                if first >= count {
                    break;
                }
                (first..count.min(first + run)).for_each(job);
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            // The others need not go on.
            self.next.store(count, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    /// What a helper does all its life.
    fn help(&self, sleeps: &AtomicBool) {
        loop {
            self.await_pieces(sleeps);
            let enter = |state: usize| (state & OPEN != 0).then_some(state + 1);
            if self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, enter).is_ok() {
                // SAFETY: this is counted in the state, so that the job stays what it is.
                if let Some(job) = unsafe { *self.job.get() } {
                    self.take_pieces(job);
                }
                self.state.fetch_sub(1, Ordering::Release);
            }
        }
    }

    fn await_pieces(&self, sleeps: &AtomicBool) {
        let begin = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if self.has_pieces() {
                    return;
                }
                spin_loop();
            }
            if begin.elapsed() > PATIENCE {
                break;
            }
        }
        sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while !self.has_pieces() {
            thread::park();
        }
        sleeps.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_done_once_however_many_help() {
        for helpers in [0, 1, 3] {
            let team = Team::new(helpers);
            for count in (0..40).chain([1000]) {
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                team.run(count, &|piece| {
                    done[piece].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{count} with {helpers}");
                // Now and then the helpers fall asleep.
                if count % 10 == 0 {
                    thread::sleep(2 * PATIENCE);
                }
            }
        }
    }

    #[test]
    fn work_inside_work_and_beside_it_is_done() {
        let (team, done) = (Team::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        team.run(4, &|_| {
                            team.run(3, &|_| {
                                done.fetch_add(1, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 3 * 200 * 4 * 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(1);
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| team.run(8, &|piece| assert!(piece != 5, "piece {piece}"))));
            let message = caught.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(*message, "piece 5");
            let done = AtomicUsize::new(0);
            team.run(8, &|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 8);
        }
    }
}
