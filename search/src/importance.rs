//! Which parameters mattered: PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), as Optuna has it, with conditional
//! parameters (arXiv 2601.20800).
//!
//! A parameter matters by how much the density of its values among the best tenth of the trials differs from that among all
//! of them (Pearson's divergence). Costs little at any number of trials, unlike an analysis of variance by forests.

use indexmap::IndexMap;

use crate::domain::Axis;
use crate::study::Study;
use crate::trial::{Loss, TrialState};

/// Share of the trials that are the best ones; the paper's γ'.
const BEST_SHARE: f64 = 0.1;
/// Cells into which an axis is divided for the densities.
const CELLS: f64 = 50.0;

/// A parameter and its share of what mattered.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Name of the parameter.
    pub param: String,
    /// From 0 to 1; all together make 1, unless nothing is known.
    pub share: f64,
}

impl Study {
    /// How much each parameter mattered for a trial to be among the best tenth, greatest first. Complete trials count.
    pub fn importance(&self) -> Vec<Importance> {
        let complete = self.trials().iter().filter(|trial| trial.state == TrialState::Complete);
        let mut trials: Vec<(Loss, Vec<f64>)> = complete
            .filter_map(|trial| {
                Some((Loss::of(trial.value?, self.config().direction), self.domain().encode(&trial.params)))
            })
            .collect();
        trials.sort_by_key(|(loss, _)| *loss);
        let best = best_of(&trials);
        let divergences: Vec<f64> = (0..self.domain().len())
            .map(|axis| {
                let column =
                    |rows: &[(Loss, Vec<f64>)]| rows.iter().map(|(_, point)| point[axis]).collect::<Vec<f64>>();
                divergence(&self.domain().axes()[axis], &column(&trials[..best]), &column(&trials))
            })
            .collect();
        let total: f64 = divergences.iter().sum();
        let share = |divergence: f64| if total > 0.0 { divergence / total } else { 0.0 };
        // The axes of a permutation count together.
        let mut shares: IndexMap<&str, f64> = IndexMap::new();
        for (axis, divergence) in divergences.iter().enumerate() {
            *shares.entry(self.domain().name(axis)).or_default() += share(*divergence);
        }
        let mut importances: Vec<Importance> =
            shares.into_iter().map(|(param, share)| Importance { param: param.to_owned(), share }).collect();
        importances.sort_by(|a, b| b.share.total_cmp(&a.share));
        importances
    }
}

/// How many are best: a tenth, and those as good as the last of them.
fn best_of(trials: &[(Loss, Vec<f64>)]) -> usize {
    let tenth = (BEST_SHARE * trials.len() as f64).ceil() as usize;
    match tenth.checked_sub(1) {
        Some(last) => trials.partition_point(|(loss, _)| *loss <= trials[last].0),
        None => 0,
    }
}

/// Of the best from all, where the parameter is active, times how much more often it is active among the best.
fn divergence(axis: &Axis, best: &[f64], all: &[f64]) -> f64 {
    let active = |column: &[f64]| column.iter().copied().filter(|at| !at.is_nan()).collect::<Vec<f64>>();
    let (active_best, active_all) = (active(best), active(all));
    let cells = axis.cells().map_or(CELLS, |cells| if axis.choices().is_some() { cells } else { cells.min(CELLS) });
    if active_best.is_empty() || active_all.len() < 2 || cells < 2.0 {
        return 0.0;
    }
    let (best_density, all_density) = (density(axis, &active_best, cells), density(axis, &active_all, cells));
    let differ = |(best, all): (&f64, &f64)| all * (best / all - 1.0).powi(2);
    let difference: f64 = best_density.iter().zip(&all_density).map(differ).sum();
    let share = |active: &[f64], column: &[f64]| active.len() as f64 / column.len() as f64;
    share(&active_best, best).powi(2) / share(&active_all, all) * difference
}

/// The density of the values over the cells: a Parzen estimator with Scott's bandwidth and one flat component.
fn density(axis: &Axis, values: &[f64], cells: f64) -> Vec<f64> {
    let mut counts = vec![0.0; cells as usize];
    for at in values {
        let cell = match axis {
            Axis::Categorical { .. } => *at,
            // Real axes have their end points on the middle of a cell; ties go to the lower one.
            Axis::Real { .. } => (at * (cells - 1.0) - 0.5).ceil(),
            _ => (at * cells).floor(),
        };
        counts[cell.clamp(0.0, cells - 1.0) as usize] += 1.0;
    }
    let seen: Vec<(f64, f64)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0.0)
        .map(|(cell, count)| (cell as f64, *count))
        .collect();
    let total: f64 = seen.iter().map(|(_, count)| count).sum();
    let kernel: Box<dyn Fn(f64, f64) -> f64> = match axis {
        Axis::Categorical { .. } => {
            let other = 1.0 / (seen.len() as f64 + 1.0);
            Box::new(move |cell, center| (if cell == center { 1.0 + other } else { other }) / (1.0 + cells * other))
        }
        _ => {
            let sigma = scott(&seen, total);
            Box::new(move |cell, center| normal_cell(cell, center, sigma, cells))
        }
    };
    let flat = |cell: f64| match axis {
        Axis::Categorical { .. } => 1.0 / cells,
        _ => normal_cell(cell, (cells - 1.0) / 2.0, cells, cells),
    };
    let at = |cell: f64| {
        let sum: f64 = seen.iter().map(|(center, count)| count * kernel(cell, *center)).sum();
        (sum + flat(cell)) / (total + 1.0) + 1e-12
    };
    (0..counts.len()).map(|cell| at(cell as f64)).collect()
}

/// Scott's rule (1992) over counted cells, with the quartiles as they fall among them.
fn scott(seen: &[(f64, f64)], total: f64) -> f64 {
    let mean = seen.iter().map(|(cell, count)| cell * count).sum::<f64>() / total;
    let squares: f64 = seen.iter().map(|(cell, count)| (cell - mean).powi(2) * count).sum();
    let deviation = (squares / (total - 1.0).max(1.0)).sqrt();
    let mut sum = 0.0;
    let sums: Vec<f64> = seen
        .iter()
        .map(|(_, count)| {
            sum += count;
            sum
        })
        .collect();
    let first = sums.partition_point(|sum| *sum < (total / 4.0).floor());
    let third = sums.partition_point(|sum| *sum <= (total * 3.0 / 4.0).floor());
    let quartiles = seen[third.min(seen.len() - 1)].0 - seen[first].0;
    // At least 90 % of a kernel's mass lies within its own cell.
    (1.059 * (quartiles / 1.34).min(deviation) * total.powf(-0.2)).max(0.5 / 1.64)
}

/// Mass of a cell under a normal cut off at the ends of the cells.
fn normal_cell(cell: f64, center: f64, sigma: f64, cells: f64) -> f64 {
    let below = |at: f64| 0.5 * libm::erfc((center - at) / sigma * std::f64::consts::FRAC_1_SQRT_2);
    (below(cell + 0.5) - below(cell - 0.5)) / (below(cells - 0.5) - below(-0.5))
}
