//! An image laid out for the tiles: channels in blocks, rows and columns of a stride apart from each other, and the
//! padding written out, so that every tap of a filter is at a fixed distance.

#![expect(unsafe_code, reason = "pixels are read and written as vectors")]

use crate::simd::{Isa, LANES};

/// The shape of a panel, `[block][row phase][column phase][row][column][channel of the block]`.
///
/// Row `r` of phase `p` is row `r · stride + p − offset` of the image, or zeros where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// Channels of the image.
    pub channels: usize,
    /// Channels in a block, 4 or 16; those that the image lacks are zeros.
    pub block: usize,
    /// Image rows and columns from one of a phase to the next.
    pub stride: usize,
    /// Phases kept, in each direction.
    pub phases: usize,
    /// Rows of zeros before the image, and columns.
    pub offset: usize,
    /// Rows and columns of a phase.
    pub size: [usize; 2],
    /// Rows and columns of the image.
    pub image: [usize; 2],
}

/// Where a panel's pixels come from.
pub trait Pixels {
    /// What some channels have in common, held in registers from pixel to pixel.
    type Held<I: Isa>: Copy;

    /// Up to sixteen channels from one on, for [`Self::read`].
    ///
    /// # Safety
    /// There must be these channels, and the processor must have the instructions.
    unsafe fn hold<I: Isa>(&self, channel: usize, count: usize) -> Self::Held<I>;

    /// Up to sixteen channels of a pixel of an image, zeros behind `count`.
    ///
    /// # Safety
    /// The image must have them, and `held` must be of these channels.
    unsafe fn read<I: Isa>(
        &self,
        held: Self::Held<I>,
        image: usize,
        pixel: usize,
        channel: usize,
        count: usize,
    ) -> I::V;
}

/// Pixels as they are in memory: `[image][pixel][channel]`.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Pixels of an image.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Pixels for Stored<'_> {
    type Held<I: Isa> = ();

    #[inline(always)]
    unsafe fn hold<I: Isa>(&self, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn read<I: Isa>(&self, (): (), image: usize, pixel: usize, channel: usize, count: usize) -> I::V {
        let at = (image * self.pixels + pixel) * self.channels + channel;
        debug_assert!(at + count.min(LANES) <= self.data.len());
        // SAFETY: the image has these channels.
        unsafe { read_up_to::<I>(self.data.as_ptr().add(at), count) }
    }
}

/// Reads sixteen numbers or, if there are fewer, these.
///
/// # Safety
/// There must be `count`, or sixteen.
#[inline(always)]
pub unsafe fn read_up_to<I: Isa>(from: *const f32, count: usize) -> I::V {
    // SAFETY: the caller's.
    unsafe {
        match count >= LANES {
            true => I::load(from),
            false => I::load_first(from, count),
        }
    }
}

/// Writes sixteen numbers or, if there is room for fewer, these.
///
/// # Safety
/// There must be room for `count`, or for sixteen.
#[inline(always)]
pub unsafe fn write_up_to<I: Isa>(to: *mut f32, count: usize, v: I::V) {
    // SAFETY: the caller's.
    unsafe {
        match count >= LANES {
            true => I::store(to, v),
            false => I::store_first(to, count, v),
        }
    }
}

impl Panel {
    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    /// Channels of the last block.
    pub fn last(&self) -> usize {
        self.channels - (self.blocks() - 1) * self.block
    }

    /// Numbers from a row to the next.
    pub fn row_stride(&self) -> usize {
        self.size[1] * self.block
    }

    /// Numbers of a block.
    pub fn block_stride(&self) -> usize {
        self.phases * self.phases * self.size[0] * self.row_stride()
    }

    /// Numbers of an image.
    pub fn image_len(&self) -> usize {
        self.blocks() * self.block_stride()
    }

    /// Where, from a pixel of phase 0, that lies which is so many image rows and columns further.
    pub fn distance(&self, rows: usize, columns: usize) -> usize {
        let phase = rows % self.stride * self.phases + columns % self.stride;
        phase * self.size[0] * self.row_stride()
            + rows / self.stride * self.row_stride()
            + columns / self.stride * self.block
    }

    /// Writes an image into the panel.
    ///
    /// # Safety
    /// `panel` must have room for [`Self::len`] numbers; `pixels` must have the image.
    #[inline(always)]
    pub unsafe fn fill<I: Isa>(&self, pixels: &impl Pixels, image: usize, panel: *mut f32) {
        let mut to = panel;
        for block in 0..self.blocks() {
            let channel = block * self.block;
            let count = self.channels - channel;
            // SAFETY: the image has these channels.
            let held = unsafe { pixels.hold::<I>(channel, count) };
            for phase in 0..self.phases * self.phases {
                let inside = self.inside(phase % self.phases, 1);
                let rows = self.inside(phase / self.phases, 0);
                for row in 0..self.size[0] {
                    // SAFETY: each write stays in the room that the caller gives; reads are inside the image.
                    unsafe {
                        if row < rows.0 || row >= rows.1 {
                            to = self.zero::<I>(to, self.size[1]);
                            continue;
                        }
                        to = self.zero::<I>(to, inside.0);
                        let y = row * self.stride + phase / self.phases - self.offset;
                        let mut x = inside.0 * self.stride + phase % self.phases - self.offset;
                        for _ in inside.0..inside.1 {
                            let v = pixels.read::<I>(held, image, y * self.image[1] + x, channel, count);
                            write_up_to::<I>(to, self.block, v);
                            to = to.add(self.block);
                            x += self.stride;
                        }
                        to = self.zero::<I>(to, self.size[1] - inside.1);
                    }
                }
            }
        }
    }

    /// The rows (or columns) of a phase that the image has: from, and up to.
    #[inline(always)]
    fn inside(&self, phase: usize, axis: usize) -> (usize, usize) {
        let from = self.offset.saturating_sub(phase).div_ceil(self.stride).min(self.size[axis]);
        let end = (self.image[axis] + self.offset).saturating_sub(phase).div_ceil(self.stride);
        (from, end.clamp(from, self.size[axis]))
    }

    #[inline(always)]
    unsafe fn zero<I: Isa>(&self, mut to: *mut f32, pixels: usize) -> *mut f32 {
        for _ in 0..pixels {
            // SAFETY: the caller has room for these pixels.
            unsafe {
                write_up_to::<I>(to, self.block, I::zero());
                to = to.add(self.block);
            }
        }
        to
    }
}
