//! What mattered, as the search's own analyses say.

use nightsweep_search::{Attempt, Event, Importance, SamplerKind, Study, StudyConfig, TrialNumber};

use super::material::thin;
use super::{Axis, Bar, Colour, Content, Kind, Mark, Material, Panel};

/// Fewer complete trials say nothing: of ten, one is the best tenth.
const ENOUGH: usize = 10;
/// More trials than this, evenly from all, change no bar of the forest's that one could see, but take it long to grow.
const FOREST: usize = 1000;

pub(super) fn importance(material: &Material) -> Content {
    let known = match material.important() {
        Ok(known) => known,
        Err(why) => return Content::Nothing(why.clone()),
    };
    let note = format!("{} complete trials.", material.complete().count());
    let best = panel("Among the best tenth (PED-ANOVA)", known).noted(note);
    let forest = study(material, FOREST).ok().and_then(|study| study.forest());
    let alone = forest.map(|forest| forest.fanova()).filter(|alone| alone.iter().any(|it| it.share > 0.0));
    let Some(alone) = alone else { return Content::Panels(vec![best]) };
    let together = (1.0 - alone.iter().map(|it| it.share).sum::<f64>()).max(0.0);
    let all = if alone.len() == known.len() { "" } else { " Only what every trial has." };
    let note = format!("Several together: {:.0} %.{all}", 100.0 * together);
    Content::Panels(vec![best, panel("Over the whole space, alone (fANOVA)", &alone).noted(note)])
}

fn panel(title: &str, known: &[Importance]) -> Panel {
    let names: Vec<String> = known.iter().map(|it| it.param.clone()).collect();
    let bar = |(row, it): (i32, &Importance)| Bar {
        row: f64::from(row),
        from: 0.0,
        to: it.share,
        label: format!("{:.0} %", 100.0 * it.share),
        trial: None,
    };
    let bars = (0..).zip(known).map(bar).collect();
    let x = Axis { label: "share".to_owned(), kind: Kind::Linear, low: 0.0, high: 1.0 };
    let mark = Mark::Bars { name: String::new(), colour: Colour::Blue, bars };
    Panel::new(title, x, Axis::words("", names)).with(mark)
}

/// How much each parameter mattered, the greatest first; or why it is not known.
pub(super) fn of(material: &Material) -> Result<Vec<Importance>, String> {
    let complete = material.complete().count();
    if complete < ENOUGH {
        return Err(format!("{ENOUGH} complete trials are needed; there are {complete}."));
    }
    Ok(study(material, usize::MAX)?.importance())
}

/// The complete trials, no more than so many, as a study of the search.
fn study(material: &Material, most: usize) -> Result<Study, String> {
    let config = StudyConfig {
        direction: material.study.direction,
        sampler: SamplerKind::Random,
        ..StudyConfig::new(material.study.space.clone())
    };
    let mut study = Study::new(config).map_err(|error| error.to_string())?;
    let complete: Vec<_> = material.complete().collect();
    for (number, (trial, value)) in (0..).zip(thin(&complete, most)) {
        let (trial, params) = (TrialNumber(number), trial.params.clone());
        let events = [
            Event::Started { trial, params, why: String::new() },
            Event::Completed { trial, attempt: Attempt::FIRST, value },
        ];
        for event in events {
            study.tell(&event).map_err(|error| error.to_string())?;
        }
    }
    Ok(study)
}

/// The columns that mattered most and that can be axes, no more than so many; in the order of the space if nothing is
/// known of them.
pub(super) fn most_important(material: &Material, most: usize) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    let known = material.important().as_deref().unwrap_or_default();
    let known = known.iter().map(|it| it.param.as_str());
    let all = known.chain(material.study.space.0.iter().map(|parameter| parameter.name.as_str()));
    for param in all {
        let column = material.columns.iter().find(|column| column.names.iter().any(|name| name == param));
        let Some(column) = column else { continue };
        if !labels.contains(&column.label) {
            labels.push(column.label.clone());
        }
    }
    labels.truncate(most);
    labels
}
