//! The colours of all figures and pages, by day and by night: from Okabe and Ito's, made darker on white and lighter on
//! black until text in them keeps a contrast of 4.5, and moved apart in lightness where that brought two together for
//! people with a kind of colour blindness.

use serde::Serialize;

/// A colour by its role; the style sheet has the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// Running, and the first of several lines.
    Blue,
    /// Failed, and the second.
    Orange,
    /// Complete, and the third.
    Green,
    /// Waiting, and the fourth.
    Purple,
    /// Paused, and the fifth.
    Yellow,
    /// Pruned, and what stands behind.
    Grey,
}

/// The order in which lines take colours.
pub(crate) const SERIES: [Colour; 5] = [Colour::Blue, Colour::Orange, Colour::Green, Colour::Purple, Colour::Yellow];

/// What is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on white.
    Light,
    /// Light on black.
    Dark,
}

pub(crate) type Rgb = (u8, u8, u8);

impl Theme {
    pub(crate) fn of(self, colour: Colour) -> Rgb {
        let (light, dark) = match colour {
            Colour::Blue => ((0x00, 0x6f, 0xae), (0x5d, 0xb3, 0xec)),
            Colour::Orange => ((0xb9, 0x4a, 0x04), (0xff, 0x99, 0x4d)),
            Colour::Green => ((0x00, 0x7a, 0x58), (0x49, 0xcb, 0x9a)),
            Colour::Purple => ((0x8a, 0x24, 0x66), (0xe5, 0x9f, 0xcb)),
            Colour::Yellow => ((0x70, 0x46, 0x00), (0xfa, 0xcc, 0x57)),
            Colour::Grey => ((0x64, 0x6c, 0x78), (0x8f, 0x99, 0xab)),
        };
        self.pick(light, dark)
    }

    pub(crate) fn paper(self) -> Rgb {
        self.pick((0xff, 0xff, 0xff), (0x18, 0x1e, 0x29))
    }

    pub(crate) fn ink(self) -> Rgb {
        self.pick((0x1b, 0x22, 0x30), (0xe6, 0xea, 0xf2))
    }

    pub(crate) fn soft(self) -> Rgb {
        self.pick((0x5a, 0x64, 0x75), (0x9b, 0xa6, 0xb8))
    }

    pub(crate) fn rule(self) -> Rgb {
        self.pick((0xdf, 0xe3, 0xea), (0x2b, 0x33, 0x42))
    }

    /// The colour of a thin line from 0, the worst, to 1, the best: of the continuous colours the half that keeps a
    /// contrast of 3 with the paper, and the best the one that stands out most.
    pub(crate) fn of_line(self, merit: f64) -> Rgb {
        let merit = merit.clamp(0.0, 1.0);
        continuous(self.pick(0.5 - 0.5 * merit, 0.5 + 0.5 * merit))
    }

    fn pick<T>(self, light: T, dark: T) -> T {
        if self == Self::Light { light } else { dark }
    }
}

/// Cividis (Nuñez, Anderton and Renslow 2018): the same to people with and without a deficiency of red or green, and
/// lighter all the way. As matplotlib 3.10 has it at eighths.
const CIVIDIS: [Rgb; 9] = [
    (0, 34, 78),
    (26, 56, 111),
    (67, 78, 108),
    (97, 101, 111),
    (125, 124, 120),
    (155, 148, 118),
    (188, 174, 108),
    (222, 201, 88),
    (254, 232, 56),
];

/// The colour at a place from 0 to 1.
pub(crate) fn continuous(place: f64) -> Rgb {
    let at = place.clamp(0.0, 1.0) * (CIVIDIS.len() - 1) as f64;
    let (one, next) = (CIVIDIS[at.floor() as usize], CIVIDIS[at.ceil() as usize]);
    let mix = |one: u8, next: u8| (f64::from(one) + (f64::from(next) - f64::from(one)) * at.fract()).round() as u8;
    (mix(one.0, next.0), mix(one.1, next.1), mix(one.2, next.2))
}

pub(crate) fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SHEET: &str = include_str!("../../assets/style.css");
    const ALL: [(Colour, &str); 6] = [
        (Colour::Blue, "blue"),
        (Colour::Orange, "orange"),
        (Colour::Green, "green"),
        (Colour::Purple, "purple"),
        (Colour::Yellow, "yellow"),
        (Colour::Grey, "grey"),
    ];

    fn linear(value: u8) -> f64 {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    }

    /// As WCAG 2.2 defines it.
    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let light = |(red, green, blue): Rgb| 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
        let (low, high) = (light(one).min(light(other)), light(one).max(light(other)));
        (high + 0.05) / (low + 0.05)
    }

    #[test]
    fn files_and_pages_have_the_same_colours() {
        for theme in [Theme::Light, Theme::Dark] {
            for (colour, name) in ALL {
                let rule = format!("--{name}: {}", hex(theme.of(colour)));
                assert!(SHEET.contains(&rule), "{rule}");
            }
            for (rgb, name) in
                [(theme.ink(), "ink"), (theme.soft(), "soft"), (theme.rule(), "rule"), (theme.paper(), "card")]
            {
                let rule = format!("--{name}: {}", hex(rgb));
                assert!(SHEET.contains(&rule), "{rule}");
            }
        }
    }

    /// The colours that the style sheet names, by day or by night.
    fn variables(theme: Theme) -> BTreeMap<&'static str, Rgb> {
        let block = SHEET.split(":root {").nth(if theme == Theme::Light { 1 } else { 2 }).unwrap();
        let rules = block.split('}').next().unwrap().split(';').filter_map(|rule| rule.trim().split_once(": #"));
        let read = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        rules.map(|(name, hex)| (name, (read(hex, 0), read(hex, 2), read(hex, 4)))).collect()
    }

    #[test]
    fn every_text_and_every_edge_of_the_pages_has_the_contrast_that_wcag_aa_asks_for() {
        const PAPERS: [&str; 4] = ["--paper", "--card", "--hover", "--win"];
        const TEXTS: [&str; 9] =
            ["--ink", "--soft", "--accent", "--blue", "--orange", "--green", "--purple", "--yellow", "--grey"];
        for theme in [Theme::Light, Theme::Dark] {
            let known = variables(theme);
            let check = |text: &str, paper: &str, least: f64| {
                let contrast = contrast(known[text], known[paper]);
                assert!(contrast >= least, "{theme:?}: {text} on {paper} has {contrast:.2}");
            };
            for paper in PAPERS {
                TEXTS.iter().for_each(|text| check(text, paper, 4.5));
                // What is not text: stars, the edges of fields and the ring around what has the focus.
                ["--win-edge", "--edge", "--accent"].iter().for_each(|part| check(part, paper, 3.0));
            }
            // Buttons, and the labels over points of figures.
            check("--card", "--accent", 4.5);
            check("--card", "--ink", 4.5);
        }
    }

    #[test]
    fn every_line_of_a_continuous_colour_is_seen_and_the_best_the_best() {
        // The page lets a little of what lies below a line through.
        assert!(SHEET.contains(".parallel polyline { stroke-width: 1.2; opacity: .9;"));
        let over = |line: u8, paper: u8| (0.9 * f64::from(line) + 0.1 * f64::from(paper)) as u8;
        for theme in [Theme::Light, Theme::Dark] {
            let paper = theme.paper();
            let seen = |(red, green, blue): Rgb| (over(red, paper.0), over(green, paper.1), over(blue, paper.2));
            let merits = (0..=20).map(|merit| f64::from(merit) / 20.0);
            let contrasts: Vec<f64> = merits.map(|merit| contrast(seen(theme.of_line(merit)), paper)).collect();
            assert!(contrasts[0] >= 3.0, "{theme:?}: {contrasts:?}");
            assert!(contrasts.is_sorted(), "{theme:?}: {contrasts:?}");
        }
    }

    /// What is left of a colour with one kind of cone missing (Machado, Oliveira and Fernandes 2009, severity 1).
    const MISSING: [(&str, [[f64; 3]; 3]); 4] = [
        ("none", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        ("red", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
        ("green", [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
        ("blue", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
    ];

    fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(one, other)| one * other).sum())
    }

    /// CIELAB under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times(
            [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
            rgb.map(|value| value.clamp(0.0, 1.0)),
        );
        let curve = |value: f64| if value > 0.008856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 };
        let [x, y, z] = [curve(xyz[0] / 0.95047), curve(xyz[1]), curve(xyz[2] / 1.08883)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn the_colours_of_lines_and_states_differ_with_every_kind_of_colour_blindness() {
        for theme in [Theme::Light, Theme::Dark] {
            for (cone, matrix) in MISSING {
                let seen = |colour| {
                    let (red, green, blue) = theme.of(colour);
                    lab(times(matrix, [red, green, blue].map(linear)))
                };
                for (place, (one, _)) in ALL.iter().enumerate() {
                    for (other, _) in &ALL[place + 1..] {
                        let (a, b) = (seen(*one), seen(*other));
                        let apart = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        // A difference of 2.3 is just seen by people with all three cones.
                        assert!(apart >= 9.0, "{theme:?}, without {cone}: {one:?} and {other:?} are {apart:.1} apart");
                    }
                }
            }
        }
    }
}
