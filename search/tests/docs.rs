//! docs/search.md explains what there is.

use nightsweep_search::{PrunerKind, SamplerKind};

#[test]
fn every_sampler_and_pruner_has_a_paragraph() {
    let text = include_str!("../../docs/search.md");
    let (samplers, pruners) = text.split_once("## Pruners").unwrap();
    for (names, part) in
        [(SamplerKind::names().collect::<Vec<_>>(), samplers), (PrunerKind::names().collect(), pruners)]
    {
        for name in names {
            assert!(part.contains(&format!("\n**{name}**")), "docs/search.md has no paragraph on `{name}`");
        }
    }
}
