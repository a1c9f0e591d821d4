//! The augmentation policy of a trial's recipe, as a table to read beside the images that it makes.

use maud::{Markup, html};
use serde::Deserialize;

use crate::format::short;

/// Longer tables are folded: a schedule has a row for each operation in each of its phases.
const OPEN: usize = 30;

/// What is read of a recipe. The rest of it, and what kinds of policies have, is not this page's to know.
#[derive(Deserialize)]
struct Recipe {
    #[serde(default)]
    augment: Augment,
}

#[derive(Default, Deserialize)]
struct Augment {
    #[serde(default)]
    policy: toml::Table,
}

/// A policy of the recipe's own.
#[derive(Deserialize)]
struct Custom {
    #[serde(default = "one")]
    draws: u64,
    #[serde(default)]
    mix: Vec<Mixing>,
    sub_policies: Vec<SubPolicy>,
}

#[derive(Deserialize)]
struct Mixing {
    #[serde(default)]
    mixup: f64,
    #[serde(default)]
    cutmix: f64,
    #[serde(default = "whole")]
    chance: f64,
    #[serde(default)]
    from: f64,
    #[serde(default = "whole")]
    until: f64,
}

#[derive(Deserialize)]
struct SubPolicy {
    #[serde(default = "whole")]
    weight: f64,
    #[serde(default)]
    from: f64,
    #[serde(default = "whole")]
    until: f64,
    ops: Vec<Op>,
}

#[derive(Deserialize)]
struct Op {
    op: String,
    #[serde(default = "whole")]
    probability: f64,
    #[serde(default)]
    magnitude: f64,
    magnitude_min: Option<f64>,
    direction: Option<String>,
}

fn one() -> u64 {
    1
}

fn whole() -> f64 {
    1.0
}

/// A panel, if the recipe has a policy.
pub(super) fn policy(recipe: &str) -> Markup {
    let Some(table) = toml::from_str::<Recipe>(recipe).ok().map(|recipe| recipe.augment.policy) else {
        return html! {};
    };
    match table.get("kind").and_then(toml::Value::as_str) {
        None | Some("none") => html! {},
        Some("custom") => table.try_into().map_or_else(|_| html! {}, |custom| spelled_out(&custom)),
        Some(kind) => html! {
            section.panel #policy { h2 { "Augmentation policy" } p { b { (kind) } (settings(&table)) } }
        },
    }
}

/// The fields of a policy that has a name, as " n 2, m 9".
fn settings(table: &toml::Table) -> String {
    let fields = table.iter().filter(|(name, _)| *name != "kind").map(|(name, value)| format!("{name} {value}"));
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) }
}

fn spelled_out(policy: &Custom) -> Markup {
    let Custom { draws, mix, sub_policies } = policy;
    let has_schedule = sub_policies.iter().any(|sub| sub.from > 0.0 || sub.until < 1.0);
    // A sub-policy's chance is its share of what holds when it does.
    let chance = |sub: &SubPolicy| {
        let beside = sub_policies.iter().filter(|other| other.from <= sub.from && sub.from < other.until);
        sub.weight / beside.map(|other| other.weight).sum::<f64>()
    };
    let table = html! {
        div.sideways tabindex="0" { table.plain {
            thead { tr {
                th scope="col" { "drawn" }
                @if has_schedule { th scope="col" { "part of the training" } }
                th scope="col" { "what is done, in this order" }
            } }
            tbody { @for sub in sub_policies {
                tr {
                    td { (percent(chance(sub))) }
                    @if has_schedule { td { (percent(sub.from)) " to " (percent(sub.until)) } }
                    td { @for (place, op) in sub.ops.iter().enumerate() { @if place > 0 { ", then " } (told(op)) } }
                }
            } }
        } }
    };
    html! {
        section.panel #policy {
            h2 { "Augmentation policy" span.unit {
                "for each image, " (draws) @if *draws == 1 { " of these rows is" } @else { " of these rows are" }
                " drawn; strengths are shares of an operation's range"
            } }
            @if sub_policies.len() > OPEN {
                details { summary { (sub_policies.len()) " rows" } (table) }
            } @else { (table) }
            @if !mix.is_empty() { p { "Batches are mixed: " (mixed(mix)) "." } }
        }
    }
}

/// All ways of mixing, as "Mixup 0.2 on 50 % of them from 0 % to 40 % of the training, CutMix 1 …".
fn mixed(mix: &[Mixing]) -> String {
    let told = |Mixing { mixup, cutmix, chance, from, until }: &Mixing| {
        let named = [("Mixup", mixup), ("CutMix", cutmix)].into_iter().filter(|(_, alpha)| **alpha > 0.0);
        let named: Vec<String> = named.map(|(name, alpha)| format!("{name} {}", short(*alpha))).collect();
        let named = if named.is_empty() { "not at all".to_owned() } else { named.join(" or ") };
        let share = if *chance < 1.0 { format!(" on {} of them", percent(*chance)) } else { String::new() };
        let is_part = *from > 0.0 || *until < 1.0;
        let part = format!(" from {} to {} of the training", percent(*from), percent(*until));
        format!("{named}{share}{}", if is_part { part } else { String::new() })
    };
    mix.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// An operation, as "rotate − 70 % at 0.4".
fn told(op: &Op) -> Markup {
    html! {
        b { (op.op) }
        @match op.direction.as_deref() { Some("positive") => " +", Some("negative") => " −", _ => "" }
        @if op.probability < 1.0 { " " (percent(op.probability)) }
        @match op.magnitude_min {
            Some(least) => { " at " (short(least)) " to " (short(op.magnitude)) },
            None if op.magnitude > 0.0 => { " at " (short(op.magnitude)) },
            None => {}
        }
    }
}

fn percent(share: f64) -> String {
    format!("{} %", short(100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the panel, without its tags.
    fn check(augment: &str, expected: &[&str]) {
        let html = policy(&format!("epochs = 3\n[augment]\nflip = 0.5\n{augment}")).into_string();
        let mut text = String::new();
        let mut is_tag = false;
        for c in html.chars() {
            match c {
                '<' => is_tag = true,
                '>' => is_tag = false,
                c if !is_tag => text.push(c),
                _ => {}
            }
        }
        for part in expected {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert_eq!(text.is_empty(), expected.is_empty(), "{text}");
    }

    #[test]
    fn a_policy_is_told_row_by_row() {
        check("", &[]);
        check("policy = { kind = 'none' }", &[]);
        check("policy = { kind = 'rand_augment', n = 2, m = 9 }", &["rand_augment (m 9, n 2)"]);
        check(
            "[[augment.policy.sub_policies]]\nweight = 3.0\nops = [{ op = 'rotate', probability = 0.7, magnitude = 0.4, \
             direction = 'negative' }, { op = 'invert' }]\n[[augment.policy.sub_policies]]\nfrom = 0.0\nops = [{ op = \
             'solarize', magnitude_min = 0.1, magnitude = 0.65 }]\n[augment.policy]\nkind = 'custom'\ndraws = 2\n",
            &["2 of these rows are drawn", "75 %rotate − 70 % at 0.4, then invert", "25 %solarize at 0.1 to 0.65"],
        );
        check(
            "[augment.policy]\nkind = 'custom'\nmix = [{ mixup = 0.2, chance = 0.5, until = 0.4 }, { mixup = 0.8, cutmix = 1 }]\n\
             [[augment.policy.sub_policies]]\nops = [{ op = 'erase', magnitude = 0.5 }]\n",
            &[
                "erase at 0.5Batches are mixed: Mixup 0.2 on 50 % of them from 0 % to 40 % of the training, Mixup 0.8 or CutMix 1.",
            ],
        );
        check(
            "[augment.policy]\nkind = 'custom'\n[[augment.policy.sub_policies]]\nuntil = 0.5\nops = [{ op = 'flip' }]\n\
             [[augment.policy.sub_policies]]\nfrom = 0.5\nops = [{ op = '<turn>' }]\n",
            &["100 %0 % to 50 %flip", "50 % to 100 %&lt;turn&gt;"],
        );
    }
}
