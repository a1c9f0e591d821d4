//! What mattered, as the search's own analysis says.

use nightsweep_search::{Attempt, Event, Importance, SamplerKind, Study, StudyConfig, TrialNumber};

use super::{Axis, Bar, Colour, Content, Kind, Mark, Material, Panel};

/// Fewer complete trials say nothing: of ten, one is the best tenth.
const ENOUGH: usize = 10;

pub(super) fn importance(material: &Material) -> Content {
    let known = match of(material) {
        Ok(known) => known,
        Err(why) => return Content::Nothing(why),
    };
    let names: Vec<String> = known.iter().map(|it| it.param.clone()).collect();
    let bar = |(row, it): (i32, &Importance)| Bar {
        row: f64::from(row),
        from: 0.0,
        to: it.share,
        label: format!("{:.0} %", 100.0 * it.share),
        trial: None,
    };
    let bars = (0..).zip(&known).map(bar).collect();
    let x = Axis { label: "share of the importance".to_owned(), kind: Kind::Linear, low: 0.0, high: 1.0 };
    let note = format!("PED-ANOVA over {} complete trials.", material.complete().count());
    let panel = Panel::new("", x, Axis::words("", names)).noted(note);
    Content::Panels(vec![panel.with(Mark::Bars { name: String::new(), colour: Colour::Blue, bars })])
}

/// How much each parameter mattered, the greatest first; or why it is not known.
pub(crate) fn of(material: &Material) -> Result<Vec<Importance>, String> {
    let complete: Vec<_> = material.complete().collect();
    if complete.len() < ENOUGH {
        return Err(format!("{ENOUGH} complete trials are needed; there are {}.", complete.len()));
    }
    let config = StudyConfig {
        direction: material.study.direction,
        sampler: SamplerKind::Random,
        ..StudyConfig::new(material.study.space.clone())
    };
    let mut study = Study::new(config).map_err(|error| error.to_string())?;
    for (number, (trial, value)) in (0..).zip(complete) {
        let (trial, params) = (TrialNumber(number), trial.params.clone());
        let events = [
            Event::Started { trial, params, why: String::new() },
            Event::Completed { trial, attempt: Attempt::FIRST, value },
        ];
        for event in events {
            study.tell(&event).map_err(|error| error.to_string())?;
        }
    }
    Ok(study.importance())
}

/// The columns that mattered most and that can be axes, no more than so many; in the order of the space if nothing is
/// known of them.
pub(super) fn most_important(material: &Material, most: usize) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    let known = of(material).unwrap_or_default();
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
