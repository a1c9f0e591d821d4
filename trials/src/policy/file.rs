//! A policy's file: the policy, and where and how it was learned, if it was.

use nightsweep_trainer::recipe::PolicySpec;
use serde::{Deserialize, Serialize};

use super::Method;

/// What `policy learn` writes, `augment.policy = { kind = "file", … }` names and `policy compare` reads.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// The fields of `custom`, or of another kind with its `kind`.
    pub policy: PolicySpec,
    /// The table `[learned]`, which nothing of the policy depends on.
    pub learned: Option<Origin>,
}

/// Where and how a policy was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// How.
    pub method: Method,
    /// What `data.path` was.
    pub data: String,
    /// Training images of it.
    pub images: usize,
    /// What the search took.
    pub seconds: f64,
    /// Policies or sub-policies that it tried.
    pub tried: usize,
    /// Where its randomness came from.
    pub seed: u64,
    /// Of nightsweep.
    pub version: String,
}

impl PolicyFile {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let mut table: toml::Table = toml::from_str(text)?;
        let learned: Option<Origin> = table.remove("learned").map(toml::Value::try_into).transpose()?;
        let policy = match (&learned, table.contains_key("kind")) {
            // What a person wrote: only from the text itself do mistakes have their lines.
            (None, true) => toml::from_str(text)?,
            (None, false) => PolicySpec::Custom(toml::from_str(text)?),
            (Some(_), true) => table.try_into()?,
            (Some(_), false) => PolicySpec::Custom(table.try_into()?),
        };
        Ok(Self { policy, learned })
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        let mut table = match &self.policy {
            PolicySpec::Custom(policy) => toml::Table::try_from(policy)?,
            other => toml::Table::try_from(other)?,
        };
        if let Some(learned) = &self.learned {
            table.insert("learned".to_owned(), toml::Value::try_from(learned)?);
        }
        toml::to_string(&table)
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::{Direction, Mixing, Op, Policy, PolicyOp, RandAugment, SubPolicy};

    use super::*;

    #[test]
    fn a_policy_that_was_written_is_read_again() {
        let op =
            PolicyOp { probability: 0.25, magnitude: 0.5, direction: Direction::Negative, ..PolicyOp::new(Op::Rotate) };
        let sub_policy = SubPolicy { weight: 1.5, from: 0.0, until: 1.0, ops: vec![op, PolicyOp::new(Op::Invert)] };
        let custom = Policy { draws: 2, ..Policy::new(vec![sub_policy]) };
        let mix = vec![Mixing { chance: 0.5, until: 0.25, ..Mixing::of(0.2, 0.0) }, Mixing::of(0.0, 1.0)];
        let mixing = PolicySpec::Custom(Policy { mix, ..custom.clone() });
        let custom = PolicySpec::Custom(custom);
        let learned = Origin {
            method: Method::Density,
            data: "made".to_owned(),
            images: 100,
            seconds: 2.5,
            tried: 7,
            seed: u64::from(u32::MAX),
            version: "0.1.0".to_owned(),
        };
        for policy in [custom, mixing, PolicySpec::RandAugment(RandAugment { n: 3, m: 7 }), PolicySpec::default()] {
            for learned in [None, Some(learned.clone())] {
                let file = PolicyFile { policy: policy.clone(), learned };
                assert_eq!(PolicyFile::parse(&file.text().unwrap()).unwrap(), file);
            }
        }
    }

    #[test]
    fn a_policys_file_is_spelled_out_or_has_a_kind() {
        let check = |text: &str, expected: Result<PolicySpec, &str>| match (PolicyFile::parse(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.policy, expected),
            (Err(error), Err(expected)) => assert!(error.message().contains(expected), "{error}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("kind = 'rand_augment'\nn = 1\nm = 5", Ok(PolicySpec::RandAugment(RandAugment { n: 1, m: 5 })));
        let ops = vec![PolicyOp { probability: 0.5, ..PolicyOp::new(Op::Flip) }];
        let policy = Policy::new(vec![SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops }]);
        check("[[sub_policies]]\nops = [{ op = 'flip', probability = 0.5 }]", Ok(PolicySpec::Custom(policy)));
        check("[[sub_policies]]\nops = [{ op = 'flop' }]", Err("unknown variant `flop`"));
        check("sub_policies = 3", Err("invalid type"));
        check("mix = [{ mixupp = 1 }]\nsub_policies = []", Err("unknown field `mixupp`"));
        check("kind = 'none'\n[learned]\nmethod = 'magic'", Err("unknown variant `magic`"));
    }
}
