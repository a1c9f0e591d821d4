//! The figures of a study. Each is computed once, into one description that the page draws with Plotly and
//! `draw` writes as SVG and PNG: so that they cannot differ.

mod axis;
mod budget;
pub(crate) mod cache;
mod compare;
mod contour;
mod curves;
mod draw;
mod edf;
mod failures;
mod history;
mod importance;
mod map;
mod material;
mod parallel;
mod pareto;
mod rank;
mod rungs;
mod slice;
mod slots;
mod theme;
mod throughput;

use nightsweep_search::TrialNumber;
use nightsweep_store::{QueryError, Store, StudyRow};
use serde::Serialize;

pub use self::axis::{Axis, Kind};
pub(crate) use self::compare::{COMPARED, compare};
pub(crate) use self::draw::svg;
pub use self::draw::{DrawError, Format};
pub(crate) use self::history::history;
use self::material::MAX_DOTS;
pub use self::material::Material;
pub use self::parallel::Parallel;
pub(crate) use self::theme::SERIES;
pub use self::theme::{Colour, Theme};

/// What can be drawn of a study: its name in addresses and on the command line, what its head says, who makes it.
struct Row {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    make: fn(&Material) -> Content,
}

const fn row(name: &'static str, title: &'static str, about: &'static str, make: fn(&Material) -> Content) -> Row {
    Row { name, title, about, make }
}

const FIGURES: [Row; 15] = [
    row("history", "Best so far", "Values of all trials in the order of their ends.", |it| {
        let points = it.history();
        if points.is_empty() {
            return Content::Nothing("No trial has reported yet.".to_owned());
        }
        Content::Panels(vec![history(&points, it.study.direction, &it.study.metric, MAX_DOTS)])
    }),
    row(
        "parallel",
        "Parallel coordinates",
        "A line for each trial; drag along an axis to keep what passes there.",
        parallel::parallel,
    ),
    row(
        "importance",
        "What mattered",
        "Share of each parameter in a trial being among the best tenth, and in the variance of the value over the space.",
        importance::importance,
    ),
    row(
        "contour",
        "Contour",
        "The value over the two parameters with numbers that mattered most, smoothed.",
        contour::contour,
    ),
    row("slice", "Slices", "The value over each parameter; later trials are lighter.", slice::slice),
    row("rank", "Ranks", "Pairs of what mattered most, coloured by rank from 0, the least value, to 1.", rank::rank),
    row("edf", "Distribution", "Share of the complete trials that are as good or worse.", edf::edf),
    row("curves", "Curves", "The metric after each epoch.", curves::curves),
    row("slots", "Slots", "What each slot did, and when it had nothing to do.", slots::slots),
    row(
        "rungs",
        "Rungs",
        "Of the trials that came so far, how many went on, and how many after a pause.",
        rungs::rungs,
    ),
    row("map", "Learning rate and batch", "The value over the learning rate and the batch size.", map::map),
    row(
        "pareto",
        "Front",
        "Trials that nothing beats in both the value and another objective, or the time of training.",
        pareto::pareto,
    ),
    row("budget", "Budget", "Trials finished over time, and when the rest will be at this pace.", budget::budget),
    row(
        "failures",
        "Failures",
        "Trials without a result by cause, and the time that went into them.",
        failures::failures,
    ),
    row(
        "throughput",
        "Throughput",
        "What each slot did in a second, and the memory that it took.",
        throughput::throughput,
    ),
];

/// A figure that was computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name in addresses and on the command line.
    pub name: &'static str,
    /// What its head says.
    pub title: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// What is drawn.
    #[serde(flatten)]
    pub content: Content,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Areas with two axes each.
    Panels(Vec<Panel>),
    /// An axis for each parameter, side by side.
    Parallel(Parallel),
    /// Nothing, and why.
    Nothing(String),
}

/// Parts into which the continuous colours are cut for those who draw.
const STOPS: u8 = 32;

/// An area with two axes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// What it is about; empty where the figure's title says it.
    pub title: String,
    /// What it says in a sentence, computed from the trials.
    pub note: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// What is on it, the lowest first.
    pub marks: Vec<Mark>,
    /// What the colours of dots and fields say, if they say something.
    pub scale: Option<ColourScale>,
}

/// What the ends of the continuous colours stand for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColourScale {
    /// What is measured.
    pub label: String,
    /// Value of the darkest.
    pub low: f64,
    /// Value of the lightest.
    pub high: f64,
    /// From the lowest to the highest, evenly.
    pub colours: Vec<String>,
}

/// Something on a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// A dot for each place.
    Dots {
        /// For the legend; empty for none.
        name: String,
        /// Places along the x axis.
        x: Vec<f64>,
        /// Places along the y axis.
        y: Vec<f64>,
        /// Whose dots they are, if they are of trials.
        trials: Vec<TrialNumber>,
        /// One colour for all.
        colour: Colour,
        /// Instead, a place in the panel's colour scale for each.
        values: Vec<f64>,
        /// Only the edge.
        hollow: bool,
    },
    /// A line through the places.
    Line {
        /// For the legend; empty for none.
        name: String,
        /// Places along the x axis.
        x: Vec<f64>,
        /// Places along the y axis.
        y: Vec<f64>,
        /// Whose line it is.
        trial: Option<TrialNumber>,
        /// Of the line.
        colour: Colour,
        /// Broken.
        dashed: bool,
    },
    /// Bars along the x axis, each on a row of the y axis.
    Bars {
        /// For the legend; empty for none.
        name: String,
        /// Of all bars.
        colour: Colour,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// A field of coloured cells around the places.
    Field {
        /// Places along the x axis, even on it.
        x: Vec<f64>,
        /// Places along the y axis, even on it.
        y: Vec<f64>,
        /// A row for each y, of a value for each x.
        values: Vec<Vec<f64>>,
    },
}

/// A bar from one place to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Its row.
    pub row: f64,
    /// Where it begins on the x axis.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What is said of it.
    pub label: String,
    /// Whose bar it is.
    pub trial: Option<TrialNumber>,
}

impl ColourScale {
    fn new(label: impl Into<String>, low: f64, high: f64) -> Self {
        let colours =
            (0..=STOPS).map(|stop| theme::hex(theme::continuous(f64::from(stop) / f64::from(STOPS)))).collect();
        Self { label: label.into(), low, high, colours }
    }
}

impl Panel {
    fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), note: String::new(), x, y, marks: Vec::new(), scale: None }
    }

    fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn with(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    fn scaled(mut self, label: &str, (low, high): (f64, f64)) -> Self {
        self.scale = Some(ColourScale::new(label, low, high));
        self
    }
}

/// Names and titles of all figures, in the order in which they are shown.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    FIGURES.iter().map(|row| (row.name, row.title))
}

/// What the figure of that name shows, in a sentence.
pub(crate) fn about(name: &str) -> &'static str {
    FIGURES.iter().find(|row| row.name == name).map_or("", |row| row.about)
}

/// The figure of that name; nothing if there is none of that name.
pub fn figure(name: &str, material: &Material) -> Option<Figure> {
    let Row { name, title, about, make } = FIGURES.iter().find(|row| row.name == name)?;
    Some(Figure { name, title, about, content: (make)(material) })
}

/// What a study gives to draw.
pub async fn material(store: &Store, study: &StudyRow) -> Result<Material, QueryError> {
    Material::read(store, study).await
}

#[cfg(test)]
mod tests;
