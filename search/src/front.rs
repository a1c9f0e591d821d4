//! Several losses at once: who dominates whom, in which front a point lies, and how much space a front dominates.
//!
//! All losses are minimized. A point dominates another if it is nowhere worse and somewhere better.

use std::cmp::Ordering;

/// Whether the first is nowhere worse and somewhere better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Indices of the points that no other dominates, ascending; of equal points all.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    fronts(points, 1).into_iter().next().unwrap_or_default()
}

/// Fronts, best first, until at least so many points are in them: the first is dominated by none, the second by the first
/// alone, and so on.
pub fn fronts(points: &[Vec<f64>], least: usize) -> Vec<Vec<usize>> {
    let mut rest: Vec<usize> = (0..points.len()).collect();
    // In lexical order nobody is dominated by one that comes later.
    rest.sort_by(|a, b| lexical(&points[*a], &points[*b]));
    let (mut fronts, mut count) = (Vec::new(), 0);
    while !rest.is_empty() && count < least {
        let mut front: Vec<usize> = Vec::new();
        let mut behind = Vec::new();
        for at in rest {
            let is_dominated = front.iter().rev().any(|other| dominates(&points[*other], &points[at]));
            if is_dominated { behind.push(at) } else { front.push(at) }
        }
        count += front.len();
        front.sort_unstable();
        fronts.push(front);
        rest = behind;
    }
    fronts
}

/// Volume between the points and the reference that they dominate; points that are not better than the reference in every
/// loss add nothing. Exact for any number of losses: While, Bradstreet and Barone 2012 ("A fast way of calculating exact
/// hypervolumes"), with a sweep for two.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| point.iter().zip(reference).all(|(at, bound)| at < bound);
    let mut points: Vec<Vec<f64>> = points.iter().filter(inside).cloned().collect();
    points.sort_by(|a, b| lexical(a, b));
    points.dedup();
    volume(&undominated(points), reference)
}

/// What each point adds to the volume of all.
pub fn contributions(points: &[Vec<f64>], reference: &[f64]) -> Vec<f64> {
    let total = hypervolume(points, reference);
    let without = |at: usize| -> Vec<Vec<f64>> {
        points.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, point)| point.clone()).collect()
    };
    (0..points.len()).map(|at| total - hypervolume(&without(at), reference)).collect()
}

/// Indices of `count` points that together dominate much: greedily, each the one that adds most (within 1 - 1/e of the best
/// choice, as the volume is submodular).
pub fn spread_out(points: &[Vec<f64>], reference: &[f64], count: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    // What a point adds only shrinks as others are chosen: an old figure is a bound.
    let mut bounds: Vec<f64> = points.iter().map(|point| hypervolume(std::slice::from_ref(point), reference)).collect();
    let (mut kept, mut volume_kept): (Vec<Vec<f64>>, f64) = (Vec::new(), 0.0);
    while chosen.len() < count.min(points.len()) {
        let mut order: Vec<usize> = (0..points.len()).filter(|at| !chosen.contains(at)).collect();
        order.sort_by(|a, b| bounds[*b].total_cmp(&bounds[*a]));
        let mut best = (f64::NEG_INFINITY, order[0]);
        for at in order {
            if bounds[at] <= best.0 {
                break;
            }
            kept.push(points[at].clone());
            bounds[at] = hypervolume(&kept, reference) - volume_kept;
            kept.pop();
            if bounds[at] > best.0 {
                best = (bounds[at], at);
            }
        }
        volume_kept += best.0.max(0.0);
        kept.push(points[best.1].clone());
        chosen.push(best.1);
    }
    chosen
}

/// Distance to the neighbours along each loss, larger for a lonelier point, infinite at the ends (Deb et al. 2002).
pub fn crowding(points: &[Vec<f64>]) -> Vec<f64> {
    let mut distances = vec![0.0; points.len()];
    for loss in 0..points.first().map_or(0, Vec::len) {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| points[*a][loss].total_cmp(&points[*b][loss]));
        let at = |place: usize| points[order[place]][loss];
        let width = at(order.len() - 1) - at(0);
        for place in 0..order.len() {
            distances[order[place]] += if place == 0 || place + 1 == order.len() {
                f64::INFINITY
            } else if width > 0.0 {
                (at(place + 1) - at(place - 1)) / width
            } else {
                0.0
            };
        }
    }
    distances
}

/// A little beyond the worst of the points: 1.1 times where that is farther, 0.9 times where it is negative; Optuna's rule.
pub fn reference(points: &[Vec<f64>]) -> Vec<f64> {
    let worst = |loss: usize| points.iter().map(|point| point[loss]).fold(f64::NEG_INFINITY, f64::max);
    let beyond = |worst: f64| if worst == 0.0 { 1e-12 } else { f64::max(1.1 * worst, 0.9 * worst) };
    (0..points.first().map_or(0, Vec::len)).map(|loss| beyond(worst(loss))).collect()
}

fn lexical(a: &[f64], b: &[f64]) -> Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Of points in lexical order, those that no other is at least as good as.
fn undominated(points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut kept: Vec<Vec<f64>> = Vec::with_capacity(points.len());
    for point in points {
        if !kept.iter().any(|other| other.iter().zip(&point).all(|(a, b)| a <= b)) {
            kept.push(point);
        }
    }
    kept
}

/// Of a front in lexical order.
fn volume(front: &[Vec<f64>], reference: &[f64]) -> f64 {
    if reference.len() == 2 {
        let mut above = reference[1];
        let strip = |point: &Vec<f64>| {
            let area = (reference[0] - point[0]) * (above - point[1]);
            above = point[1];
            area
        };
        return front.iter().map(strip).sum();
    }
    let box_of = |point: &[f64]| point.iter().zip(reference).map(|(at, bound)| bound - at).product::<f64>();
    let alone = |(at, point): (usize, &Vec<f64>)| {
        let limited = |other: &Vec<f64>| other.iter().zip(point).map(|(a, b)| a.max(*b)).collect::<Vec<f64>>();
        let mut others: Vec<Vec<f64>> = front[at + 1..].iter().map(limited).collect();
        others.sort_by(|a, b| lexical(a, b));
        box_of(point) - volume(&undominated(others), reference)
    };
    front.iter().enumerate().map(alone).sum()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Points, and what Optuna makes of them: tests/golden/front.py.
    #[derive(Deserialize)]
    struct Golden {
        points: Vec<Vec<f64>>,
        reference: Vec<f64>,
        hypervolume: f64,
        ranks: Vec<usize>,
        spread_out: Vec<usize>,
    }

    #[test]
    fn volumes_fronts_and_choices_are_optunas() {
        let golden: Vec<Golden> = serde_json::from_str(include_str!("../tests/golden/front.json")).unwrap();
        for Golden { points, reference, hypervolume: expected, ranks, spread_out: chosen } in golden {
            let ours = hypervolume(&points, &reference);
            assert!((ours - expected).abs() < 1e-10 * expected, "{ours} {expected}");
            let mut our_ranks = vec![0; points.len()];
            for (rank, front) in fronts(&points, points.len()).iter().enumerate() {
                front.iter().for_each(|at| our_ranks[*at] = rank);
            }
            assert_eq!(our_ranks, ranks);
            let first: Vec<Vec<f64>> = front(&points).iter().map(|at| points[*at].clone()).collect();
            let mut ours = spread_out(&first, &reference, chosen.len());
            ours.sort_unstable();
            assert_eq!(ours, chosen);
        }
    }

    #[test]
    fn a_point_adds_what_no_other_dominates() {
        let points = [vec![0.0, 2.0], vec![1.0, 1.0], vec![2.0, 0.0], vec![3.0, 3.0]];
        assert_eq!(hypervolume(&points, &[3.0, 3.0]), 6.0);
        assert_eq!(contributions(&points, &[3.0, 3.0]), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(front(&points), [0, 1, 2]);
    }

    #[test]
    fn the_ends_of_a_front_are_never_crowded() {
        let distances = crowding(&[vec![0.0, 3.0], vec![1.0, 1.0], vec![1.5, 0.5], vec![3.0, 0.0]]);
        assert!(distances[0].is_infinite() && distances[3].is_infinite());
        assert!(distances[1] > 0.0 && (distances[1] - (1.5 / 3.0 + 2.5 / 3.0)).abs() < 1e-12);
    }
}
