//! Which points are good where several objectives count: multi-objective TPE (Ozaki et al. 2022, "Multiobjective
//! Tree-Structured Parzen Estimator").

use crate::front;
use crate::history::{Observation, Stage};
use crate::sampler::View;
use crate::sampler::parzen::Component;

/// No more results than this are sorted into fronts: the latest ones, and those on the first front of the others.
const MOST_RESULTS: usize = 2000;

/// So many good points, front by front, and of the last front those that dominate most together; and at most so many of the
/// others. A good point weighs by what it adds to the volume that the good ones dominate.
pub(super) fn split<'a>(
    view: &'a View,
    good_count: usize,
    most_others: usize,
) -> (Vec<Component<'a>>, Vec<&'a Observation>) {
    let is_whole = |observation: &&Observation| {
        matches!(observation.result, Some((Stage::Complete, _)))
            && observation.losses().iter().all(|loss| loss.is_finite())
    };
    let (mut whole, mut others): (Vec<&Observation>, Vec<&Observation>) = view.history.ranked().partition(is_whole);
    if whole.len() > MOST_RESULTS {
        let stride = whole.len().div_ceil(MOST_RESULTS);
        let losses: Vec<Vec<f64>> = whole.iter().map(|observation| observation.losses()).collect();
        let front = front::front(&losses);
        let keep = |at: usize| at.is_multiple_of(stride) || front.binary_search(&at).is_ok();
        whole = whole.into_iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, observation)| observation).collect();
    }
    let losses: Vec<Vec<f64>> = whole.iter().map(|observation| observation.losses()).collect();
    let reference = front::reference(&losses);
    let mut good: Vec<usize> = Vec::new();
    for front in front::fronts(&losses, good_count) {
        let room = good_count - good.len();
        if front.len() <= room {
            good.extend(front);
        } else {
            let points: Vec<Vec<f64>> = front.iter().map(|at| losses[*at].clone()).collect();
            good.extend(front::spread_out(&points, &reference, room).into_iter().map(|at| front[at]));
        }
    }
    let points: Vec<Vec<f64>> = good.iter().map(|at| losses[*at].clone()).collect();
    let added = front::contributions(&points, &reference);
    let most = added.iter().copied().fold(0.0, f64::max);
    // Half even, as where one objective counts: a point in the midst of a front adds little and is good all the same.
    let weight = |added: &f64| 0.5 + if most > 0.0 { 0.5 * added / most } else { 0.5 };
    let components = good
        .iter()
        .zip(&added)
        .map(|(at, added)| Component { point: &whole[*at].point, weight: weight(added) })
        .collect();
    good.sort_unstable();
    others.extend(whole.iter().enumerate().filter(|(at, _)| good.binary_search(at).is_err()).map(|(_, bad)| *bad));
    let stride = others.len().div_ceil(most_others).max(1);
    (components, others.into_iter().step_by(stride).collect())
}
