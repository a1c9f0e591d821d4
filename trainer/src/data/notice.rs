//! What was out of the ordinary in the data and how it was handled.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::source::Split;

/// Something in the data that was handled, how often, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Where, if it concerns one split.
    pub split: Option<Split>,
    /// What was found and done.
    pub handling: Handling,
    /// How often.
    pub count: usize,
    /// The first few names.
    pub examples: Vec<String>,
}

/// What was found and what was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// Images that are corrupt, cut short, empty or missing are left out.
    Unreadable,
    /// Images whose EXIF data says that the camera was turned are turned upright.
    Turned,
    /// Gray images among others in colour get three equal channels.
    GrayToColour,
    /// Colour images where gray is asked for become their luma (ITU-R 601).
    ColourToGray,
    /// JPEGs for print are converted without their colour profile.
    Cmyk,
    /// Channels of 16 bits are rounded to 8.
    SixteenBit,
    /// What shows through is laid over white.
    Transparent,
    /// Images of another size or aspect are cropped to their centre and resized.
    Resized,
    /// Files of other kinds among the images are ignored.
    OtherFiles,
    /// Folders or images that belong to no split are ignored.
    OutsideSplits,
    /// A class without training images is kept, because the data names it, but cannot be learned.
    EmptyClass,
    /// A class folder without any image is ignored.
    EmptyFolder,
    /// The one image of a class stays in the train split, so validation cannot judge that class.
    LoneImage,
    /// Rows that say the same of the same image count once.
    RepeatedRow,
}

impl Notice {
    /// How many names a notice carries.
    const EXAMPLES: usize = 5;

    pub(super) fn new<S: Into<String>>(
        split: impl Into<Option<Split>>,
        handling: Handling,
        names: impl IntoIterator<Item = S>,
    ) -> Option<Self> {
        let mut names = names.into_iter();
        let examples: Vec<String> = names.by_ref().take(Self::EXAMPLES).map(Into::into).collect();
        let count = examples.len() + names.count();
        (count > 0).then(|| Self { split: split.into(), handling, count, examples })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(split) = self.split {
            write!(f, "{split}: ")?;
        }
        let (one, many, done) = self.handling.words();
        write!(f, "{} {} {done}", self.count, if self.count == 1 { one } else { many })?;
        if !self.examples.is_empty() {
            let more = if self.count > self.examples.len() { ", …" } else { "" };
            write!(f, " ({}{more})", self.examples.join(", "))?;
        }
        Ok(())
    }
}

impl Handling {
    /// What one is called, what many are called, and what was done.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Unreadable => ("unreadable image", "unreadable images", "left out"),
            Self::Turned => ("image", "images", "turned upright as the EXIF data says"),
            Self::GrayToColour => ("gray image", "gray images", "given three equal channels"),
            Self::ColourToGray => ("colour image", "colour images", "made gray"),
            Self::Cmyk => ("CMYK image", "CMYK images", "converted without a colour profile"),
            Self::SixteenBit => ("16-bit image", "16-bit images", "rounded to 8 bits"),
            Self::Transparent => ("transparent image", "transparent images", "laid over white"),
            Self::Resized => ("image", "images", "cropped to the centre and resized"),
            Self::OtherFiles => ("file that is no JPEG, PNG or WebP", "files that are no JPEG, PNG or WebP", "ignored"),
            Self::OutsideSplits => ("item that belongs to no split", "items that belong to no split", "ignored"),
            Self::EmptyClass => ("class without training images", "classes without training images", "kept"),
            Self::EmptyFolder => ("class folder without images", "class folders without images", "ignored"),
            Self::LoneImage => ("class of one image", "classes of one image", "kept for training alone"),
            Self::RepeatedRow => ("repeated row", "repeated rows", "counted once"),
        }
    }
}
