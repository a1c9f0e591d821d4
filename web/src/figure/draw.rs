//! Figures as SVG and PNG, drawn by plotters. Places are whole numbers to plotters, so everything is drawn larger than it
//! will be seen: curves stay smooth, and the edges of a PNG are softened when it is made smaller.

use std::io::Cursor;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use thiserror::Error;

use super::theme::{Rgb, Theme, continuous};
use super::{Axis, Colour, ColourScale, Content, Figure, Kind, Mark, Panel, Parallel};

/// So much larger than seen is drawn.
const ZOOM: i32 = 4;
/// Pixels of a PNG for each that an SVG is wide.
const PNG_ZOOM: u32 = 2;
/// Width of a figure in a file.
const WIDTH: u32 = 1200;
/// Most panels side by side.
const COLUMNS: usize = 3;
const FONT: &str = "sans-serif";
const LETTER: u32 = 12;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines and letters.
    Svg,
    /// Pixels.
    Png,
}

/// Why a figure could not be drawn.
#[derive(Debug, Error)]
pub enum DrawError {
    /// There is nothing in it.
    #[error("there is nothing to draw: {why}")]
    Nothing {
        /// As the page says it.
        why: String,
    },
    /// The picture could not be made.
    #[error("the figure could not be drawn")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;
type Area<DB> = DrawingArea<DB, Shift>;

impl Figure {
    /// The figure as a file.
    pub fn file(&self, format: Format, theme: Theme) -> Result<Vec<u8>, DrawError> {
        if let Content::Nothing(why) = &self.content {
            return Err(DrawError::Nothing { why: why.clone() });
        }
        let size = (WIDTH, self.height());
        let title = self.title;
        match format {
            Format::Svg => draw_svg(size, |area| self.paint(area, theme, title)).map(String::into_bytes),
            Format::Png => draw_png(size, |area| self.paint(area, theme, title)),
        }
    }

    fn height(&self) -> u32 {
        let height = match &self.content {
            Content::Panels(panels) => {
                let rows = panels.len().div_ceil(columns(panels.len())) as u32;
                let tall = panels.iter().map(panel_height).max().unwrap_or(320);
                rows * tall
            }
            _ => 400,
        };
        height + 30
    }

    fn paint<DB: DrawingBackend<ErrorType: 'static>>(&self, area: &Area<DB>, theme: Theme, title: &str) -> Drawn {
        area.fill(&colour(theme.paper())).map_err(own)?;
        let pen = pen(area, theme);
        pen.text(title, (16, 10), 16, theme.ink(), HPos::Left, VPos::Top)?;
        let (_, below) = area.split_vertically(30 * ZOOM);
        self.panels(&Pen { area: &below, theme }, &below)
    }

    fn panels<DB: DrawingBackend<ErrorType: 'static>>(&self, pen: &Pen<'_, DB>, area: &Area<DB>) -> Drawn {
        match &self.content {
            Content::Panels(panels) => {
                let columns = columns(panels.len());
                let parts = area.split_evenly((panels.len().div_ceil(columns), columns));
                for (part, it) in parts.iter().zip(panels) {
                    panel(&Pen { area: part, theme: pen.theme }, it)?;
                }
                Ok(())
            }
            Content::Parallel(content) => parallel(pen, content),
            Content::Nothing(_) => Ok(()),
        }
    }
}

/// One panel as a part of a page, in that size; nothing if nothing is on it.
pub(crate) fn svg(content: &Panel, size: (u32, u32)) -> Option<String> {
    let something = content.marks.iter().any(|mark| match mark {
        Mark::Dots { x, .. } | Mark::Line { x, .. } | Mark::Field { x, .. } => !x.is_empty(),
        Mark::Bars { bars, .. } => !bars.is_empty(),
    });
    if !something {
        return None;
    }
    match draw_svg(size, |area| panel(&pen(area, Theme::Light), content)) {
        Ok(svg) => Some(svg),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a figure could not be drawn");
            None
        }
    }
}

fn columns(panels: usize) -> usize {
    match panels {
        4 => 2,
        panels => panels.clamp(1, COLUMNS),
    }
}

/// Rows of words need room.
fn panel_height(panel: &Panel) -> u32 {
    match &panel.y.kind {
        Kind::Words(words) => (100 + 26 * words.len() as u32).max(180),
        _ => 330,
    }
}

fn draw_svg(size: (u32, u32), paint: impl FnOnce(&Area<SVGBackend<'_>>) -> Drawn) -> Result<String, DrawError> {
    let zoom = ZOOM.cast_unsigned();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (size.0 * zoom, size.1 * zoom)).into_drawing_area();
        letters();
        paint(&area).and_then(|()| area.present().map_err(own)).map_err(DrawError::Backend)?;
    }
    let (large, seen) = ((size.0 * zoom, size.1 * zoom), size);
    let head = format!("width=\"{}\" height=\"{}\"", large.0, large.1);
    Ok(svg.replacen(&head, &format!("width=\"{}\" height=\"{}\"", seen.0, seen.1), 1))
}

fn draw_png(
    (width, height): (u32, u32),
    paint: impl FnOnce(&Area<BitMapBackend<'_>>) -> Drawn,
) -> Result<Vec<u8>, DrawError> {
    let zoom = ZOOM.cast_unsigned();
    let large = (width * zoom, height * zoom);
    let mut pixels = vec![0; (large.0 * large.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, large).into_drawing_area();
        letters();
        paint(&area).and_then(|()| area.present().map_err(own)).map_err(DrawError::Backend)?;
    }
    let picture = image::RgbImage::from_raw(large.0, large.1, pixels).expect("as many bytes as pixels");
    let size = (width * PNG_ZOOM, height * PNG_ZOOM);
    let picture = image::imageops::resize(&picture, size.0, size.1, image::imageops::FilterType::Triangle);
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| DrawError::Backend(error.into()))?;
    Ok(bytes.into_inner())
}

/// plotters asks for letters by name; these are the same on every machine.
fn letters() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known = register_font(FONT, FontStyle::Normal, include_bytes!("../../assets/figures.ttf"));
        assert!(known.is_ok(), "the font in the binary is a font");
    });
}

fn own<E: std::error::Error + Send + Sync + 'static>(
    error: DrawingAreaErrorKind<E>,
) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}

fn colour((red, green, blue): Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

/// Draws in pixels as seen.
struct Pen<'a, DB: DrawingBackend> {
    area: &'a Area<DB>,
    theme: Theme,
}

fn pen<DB: DrawingBackend>(area: &Area<DB>, theme: Theme) -> Pen<'_, DB> {
    Pen { area, theme }
}

type Place = (f64, f64);

impl<DB: DrawingBackend<ErrorType: 'static>> Pen<'_, DB> {
    fn size(&self) -> (f64, f64) {
        let (width, height) = self.area.dim_in_pixel();
        (f64::from(width) / f64::from(ZOOM), f64::from(height) / f64::from(ZOOM))
    }

    fn line(&self, places: &[Place], rgb: Rgb, width: f64) -> Drawn {
        let style = colour(rgb).stroke_width((width * f64::from(ZOOM)).round() as u32);
        let places: Vec<_> = places.iter().map(large).collect();
        self.area.draw(&PathElement::new(places, style)).map_err(own)
    }

    fn dashes(&self, places: &[Place], rgb: Rgb) -> Drawn {
        for pair in places.windows(2) {
            let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
            let length = (to_x - x).hypot(to_y - y);
            let at = |part: f64| (x + (to_x - x) * part, y + (to_y - y) * part);
            let mut from = 0.0;
            while from < length {
                self.line(&[at(from / length), at((from + 4.0).min(length) / length)], rgb, 1.5)?;
                from += 8.0;
            }
        }
        Ok(())
    }

    fn dot(&self, place: Place, radius: f64, rgb: Rgb, hollow: bool) -> Drawn {
        let style = if hollow { colour(rgb).stroke_width(ZOOM.cast_unsigned()) } else { colour(rgb).filled() };
        let radius = (radius * f64::from(ZOOM)).round() as i32;
        self.area.draw(&Circle::new(large(&place), radius, style)).map_err(own)
    }

    fn field(&self, from: Place, to: Place, rgb: Rgb) -> Drawn {
        self.area.draw(&Rectangle::new([large(&from), large(&to)], colour(rgb).filled())).map_err(own)
    }

    fn text(&self, text: &str, at: (i32, i32), size: u32, rgb: Rgb, h: HPos, v: VPos) -> Drawn {
        let style = (FONT, size * ZOOM.cast_unsigned()).into_font().color(&colour(rgb)).pos(Pos::new(h, v));
        // plotters takes the room above capitals and below letters for a part of them, so they stand too high.
        let lower = (size * ZOOM.cast_unsigned() / 6).cast_signed();
        self.area.draw(&Text::new(text.to_owned(), (at.0 * ZOOM, at.1 * ZOOM + lower), style)).map_err(own)
    }

    fn width_of(&self, text: &str) -> f64 {
        let size = (FONT, LETTER).into_font().box_size(text);
        size.map_or(text.len() as f64 * 7.0, |(width, _)| f64::from(width))
    }
}

fn large((x, y): &Place) -> (i32, i32) {
    ((x * f64::from(ZOOM)).round() as i32, (y * f64::from(ZOOM)).round() as i32)
}

/// Where the marks of a panel lie.
struct Frame<'a> {
    panel: &'a Panel,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + self.panel.x.place(value).clamp(-0.01, 1.01) * (self.right - self.left)
    }

    /// Rows of words go down as they are read; numbers go up.
    fn y(&self, value: f64) -> f64 {
        let place = self.panel.y.place(value).clamp(-0.01, 1.01);
        let down = if matches!(self.panel.y.kind, Kind::Words(_)) { place } else { 1.0 - place };
        self.top + down * (self.bottom - self.top)
    }
}

fn panel<DB: DrawingBackend<ErrorType: 'static>>(pen: &Pen<'_, DB>, panel: &Panel) -> Drawn {
    let (width, height) = pen.size();
    let theme = pen.theme;
    let names: Vec<_> = legend(panel);
    let y_label = if panel.y.label == panel.title { "" } else { panel.y.label.as_str() };
    let said = [&panel.title, &panel.note, y_label].iter().any(|text| !text.is_empty())
        || !names.is_empty()
        || panel.scale.is_some();
    let y_ticks = panel.y.ticks((height / 45.0) as usize);
    let widest = y_ticks.iter().map(|(_, text)| pen.width_of(&short(text))).fold(0.0, f64::max);
    let frame = Frame {
        panel,
        left: widest + 14.0,
        top: if said { 34.0 } else { 8.0 },
        right: width - 16.0,
        bottom: height - if panel.x.label.is_empty() { 24.0 } else { 42.0 },
    };
    let mut at = frame.left;
    if !panel.title.is_empty() {
        pen.text(&panel.title, (at as i32, 8), LETTER, theme.ink(), HPos::Left, VPos::Top)?;
        at += pen.width_of(&panel.title) + 18.0;
    }
    if !y_label.is_empty() {
        pen.text(y_label, (at as i32, 8), LETTER, theme.soft(), HPos::Left, VPos::Top)?;
        at += pen.width_of(y_label) + 18.0;
    }
    for (name, colour) in names {
        pen.dot((at + 4.0, 13.0), 4.0, theme.of(colour), false)?;
        pen.text(name, (at as i32 + 12, 8), LETTER, theme.soft(), HPos::Left, VPos::Top)?;
        at += pen.width_of(name) + 28.0;
    }
    if let Some(scale) = &panel.scale {
        draw_scale(pen, scale, (frame.right, 8.0), continuous)?;
    }
    if panel.scale.is_none() && !panel.note.is_empty() {
        pen.text(&panel.note, (frame.right as i32, 8), LETTER, theme.soft(), HPos::Right, VPos::Top)?;
    }
    for (value, text) in y_ticks {
        let y = frame.y(value);
        pen.line(&[(frame.left, y), (frame.right, y)], theme.rule(), 1.0)?;
        pen.text(&short(&text), (frame.left as i32 - 6, y as i32), LETTER, theme.soft(), HPos::Right, VPos::Center)?;
    }
    let width_of_tick = if panel.x.kind == Kind::Time { 90.0 } else { 70.0 };
    let x_ticks = panel.x.ticks(((frame.right - frame.left) / width_of_tick) as usize);
    let words = x_ticks.len() as f64 * 60.0 > frame.right - frame.left && matches!(panel.x.kind, Kind::Words(_));
    for (value, text) in x_ticks {
        let x = frame.x(value);
        pen.line(&[(x, frame.bottom), (x, frame.bottom + 4.0)], theme.rule(), 1.0)?;
        let text = if words { text.chars().take(6).collect() } else { text };
        pen.text(&text, (x as i32, frame.bottom as i32 + 7), LETTER, theme.soft(), HPos::Center, VPos::Top)?;
    }
    if !panel.x.label.is_empty() {
        let middle = ((frame.left + frame.right) / 2.0) as i32;
        pen.text(&panel.x.label, (middle, height as i32 - 16), LETTER, theme.soft(), HPos::Center, VPos::Top)?;
    }
    panel.marks.iter().try_for_each(|mark| draw_mark(pen, &frame, mark))
}

/// What the colours stand for; the text ends at that place.
fn draw_scale<DB: DrawingBackend<ErrorType: 'static>>(
    pen: &Pen<'_, DB>,
    scale: &ColourScale,
    (right, top): Place,
    rgb: impl Fn(f64) -> Rgb,
) -> Drawn {
    let text = format!("{} {}", crate::format::apart(&[scale.low, scale.high]).join(" … "), scale.label);
    pen.text(&text, (right as i32, top as i32), LETTER, pen.theme.soft(), HPos::Right, VPos::Top)?;
    let end = right - pen.width_of(&text) - 8.0;
    (0..40).try_for_each(|part| {
        let from = end - 60.0 + f64::from(part) * 1.5;
        pen.field((from, top), (from + 1.5, top + 10.0), rgb(f64::from(part) / 39.0))
    })
}

/// A word that would take the whole width is cut.
fn short(text: &str) -> String {
    const MOST: usize = 26;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let end: Vec<char> = text.chars().rev().take(MOST - 1).collect();
    format!("…{}", end.into_iter().rev().collect::<String>())
}

fn legend(panel: &Panel) -> Vec<(&str, Colour)> {
    let all = panel.marks.iter().filter_map(|mark| match mark {
        Mark::Dots { name, colour, .. } | Mark::Line { name, colour, .. } | Mark::Bars { name, colour, .. } => {
            Some((name.as_str(), *colour))
        }
        Mark::Field { .. } => None,
    });
    all.filter(|(name, _)| !name.is_empty()).collect()
}

fn draw_mark<DB: DrawingBackend<ErrorType: 'static>>(pen: &Pen<'_, DB>, frame: &Frame<'_>, mark: &Mark) -> Drawn {
    let theme = pen.theme;
    let scaled = |value: f64| {
        let (low, high) = frame.panel.scale.as_ref().map_or((0.0, 1.0), |scale| (scale.low, scale.high));
        continuous((value - low) / (high - low))
    };
    let is_drawn = |value: f64| value.is_finite() && value.abs() < 1e300;
    match mark {
        Mark::Dots { x, y, colour, values, hollow, .. } => {
            for (place, (x, y)) in x.iter().zip(y).enumerate().filter(|(_, (_, y))| is_drawn(**y)) {
                let rgb = values.get(place).map_or(theme.of(*colour), |value| scaled(*value));
                let at = (frame.x(*x), frame.y(*y));
                if !values.is_empty() {
                    pen.dot(at, 4.0, theme.soft(), false)?;
                }
                pen.dot(at, if *hollow { 2.5 } else { 3.2 }, rgb, *hollow)?;
            }
            Ok(())
        }
        Mark::Line { x, y, trial, colour, dashed, .. } => {
            // Of many trials' lines each is thin.
            let width = if trial.is_some() { 1.25 } else { 1.75 };
            let places: Vec<Place> =
                x.iter().zip(y).filter(|(_, y)| is_drawn(**y)).map(|(x, y)| (frame.x(*x), frame.y(*y))).collect();
            match (places.as_slice(), dashed) {
                ([], _) => Ok(()),
                ([only], _) => pen.dot(*only, 2.0, theme.of(*colour), false),
                (_, true) => pen.dashes(&places, theme.of(*colour)),
                (_, false) => pen.line(&places, theme.of(*colour), width),
            }
        }
        Mark::Bars { colour, bars, .. } => {
            let rows = (frame.panel.y.high - frame.panel.y.low).max(1.0);
            let half = ((frame.bottom - frame.top) / rows * 0.32).min(14.0);
            for bar in bars {
                let (from, to, y) = (frame.x(bar.from), frame.x(bar.to), frame.y(bar.row));
                // What is thinner than a pixel is seen all the same.
                pen.field((from, y - half), (to.max(from + 0.75), y + half), theme.of(*colour))?;
                let at_its_end = bar.trial.is_none();
                if at_its_end {
                    let room = to - from > pen.width_of(&bar.label) + 10.0;
                    let (x, rgb, side) =
                        if room { (to - 5.0, theme.paper(), HPos::Right) } else { (to + 5.0, theme.ink(), HPos::Left) };
                    pen.text(&bar.label, (x as i32, y as i32), LETTER, rgb, side, VPos::Center)?;
                }
            }
            Ok(())
        }
        Mark::Field { x, y, values } => {
            let edges = |axis: &Axis, places: &[f64]| {
                let half = 0.5 / places.len() as f64;
                places
                    .iter()
                    .map(|value| (axis.value(axis.place(*value) - half), axis.value(axis.place(*value) + half)))
                    .collect::<Vec<_>>()
            };
            for ((low_y, high_y), row) in edges(&frame.panel.y, y).into_iter().zip(values) {
                for ((low_x, high_x), value) in edges(&frame.panel.x, x).into_iter().zip(row) {
                    let (from, to) = ((frame.x(low_x), frame.y(high_y)), (frame.x(high_x), frame.y(low_y)));
                    pen.field(from, to, scaled(*value))?;
                }
            }
            Ok(())
        }
    }
}

fn parallel<DB: DrawingBackend<ErrorType: 'static>>(pen: &Pen<'_, DB>, content: &Parallel) -> Drawn {
    let (width, height) = pen.size();
    let theme = pen.theme;
    let (top, bottom) = (44.0, height - 56.0);
    let apart = (width - 160.0) / (content.axes.len() - 1).max(1) as f64;
    let x = |place: usize| 70.0 + place as f64 * apart;
    let y = |place: f64| bottom - place * (bottom - top);
    for line in &content.lines {
        let place = (line.value - content.scale.low) / (content.scale.high - content.scale.low);
        // Where a trial has no such parameter, its line passes below the axis.
        let places: Vec<Place> =
            line.places.iter().enumerate().map(|(at, place)| (x(at), place.map_or(bottom + 16.0, y))).collect();
        pen.line(&places, content.colour(theme, place), 1.0)?;
    }
    let widest = content.axes.iter().map(|axis| pen.width_of(&axis.axis.label)).fold(0.0, f64::max);
    for (at, axis) in content.axes.iter().enumerate() {
        pen.line(&[(x(at), top), (x(at), bottom)], theme.ink(), 1.25)?;
        // Long names of neighbours stand at two heights.
        let name: String = axis.axis.label.chars().take((2.0 * apart / 7.5) as usize).collect();
        let place = if widest < apart || at % 2 == 0 { 20 } else { 6 };
        pen.text(&name, (x(at) as i32, place), LETTER, theme.ink(), HPos::Center, VPos::Top)?;
        for (place, text) in &axis.ticks {
            let (left, right) = (x(at) - 4.0, x(at));
            pen.line(&[(left, y(*place)), (right, y(*place))], theme.ink(), 1.0)?;
            let text: String = text.chars().take(14).collect();
            // On the lines it could not be read.
            let (width, y) = (pen.width_of(&text), y(*place));
            pen.field((left - 5.0 - width, y - 7.0), (left - 1.0, y + 7.0), theme.paper())?;
            pen.text(&text, (left as i32 - 3, y as i32), LETTER, theme.soft(), HPos::Right, VPos::Center)?;
        }
        if content.lines.iter().any(|line| line.places[at].is_none()) {
            let place = (x(at) as i32, bottom as i32 + 22);
            pen.text("has none", place, LETTER, theme.soft(), HPos::Center, VPos::Top)?;
        }
    }
    draw_scale(pen, &content.scale, (width - 16.0, height - 14.0), |place| content.colour(theme, place))
}
