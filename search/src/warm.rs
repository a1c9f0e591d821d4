//! What earlier studies found. Their values may be on another scale, so they never stand beside this study's own results:
//! the best points are tried first (Feurer et al. 2015, "Initializing Bayesian hyperparameter optimization via
//! meta-learning"), and where they lie close together is believed to be good, ever less as results of one's own come in.

use crate::domain::{Domain, Point};
use crate::params::Params;
use crate::sampler::{Component, Parzen};
use crate::trial::Loss;

/// Points of each earlier study that are tried first.
const STARTS: usize = 3;
/// Share of an earlier study's points that are good; as the Parzen estimator has it.
const GOOD_SHARE: f64 = 0.1;

/// The finished trials of earlier studies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warm {
    studies: Vec<Earlier>,
}

#[derive(Clone, Debug)]
struct Earlier {
    name: String,
    /// Best first.
    results: Vec<Tried>,
}

/// What was tried, and what came of it.
#[derive(Clone, Debug)]
struct Tried {
    loss: Loss,
    point: Point,
    /// As they were: a point only gives them back within rounding.
    params: Params,
}

impl Warm {
    pub(crate) fn add(&mut self, study: &str, params: Params, point: Point, loss: Loss) {
        let at = self.studies.iter().position(|earlier| earlier.name == study).unwrap_or_else(|| {
            self.studies.push(Earlier { name: study.to_owned(), results: Vec::new() });
            self.studies.len() - 1
        });
        let results = &mut self.studies[at].results;
        let at = results.partition_point(|other| other.loss <= loss);
        results.insert(at, Tried { loss, point, params });
    }

    /// The first point to try that was not tried yet, and whose it is.
    pub(crate) fn start(&self, domain: &Domain, is_open: impl Fn(&Point) -> bool) -> Option<(&Params, &str)> {
        let starts = self.studies.iter().map(|earlier| (earlier.starts(domain), earlier.name.as_str()));
        let starts: Vec<(Vec<&Tried>, &str)> = starts.collect();
        let ranked = (0..STARTS).flat_map(|rank| starts.iter().map(move |(tried, name)| (tried.get(rank), *name)));
        let mut known = ranked.filter_map(|(tried, name)| Some((*tried?, name)));
        known.find(|(tried, _)| is_open(&tried.point)).map(|(tried, name)| (&tried.params, name))
    }

    /// Where the good points lie; `None` without any.
    pub(crate) fn density<'a>(&'a self, domain: &'a Domain) -> Option<Parzen<'a>> {
        // Each study counts the same, however many trials it had.
        let component = |earlier: &'a Earlier| {
            let good = earlier.good();
            let weight = 1.0 / good.len().max(1) as f64;
            good.iter().map(move |tried| Component { point: &tried.point, weight })
        };
        let components: Vec<Component<'a>> = self.studies.iter().flat_map(component).collect();
        (!components.is_empty()).then(|| Parzen::new(domain, components))
    }
}

impl Earlier {
    fn good(&self) -> &[Tried] {
        let count = (GOOD_SHARE * self.results.len() as f64).ceil() as usize;
        &self.results[..count.max(STARTS).min(self.results.len())]
    }

    /// The best point, and good ones that are far from it and from each other.
    fn starts(&self, domain: &Domain) -> Vec<&Tried> {
        let good = self.good();
        let mut starts: Vec<&Tried> = good.first().into_iter().collect();
        while starts.len() < STARTS.min(good.len()) {
            let distance = |tried: &Tried| {
                starts.iter().map(|start| domain.distance(&start.point, &tried.point)).fold(f64::MAX, f64::min)
            };
            // The better of equals.
            let far = good.iter().rev().max_by(|a, b| distance(a).total_cmp(&distance(b)));
            starts.extend(far);
        }
        starts
    }
}
