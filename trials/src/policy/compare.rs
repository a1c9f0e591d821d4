//! Whether a policy is worth it: trained on fresh seeds beside others, paired by seed.

use nightsweep_search::policy::{Difference, difference};
use serde::{Deserialize, Serialize};

/// What policies came to, the first one being what the others are held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the data are.
    pub data: String,
    /// `test` or `validation`: where the accuracies are from.
    pub split: String,
    /// Each policy.
    pub rows: Vec<Row>,
}

/// What one policy came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is called.
    pub policy: String,
    /// Accuracy on each seed; `None` where the loss was no number.
    pub accuracies: Vec<Option<f64>>,
    /// Mean seconds of a training.
    pub seconds: f64,
}

impl Comparison {
    /// How much better each row is than the first, on the seeds that both have.
    pub fn differences(&self) -> Vec<Option<Difference>> {
        let Some(first) = self.rows.first() else { return Vec::new() };
        let against = |row: &Row| {
            let pairs = row.accuracies.iter().zip(&first.accuracies).filter_map(|(a, b)| Some((*a)? - (*b)?));
            difference(&pairs.collect::<Vec<f64>>())
        };
        self.rows.iter().map(against).collect()
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.policy.len()).max().unwrap_or(0).max(6);
        let first = self.rows.first().map_or("", |row| &row.policy);
        let mut lines = vec![format!(
            "{:<width$}  {:>5}  {:>17}  {:>21}  {:>7}  verdict",
            "policy",
            "seeds",
            format!("{} accuracy", self.split),
            format!("against {first}"),
            "seconds",
        )];
        for (place, (row, against)) in self.rows.iter().zip(self.differences()).enumerate() {
            let known: Vec<f64> = row.accuracies.iter().flatten().copied().collect();
            let own = difference(&known).map_or("-".to_owned(), |own| percent(own, ""));
            let (gap, verdict) = match against {
                _ if place == 0 => ("".to_owned(), ""),
                Some(gap) => (percent(gap, "+"), verdict(gap)),
                None => ("-".to_owned(), "too few seeds"),
            };
            let line = format!(
                "{:<width$}  {:>5}  {own:>17}  {gap:>21}  {:>7.1}  {verdict}",
                row.policy,
                known.len(),
                row.seconds,
            );
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }
}

/// What a difference with its interval allows to say.
fn verdict(gap: Difference) -> &'static str {
    match gap {
        Difference { mean, half_width } if mean - half_width > 0.0 => "better",
        Difference { mean, half_width } if mean + half_width < 0.0 => "worse",
        _ => "no gain shown",
    }
}

fn percent(value: Difference, sign: &str) -> String {
    let Difference { mean, half_width } = value;
    let mean = 100.0 * mean;
    let mean = if sign == "+" { format!("{mean:+.2}") } else { format!("{mean:.2}") };
    format!("{mean} ± {:.2} %", 100.0 * half_width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_held_against_the_first_one_seed_by_seed() {
        let row = |policy: &str, accuracies: &[f64], seconds: f64| Row {
            policy: policy.to_owned(),
            accuracies: accuracies.iter().map(|value| Some(*value).filter(|value| value.is_finite())).collect(),
            seconds,
        };
        let comparison = Comparison {
            data: "made".to_owned(),
            split: "test".to_owned(),
            rows: vec![
                row("none", &[0.80, 0.82, 0.84], 10.0),
                row("learned.toml", &[0.83, 0.851, 0.869], 10.4),
                row("flips", &[0.70, 0.72, 0.73], 10.1),
                row("lucky", &[0.90, 0.75, 0.84], 10.1),
                row("broken", &[f64::NAN, f64::NAN, 0.5], 3.0),
            ],
        };
        let expected = "\
policy        seeds      test accuracy           against none  seconds  verdict
none              3     82.00 ± 4.97 %                            10.0
learned.toml      3     85.00 ± 4.85 %         +3.00 ± 0.25 %     10.4  better
flips             3     71.67 ± 3.79 %        -10.33 ± 1.43 %     10.1  worse
lucky             3    83.00 ± 18.75 %        +1.00 ± 21.22 %     10.1  no gain shown
broken            1                  -                      -      3.0  too few seeds";
        assert_eq!(comparison.table(), expected);
    }
}
