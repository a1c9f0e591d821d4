//! How many trials share a GPU: one more as long as their measured memory fits and all together get on faster, one fewer
//! when they do not; then another try after a while, and later ones after longer.
//!
//! Images a second of different models do not add up, so speeds count in trainings alone: an epoch that takes twice as long
//! beside others as it did alone is half a training.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::pace::Family;
use crate::slots::{Share, Slot};

/// By how much one more trial has to speed all up, to be worth its memory and its noise.
const WORTH: f64 = 1.05;
/// Time after a try that did not pay before the next one; it doubles with each.
const FIRST_REST: Duration = Duration::from_secs(600);
/// Longest such time.
const LONGEST_REST: Duration = Duration::from_secs(7200);
/// Weight of a new epoch in a running mean.
const NEWS: f64 = 0.3;

/// What is known of all GPUs that may be shared.
#[derive(Clone, Debug, Default)]
pub struct Packing {
    gpus: BTreeMap<usize, Sharing>,
    families: Vec<Known>,
}

/// What is known of a family's trials.
#[derive(Clone, Debug)]
struct Known {
    family: Family,
    /// Seconds of an epoch without neighbours.
    alone: Option<f64>,
    /// Most bytes of the GPU that one had.
    peak: Option<u64>,
}

/// One GPU.
#[derive(Clone, Debug)]
struct Sharing {
    budget: u64,
    /// Slots there are.
    most: usize,
    /// Slots that are used.
    level: usize,
    /// Speed of all together with so many, from 1, in trainings alone.
    speeds: BTreeMap<usize, f64>,
    /// Latest speed of each slot with the neighbours that there are.
    current: BTreeMap<usize, f64>,
    /// Who trains, by slot.
    trains: BTreeMap<usize, Family>,
    /// When somebody last came or went.
    changed: Option<Instant>,
    /// Until when no further one is tried.
    rests_until: Option<Instant>,
    rests: u32,
}

impl Packing {
    /// Nothing is known yet: each GPU has one trial.
    pub fn new(slots: &[Slot]) -> Self {
        let mut gpus: BTreeMap<usize, Sharing> = BTreeMap::new();
        for Share { gpu, rank, budget } in slots.iter().filter_map(|slot| slot.share) {
            let sharing = gpus.entry(gpu).or_insert_with(|| Sharing {
                budget,
                most: 0,
                level: 1,
                speeds: BTreeMap::from([(1, 1.0)]),
                current: BTreeMap::new(),
                trains: BTreeMap::new(),
                changed: None,
                rests_until: None,
                rests: 0,
            });
            sharing.most = sharing.most.max(rank + 1);
        }
        Self { gpus, families: Vec::new() }
    }

    /// Whether the slot is used now. One that is no share always is.
    pub fn is_open(&self, slot: &Slot) -> bool {
        slot.share.is_none_or(|share| self.gpus.get(&share.gpu).is_none_or(|gpu| share.rank < gpu.level))
    }

    /// Whether a trial of the family fits beside those that train there. One of which nothing is known fits alone.
    pub fn fits(&self, slot: &Slot, family: &Family) -> bool {
        let Some(share) = slot.share else { return true };
        let Some(gpu) = self.gpus.get(&share.gpu) else { return true };
        let others = gpu.trains.iter().filter(|(rank, _)| **rank != share.rank).map(|(_, family)| family);
        let all: Vec<&Family> = others.chain([family]).collect();
        let peaks: Option<u64> = all.iter().map(|family| self.known(family).and_then(|known| known.peak)).sum();
        all.len() == 1 || peaks.is_some_and(|peaks| peaks <= gpu.budget)
    }

    /// Takes in what a probe measured of the family alone.
    pub fn learn_probe(&mut self, family: &Family, epoch: Option<Duration>, peak: Option<u64>) {
        let known = self.entry(family);
        known.alone = known.alone.or(epoch.map(|epoch| epoch.as_secs_f64()));
        known.peak = known.peak.max(peak);
    }

    /// A trial begins there.
    pub fn began(&mut self, slot: &Slot, family: &Family, now: Instant) {
        if let Some(gpu) = self.gpu(slot) {
            gpu.change(now);
            gpu.trains.insert(rank_of(slot), family.clone());
        }
    }

    /// Nobody trains there any more.
    pub fn ended(&mut self, slot: &Slot, now: Instant) {
        let rank = rank_of(slot);
        if let Some(gpu) = self.gpu(slot)
            && gpu.trains.remove(&rank).is_some()
        {
            gpu.change(now);
        }
    }

    /// An epoch of the trial there took so long, and had so many bytes of the GPU.
    pub fn reported(&mut self, slot: &Slot, took: Duration, peak: Option<u64>, now: Instant) {
        let rank = rank_of(slot);
        let Some(gpu) = self.gpu(slot) else { return };
        let Some(family) = gpu.trains.get(&rank).cloned() else { return };
        let neighbours = gpu.trains.len() - 1;
        let begin = now.checked_sub(took);
        let is_undisturbed = gpu.changed.zip(begin).is_some_and(|(changed, begin)| begin >= changed);
        let seconds = took.as_secs_f64().max(1e-9);
        let known = self.entry(&family);
        known.peak = known.peak.max(peak);
        if !is_undisturbed {
            return;
        }
        if neighbours == 0 {
            known.alone = Some(known.alone.map_or(seconds, |alone| alone + NEWS * (seconds - alone)));
        }
        let Some(alone) = known.alone else { return };
        let Some(gpu) = self.gpu(slot) else { return };
        gpu.current.insert(rank, alone / seconds);
        if gpu.current.len() == gpu.level && gpu.trains.len() == gpu.level {
            gpu.settle(now);
        }
    }

    /// A trial there had no memory. Whether others may have had it: then there will be fewer of them for a while.
    pub fn out_of_memory(&mut self, slot: &Slot, now: Instant) -> bool {
        let Some(gpu) = self.gpu(slot) else { return false };
        let is_shared = gpu.trains.len() > 1;
        if is_shared {
            gpu.back_off(now);
        }
        is_shared
    }

    fn gpu(&mut self, slot: &Slot) -> Option<&mut Sharing> {
        self.gpus.get_mut(&slot.share?.gpu)
    }

    fn known(&self, family: &Family) -> Option<&Known> {
        self.families.iter().find(|known| known.family == *family)
    }

    fn entry(&mut self, family: &Family) -> &mut Known {
        let at = self.families.iter().position(|known| known.family == *family);
        let at = at.unwrap_or_else(|| {
            self.families.push(Known { family: family.clone(), alone: None, peak: None });
            self.families.len() - 1
        });
        &mut self.families[at]
    }
}

impl Sharing {
    fn change(&mut self, now: Instant) {
        self.changed = Some(now);
        self.current.clear();
    }

    /// All slots that are used have told how fast they are beside each other.
    fn settle(&mut self, now: Instant) {
        let speed: f64 = self.current.values().sum();
        let before = self.speeds.get(&(self.level - 1)).copied().unwrap_or(0.0);
        self.speeds.insert(self.level, speed);
        if self.level > 1 && speed < WORTH * before {
            return self.back_off(now);
        }
        if self.level < self.most && self.rests_until.is_none_or(|until| now >= until) {
            self.level += 1;
            self.current.clear();
        }
    }

    fn back_off(&mut self, now: Instant) {
        self.level = (self.level - 1).max(1);
        self.current.clear();
        let rest = FIRST_REST.saturating_mul(1 << self.rests.min(8)).min(LONGEST_REST);
        self.rests_until = Some(now + rest);
        self.rests += 1;
    }
}

fn rank_of(slot: &Slot) -> usize {
    slot.share.map_or(0, |share| share.rank)
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::{DeviceName, Recipe};

    use super::*;

    fn slots(most: usize, budget: u64) -> Vec<Slot> {
        let device = DeviceName::Cuda { index: 0 };
        let share = |rank| Some(Share { gpu: 0, rank, budget });
        (0..most).map(|rank| Slot { share: share(rank), ..Slot::new(rank, device) }).collect()
    }

    fn family(batch_size: usize) -> Family {
        Family::of(&Recipe { batch_size, ..Recipe::default() })
    }

    /// Trains for hours on a GPU where `n` trials beside each other take `slowdown[n - 1]` times as long as one alone, each
    /// with so many bytes; returns how many were there at the end of each epoch of the first one.
    fn check(slowdown: &[f64], budget: u64, peak: u64, epochs: usize) -> Vec<usize> {
        let slots = slots(slowdown.len(), budget);
        let mut packing = Packing::new(&slots);
        let mut now = Instant::now();
        let mut on = Vec::new();
        let mut levels = Vec::new();
        for _ in 0..epochs {
            for (rank, slot) in slots.iter().enumerate() {
                let is_there = on.contains(&rank);
                if !is_there && packing.is_open(slot) && packing.fits(slot, &family(64)) {
                    packing.began(slot, &family(64), now);
                    on.push(rank);
                } else if is_there && !packing.is_open(slot) {
                    packing.ended(slot, now);
                    on.retain(|other| *other != rank);
                }
            }
            let took = Duration::from_secs_f64(60.0 * slowdown[on.len() - 1]);
            now += took;
            on.iter().for_each(|rank| packing.reported(&slots[*rank], took, Some(peak), now));
            levels.push(on.len());
        }
        levels
    }

    #[test]
    fn a_gpu_has_as_many_trials_as_get_on_faster_together() {
        // 1, 1.67, 2.31 and 2 trainings at once: three are best; four are tried, and again only after a rest.
        let levels = check(&[1.0, 1.2, 1.3, 2.0], 100, 10, 30);
        assert_eq!(levels[..5], [1, 2, 3, 4, 3]);
        let fours = levels.iter().filter(|level| **level == 4).count();
        assert!((2..=4).contains(&fours), "{levels:?}");
        assert_eq!(levels.iter().filter(|level| **level == 3).count(), 30 - 2 - fours, "{levels:?}");
        // One keeps it busy.
        let levels = check(&[1.0, 2.0, 3.0], 100, 10, 30);
        assert!(levels.iter().filter(|level| **level == 1).count() >= 26, "{levels:?}");
        assert!(!levels.contains(&3));
    }

    #[test]
    fn memory_has_the_last_word() {
        assert!(check(&[1.0, 1.0, 1.0, 1.0], 25, 10, 20).iter().all(|level| *level <= 2));
        assert!(check(&[1.0, 1.0], 15, 10, 20).iter().all(|level| *level == 1));
        // Alone, a trial may try what it has not been seen to fit.
        let packing = Packing::new(&slots(2, 1));
        assert!(packing.fits(&slots(2, 1)[0], &family(64)));
    }

    #[test]
    fn a_trial_without_memory_beside_others_has_fewer_of_them() {
        let slots = slots(2, 100);
        let now = Instant::now();
        let mut packing = Packing::new(&slots);
        packing.learn_probe(&family(64), Some(Duration::from_secs(60)), Some(10));
        packing.began(&slots[0], &family(64), now);
        assert!(!packing.out_of_memory(&slots[0], now), "it was alone");
        let later = now + Duration::from_secs(60);
        packing.reported(&slots[0], Duration::from_secs(60), Some(10), later);
        assert!(packing.is_open(&slots[1]) && packing.fits(&slots[1], &family(64)));
        assert!(!packing.fits(&slots[1], &family(128)), "nothing is known of it");
        packing.began(&slots[1], &family(64), later);
        assert!(packing.out_of_memory(&slots[1], later));
        assert!(!packing.is_open(&slots[1]));
    }

    #[test]
    fn what_is_no_share_is_always_open() {
        let slot = Slot::new(0, DeviceName::Cpu { threads: 1 });
        let packing = Packing::new(std::slice::from_ref(&slot));
        assert!(packing.is_open(&slot) && packing.fits(&slot, &family(64)));
    }
}
