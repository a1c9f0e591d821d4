//! Mixing for the methods whose search does not train on mixed images: what is left of the time trains children with few
//! ways of mixing beside the policy that was found.

use nightsweep_trainer::recipe::{Mixing, Policy, PolicySpec};

use super::{Lab, LearnError, Learned};

/// Share of the time that the search before it has: five short trainings, and two to be sure, want the rest.
const SEARCH: f64 = 0.6;

/// The share of the lab's time at which a search ends that mixing follows.
pub(super) fn search_ends(lab: &dyn Lab) -> f64 {
    if lab.mixings().is_empty() { 1.0 } else { SEARCH }
}

/// Adds the best way of mixing to a policy, if it is better than none on two seeds: on the first one it is the best of
/// several, and so partly lucky. Where time is up before that is known, there is none.
pub(super) fn add(lab: &mut dyn Lab, learned: Learned) -> Result<Learned, LearnError> {
    if lab.mixings().is_empty() {
        return Ok(learned);
    }
    let PolicySpec::Custom(policy) = learned.policy else { return Ok(learned) };
    let mut trials = Trials { lab, policy, tried: learned.tried };
    let chosen = trials.choose()?;
    trials.lab.notes(&format!("mixing: {}", chosen.map_or("none".to_owned(), |mixing| mixing.to_string())));
    let Trials { policy, tried, .. } = trials;
    Ok(Learned { policy: PolicySpec::Custom(Policy { mix: chosen.into_iter().collect(), ..policy }), tried })
}

/// Children that differ by nothing but how their images are mixed.
struct Trials<'a> {
    lab: &'a mut dyn Lab,
    policy: Policy,
    tried: usize,
}

impl Trials<'_> {
    fn choose(&mut self) -> Result<Option<Mixing>, LearnError> {
        let Some(plain) = self.train(None, 0)? else { return Ok(None) };
        let mut best: Option<(f64, Mixing)> = None;
        for mixing in self.lab.mixings().to_vec() {
            if let Some(accuracy) = self.train(Some(mixing), 0)?
                && accuracy > best.map_or(plain, |(most, _)| most)
            {
                best = Some((accuracy, mixing));
            }
        }
        let Some((_, mixing)) = best else { return Ok(None) };
        let again = (self.train(Some(mixing), 1)?, self.train(None, 1)?);
        Ok(if let (Some(with), Some(without)) = again { Some(mixing).filter(|_| with > without) } else { None })
    }

    /// The accuracy of a child; `None` if there is none, or no time for one.
    fn train(&mut self, mixing: Option<Mixing>, seed: u64) -> Result<Option<f64>, LearnError> {
        if self.lab.is_over() {
            return Ok(None);
        }
        let policy = Policy { mix: mixing.into_iter().collect(), ..self.policy.clone() };
        let accuracy = self.lab.train(&PolicySpec::Custom(policy), seed)?;
        self.tried += 1;
        if let Some(accuracy) = accuracy {
            let name = mixing.map_or("no mixing".to_owned(), |mixing| mixing.to_string());
            let seed = if seed == 0 { "" } else { " on another seed" };
            self.lab.notes(&format!("{name}{seed}: {accuracy:.4}"));
        }
        Ok(accuracy)
    }
}
