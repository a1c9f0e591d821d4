//! The colours of all figures and pages, by day and by night: Okabe and Ito's, told apart with every kind of colour
//! blindness, made darker on white and lighter on black until text in them keeps a contrast of 4.5.

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
            Colour::Blue => ((0x00, 0x72, 0xb2), (0x5d, 0xb3, 0xec)),
            Colour::Orange => ((0xc2, 0x4f, 0x00), (0xff, 0x9a, 0x4d)),
            Colour::Green => ((0x00, 0x7a, 0x58), (0x3c, 0xc7, 0x9b)),
            Colour::Purple => ((0xa3, 0x49, 0x7e), (0xe0, 0x9c, 0xc4)),
            Colour::Yellow => ((0x94, 0x68, 0x00), (0xec, 0xc0, 0x4f)),
            Colour::Grey => ((0x5f, 0x68, 0x76), (0x98, 0xa2, 0xb3)),
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

    /// As WCAG 2.2 defines it.
    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let light = |(red, green, blue): Rgb| 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
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

    #[test]
    fn every_colour_can_be_read_on_its_paper() {
        for theme in [Theme::Light, Theme::Dark] {
            let text = ALL.iter().map(|(colour, _)| theme.of(*colour)).chain([theme.ink(), theme.soft()]);
            for colour in text {
                assert!(contrast(colour, theme.paper()) >= 4.5, "{theme:?} {}", hex(colour));
            }
        }
    }
}
