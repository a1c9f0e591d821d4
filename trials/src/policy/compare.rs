//! Whether a policy is worth it: trained on fresh seeds beside others, paired by seed.

use nightsweep_search::policy::{Difference, difference};
use serde::{Deserialize, Serialize};

use super::Origin;

/// What policies came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the data are.
    pub data: String,
    /// `test` or `validation`: where the accuracies are from.
    pub split: String,
    /// Each policy.
    pub rows: Vec<Row>,
    /// Places of the policies that all others are held against.
    #[serde(default)]
    pub against: Vec<usize>,
}

/// What one policy came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is called.
    pub policy: String,
    /// Where it is from, if it was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Origin>,
    /// Accuracy on each seed; `None` where the loss was no number.
    pub accuracies: Vec<Option<f64>>,
    /// Mean seconds of a training.
    pub seconds: f64,
}

impl Comparison {
    /// How much better one row is than another, on the seeds that both have.
    pub fn difference(&self, row: usize, against: usize) -> Option<Difference> {
        let pairs = self.rows[row].accuracies.iter().zip(&self.rows[against].accuracies);
        difference(&pairs.filter_map(|(a, b)| Some((*a)? - (*b)?)).collect::<Vec<f64>>())
    }

    /// A table in Markdown, whose columns are straight as it stands.
    pub fn table(&self) -> String {
        let against = self.against.iter().filter(|place| **place < self.rows.len());
        let own = ["policy", "seeds", &format!("{} accuracy", self.split), "search", "training"].map(str::to_owned);
        let others = against.clone().map(|place| format!("against {}", self.rows[*place].policy));
        let mut lines: Vec<Vec<String>> = vec![own.into_iter().chain(others).collect()];
        for (place, row) in self.rows.iter().enumerate() {
            let known: Vec<f64> = row.accuracies.iter().flatten().copied().collect();
            let mut line = vec![
                row.policy.clone(),
                known.len().to_string(),
                difference(&known).map_or("-".to_owned(), |own| percent(own, "")),
                row.learned.as_ref().map_or(String::new(), |learned| format!("{:.0} s", learned.seconds)),
                format!("{:.1} s", row.seconds),
            ];
            line.extend(against.clone().map(|other| match self.difference(place, *other) {
                _ if place == *other => String::new(),
                Some(gap) => format!("{}, {}", percent(gap, "+"), verdict(gap)),
                None => "too few seeds".to_owned(),
            }));
            lines.push(line);
        }
        markdown(&lines)
    }
}

/// A table whose first row is its head.
fn markdown(lines: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3))
        .collect();
    let row = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    [row(&lines[0]), row(&rule)].into_iter().chain(lines[1..].iter().map(row)).collect::<Vec<_>>().join("\n")
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
    use crate::policy::Method;

    #[test]
    fn policies_are_held_against_others_seed_by_seed() {
        let learned = Origin {
            method: Method::Density,
            data: "made".to_owned(),
            images: 100,
            seconds: 63.4,
            tried: 300,
            seed: 1,
            version: "0.1.0".to_owned(),
        };
        let row = |policy: &str, accuracies: &[f64], seconds: f64| Row {
            policy: policy.to_owned(),
            learned: policy.ends_with(".toml").then(|| learned.clone()),
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
            against: vec![0, 2],
        };
        let expected = "\
| policy       | seeds | test accuracy   | search | training | against none                   | against flips                   |
| ------------ | ----- | --------------- | ------ | -------- | ------------------------------ | ------------------------------- |
| none         | 3     | 82.00 ± 4.97 %  |        | 10.0 s   |                                | +10.33 ± 1.43 %, better         |
| learned.toml | 3     | 85.00 ± 4.85 %  | 63 s   | 10.4 s   | +3.00 ± 0.25 %, better         | +13.33 ± 1.23 %, better         |
| flips        | 3     | 71.67 ± 3.79 %  |        | 10.1 s   | -10.33 ± 1.43 %, worse         |                                 |
| lucky        | 3     | 83.00 ± 18.75 % |        | 10.1 s   | +1.00 ± 21.22 %, no gain shown | +11.33 ± 21.13 %, no gain shown |
| broken       | 1     | -               |        | 3.0 s    | too few seeds                  | too few seeds                   |";
        assert_eq!(comparison.table(), expected);
    }
}
