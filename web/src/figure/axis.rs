//! An axis: which values it has, and where they and its ticks are on it.

use serde::Serialize;

use crate::format;

/// How values lie on an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Evenly.
    Linear,
    /// Evenly, with whole numbers alone.
    Whole,
    /// Evenly in the logarithm.
    Log,
    /// Milliseconds since 1970 on the clocks of the machine that has the study.
    Time,
    /// 0, 1, … are these words.
    Words(Vec<String>),
}

/// One side of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What is measured.
    pub label: String,
    /// How values lie on it.
    pub kind: Kind,
    /// Value of its beginning.
    pub low: f64,
    /// Value of its end.
    pub high: f64,
}

impl Axis {
    /// From the least to the greatest of the values with some room; from 0 to 1 if there are none.
    pub(crate) fn over(label: impl Into<String>, kind: Kind, values: impl IntoIterator<Item = f64>) -> Self {
        let mut axis = Self { label: label.into(), kind, low: 0.0, high: 1.0 };
        // Beyond this the span itself would overflow.
        let usable = |value: &f64| value.abs() < 1e300 && (axis.kind != Kind::Log || *value > 0.0);
        let values = values.into_iter().filter(usable);
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
        if low > high {
            if axis.kind == Kind::Log {
                axis.low = 0.1;
            }
            return axis;
        }
        match axis.kind {
            Kind::Words(_) => {}
            Kind::Log => {
                let room = if high > low { (high / low).powf(0.04) } else { 2.0 };
                (axis.low, axis.high) = (low / room, high * room);
            }
            Kind::Linear | Kind::Whole | Kind::Time => {
                let room = if high > low { (high - low) * 0.05 } else { low.abs().max(1e-9) * 0.05 };
                (axis.low, axis.high) = (low - room, high + room);
            }
        }
        axis
    }

    /// From 0 on.
    pub(crate) fn from_zero(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let axis = Self::over(label, Kind::Linear, values);
        Self { low: 0.0, high: if axis.high > 0.0 { axis.high } else { 1.0 }, ..axis }
    }

    /// A row for each word, the first at the top of a y axis.
    pub(crate) fn words(label: impl Into<String>, words: Vec<String>) -> Self {
        let high = words.len().max(1) as f64 - 0.5;
        Self { label: label.into(), kind: Kind::Words(words), low: -0.5, high }
    }

    /// From 0 at its beginning to 1 at its end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Log => (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
            _ => (value - self.low) / (self.high - self.low),
        }
    }

    /// The value at a place.
    pub(crate) fn value(&self, place: f64) -> f64 {
        match self.kind {
            Kind::Log => self.low * (self.high / self.low).powf(place),
            _ => self.low + place * (self.high - self.low),
        }
    }

    /// What stands beside the axis, about so many.
    pub(crate) fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        match &self.kind {
            Kind::Words(words) => (0..).zip(words).map(|(at, word)| (f64::from(at), word.clone())).collect(),
            Kind::Linear | Kind::Whole => numbers(self.even(about)),
            Kind::Log => numbers(self.decades(about)),
            Kind::Time => {
                let step = time_step(self.high - self.low, about);
                let day = self.high - self.low > 20.0 * 3_600_000.0;
                self.steps(step).map(|it| (it, format::clock(it, day))).collect()
            }
        }
    }

    /// Round numbers, about so many; more of them rather than a single one, which says nothing of the scale.
    fn even(&self, about: usize) -> Vec<f64> {
        let least = if self.kind == Kind::Whole { 1.0 } else { 0.0 };
        let steps = |about| self.steps(nice_step(self.high - self.low, about).max(least)).collect::<Vec<_>>();
        let few = steps(about);
        if few.len() < 2 { steps(2 * about) } else { few }
    }

    fn steps(&self, step: f64) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
        (0..=(last - first).max(-1.0) as i64).map(move |at| (first + at as f64) * step)
    }

    fn decades(&self, about: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let every = ((last - first) as usize).div_ceil(about.max(1)).max(1);
        let within: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = (first..=last).step_by(every);
        let all = decades.flat_map(|decade| within.iter().map(move |digit| digit * 10f64.powi(decade)));
        let all: Vec<f64> = all.filter(|it| (self.low..=self.high).contains(it)).collect();
        // Within a part of a decade the places are nearly even.
        if all.len() < 2 { self.even(about) } else { all }
    }
}

fn numbers(values: Vec<f64>) -> Vec<(f64, String)> {
    let texts = format::apart(&values);
    values.into_iter().zip(texts).collect()
}

/// 1, 2 or 5 times a power of ten.
fn nice_step(span: f64, about: usize) -> f64 {
    let rough = span / about.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

fn time_step(span_ms: f64, about: usize) -> f64 {
    const MINUTE: f64 = 60_000.0;
    const STEPS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 180.0, 360.0, 720.0, 1440.0];
    let rough = span_ms / about.max(1) as f64;
    match STEPS.into_iter().map(|minutes| minutes * MINUTE).find(|step| *step >= rough) {
        Some(step) if rough > MINUTE / 2.0 => step,
        Some(_) => {
            [1.0, 5.0, 10.0, 30.0].into_iter().map(|it| it * 1000.0).find(|step| *step >= rough).unwrap_or(MINUTE)
        }
        None => nice_step(span_ms / (1440.0 * MINUTE), about) * 1440.0 * MINUTE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let check = |kind: Kind, (low, high): (f64, f64), expected: &[&str]| {
            let axis = Axis { label: String::new(), kind, low, high };
            let ticks: Vec<_> = axis.ticks(5).into_iter().map(|(_, text)| text).collect();
            assert_eq!(ticks, expected);
        };
        check(Kind::Linear, (0.0, 1.0), &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(Kind::Linear, (0.91, 0.934), &["0.91", "0.915", "0.92", "0.925", "0.93"]);
        check(Kind::Linear, (0.5, 9.5), &["2", "4", "6", "8"]);
        check(Kind::Linear, (1.1, 1.9), &["1.2", "1.4", "1.6", "1.8"]);
        check(Kind::Whole, (0.5, 1.5), &["1"]);
        check(Kind::Whole, (0.5, 3.5), &["1", "2", "3"]);
        check(Kind::Whole, (0.5, 27.5), &["10", "20"]);
        check(Kind::Log, (1e-5, 1.0), &["1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]);
        check(Kind::Log, (0.03, 0.6), &["0.05", "0.1", "0.2", "0.5"]);
        check(Kind::Log, (12.0, 15.5), &["12", "13", "14", "15"]);
        check(Kind::Log, (0.09995, 0.10035), &["0.1", "0.1001", "0.1002", "0.1003"]);
        check(Kind::Linear, (0.912341, 0.912381), &["0.91235", "0.91236", "0.91237", "0.91238"]);
        check(Kind::Linear, (1e6 - 0.5, 1e6 + 3.5), &["1e6", "1.000001e6", "1.000002e6", "1.000003e6"]);
        check(Kind::Words(vec!["a".into(), "b".into()]), (-0.5, 1.5), &["a", "b"]);
        check(Kind::Time, (0.0, 3_600_000.0), &["00:00", "00:15", "00:30", "00:45", "01:00"]);
        check(Kind::Time, (0.0, 60_000.0), &["00:00", "00:00:30", "00:01"]);
    }

    #[test]
    fn every_value_has_a_place_and_back() {
        for kind in [Kind::Linear, Kind::Whole, Kind::Log] {
            let axis = Axis::over("", kind, [0.001, 0.5, f64::NAN, -0.0, f64::MAX]);
            for value in [0.001, 0.02, 0.5] {
                assert!((axis.value(axis.place(value)) - value).abs() < 1e-12);
                assert!((0.0..=1.0).contains(&axis.place(value)));
            }
        }
        let one = Axis::over("", Kind::Linear, [0.5]);
        assert!(one.low < 0.5 && one.high > 0.5);
    }
}
