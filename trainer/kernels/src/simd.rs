//! Vectors of sixteen `f32`, on the widest instructions that the processor has.
//!
//! A kernel is written once over [`Isa`] and inlined into one function for each instruction set; [`dispatch`] picks
//! at run time. Without AVX, sixteen plain numbers are left to the compiler, which makes NEON or SSE of them.

#![expect(unsafe_code, reason = "vector loads and stores go through pointers, and the instructions must be there")]

use std::sync::LazyLock;

/// Numbers in a vector, on every instruction set.
pub const LANES: usize = 16;

/// An instruction set: how to do sixteen things at once.
///
/// # Safety
/// All methods need a processor with the instructions, which [`dispatch`] sees to; those with pointers need the stated
/// count of numbers behind them.
pub trait Isa: Copy + 'static {
    /// Sixteen numbers.
    type V: Copy;
    /// Accumulators of one vector that fit the registers beside their operands: pixels in a tile one, two and four
    /// vectors wide. Zero where such a tile does not pay.
    const TILES: [usize; 3];
    /// Runs a kernel as a function of its own, so that a large one is compiled once however often it is asked for.
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output;
    /// Sixteen zeros.
    unsafe fn zero() -> Self::V;
    /// Sixteen times the same number.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads sixteen.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Writes sixteen.
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Reads `count` at most sixteen; the rest is zero.
    unsafe fn load_first(from: *const f32, count: usize) -> Self::V;
    /// Writes the first `count` at most sixteen.
    unsafe fn store_first(to: *mut f32, count: usize, v: Self::V);
    /// Sum.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// Difference.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// Product.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`, rounded once where the processor can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The greater of each pair.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The lesser of each pair.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `x` where `low < a < high`, else zero.
    unsafe fn keep_between(a: Self::V, low: Self::V, high: Self::V, x: Self::V) -> Self::V;
    /// `x` where `a = b`, else zero.
    unsafe fn keep_equal(a: Self::V, b: Self::V, x: Self::V) -> Self::V;
    /// Quotient.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// Square root.
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// The nearest whole number.
    unsafe fn round(a: Self::V) -> Self::V;
    /// `a · 2ⁿ` for whole numbers n from -126 to 127.
    unsafe fn scale_by_power(a: Self::V, n: Self::V) -> Self::V;
}

/// No instructions beyond those that the program was compiled for.
#[derive(Clone, Copy)]
pub struct Plain;

impl Isa for Plain {
    type V = [f32; LANES];
    const TILES: [usize; 3] = [4, 0, 0];

    #[inline(never)]
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller's.
        unsafe { kernel.run::<Self>() }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller gives sixteen numbers.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller gives room for sixteen numbers.
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::V {
        // SAFETY: the caller gives `count` numbers.
        std::array::from_fn(|lane| if lane < count { unsafe { *from.add(lane) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, count: usize, v: Self::V) {
        for (lane, &x) in v.iter().enumerate().take(count) {
            // SAFETY: the caller gives room for `count` numbers; they may be uninitialized, so nothing is dropped.
            unsafe { to.add(lane).write(x) }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // `mul_add` would be a call of the C library where there is no instruction for it.
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn keep_between(a: Self::V, low: Self::V, high: Self::V, x: Self::V) -> Self::V {
        std::array::from_fn(|lane| if low[lane] < a[lane] && a[lane] < high[lane] { x[lane] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn keep_equal(a: Self::V, b: Self::V, x: Self::V) -> Self::V {
        std::array::from_fn(|lane| if a[lane] == b[lane] { x[lane] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::V) -> Self::V {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // Adding and taking away 1.5 · 2²³ leaves no room for a fraction; `round` would be a call of the C library.
        const SHIFT: f32 = 12_582_912.0;
        a.map(|x| x + SHIFT - SHIFT)
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: Self::V, n: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane] * f32::from_bits(((n[lane] as i32 + 127) as u32) << 23))
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Isa, Kernel, LANES};

    /// AVX-512F: one register a vector.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    // SAFETY of all below: the caller sees to the instructions, and to the numbers behind the pointers.
    impl Isa for Avx512 {
        type V = __m512;
        const TILES: [usize; 3] = [14, 8, 4];

        #[inline(never)]
        #[target_feature(enable = "avx2,fma,avx512f")]
        unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
            unsafe { kernel.run::<Self>() }
        }
        #[inline(always)]
        unsafe fn zero() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(first(count), from) }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f32, count: usize, v: __m512) {
            unsafe { _mm512_mask_storeu_ps(to, first(count), v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn keep_between(a: __m512, low: __m512, high: __m512, x: __m512) -> __m512 {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(low, a);
                let between = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, a, high);
                _mm512_maskz_mov_ps(between, x)
            }
        }
        #[inline(always)]
        unsafe fn keep_equal(a: __m512, b: __m512, x: __m512) -> __m512 {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b), x) }
        }
        #[inline(always)]
        unsafe fn div(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sqrt(a: __m512) -> __m512 {
            unsafe { _mm512_sqrt_ps(a) }
        }
        #[inline(always)]
        unsafe fn round(a: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(a) }
        }
        #[inline(always)]
        unsafe fn scale_by_power(a: __m512, n: __m512) -> __m512 {
            unsafe { _mm512_scalef_ps(a, n) }
        }
    }

    #[inline(always)]
    fn first(count: usize) -> __mmask16 {
        ((1u32 << count.min(LANES)) - 1) as __mmask16
    }

    /// AVX2 with FMA: two registers a vector.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    impl Isa for Avx2 {
        type V = (__m256, __m256);
        // Sixteen registers: twelve accumulators, two weights, one pixel.
        const TILES: [usize; 3] = [6, 0, 0];

        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
            unsafe { kernel.run::<Self>() }
        }
        #[inline(always)]
        unsafe fn zero() -> Self::V {
            unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { (_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(to, v.0);
                _mm256_storeu_ps(to.add(8), v.1);
            }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self::V {
            unsafe {
                let low = _mm256_maskload_ps(from, first_of_eight(count));
                // A mask of nothing must not be asked of an address past the end.
                let high = match count > 8 {
                    true => _mm256_maskload_ps(from.add(8), first_of_eight(count - 8)),
                    false => _mm256_setzero_ps(),
                };
                (low, high)
            }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f32, count: usize, v: Self::V) {
            unsafe {
                _mm256_maskstore_ps(to, first_of_eight(count), v.0);
                if count > 8 {
                    _mm256_maskstore_ps(to.add(8), first_of_eight(count - 8), v.1);
                }
            }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn keep_between(a: Self::V, low: Self::V, high: Self::V, x: Self::V) -> Self::V {
            unsafe { (between(a.0, low.0, high.0, x.0), between(a.1, low.1, high.1, x.1)) }
        }
        #[inline(always)]
        unsafe fn keep_equal(a: Self::V, b: Self::V, x: Self::V) -> Self::V {
            unsafe {
                let equal = |a, b, x| _mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b), x);
                (equal(a.0, b.0, x.0), equal(a.1, b.1, x.1))
            }
        }
        #[inline(always)]
        unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn sqrt(a: Self::V) -> Self::V {
            unsafe { (_mm256_sqrt_ps(a.0), _mm256_sqrt_ps(a.1)) }
        }
        #[inline(always)]
        unsafe fn round(a: Self::V) -> Self::V {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            unsafe { (_mm256_round_ps::<NEAREST>(a.0), _mm256_round_ps::<NEAREST>(a.1)) }
        }
        #[inline(always)]
        unsafe fn scale_by_power(a: Self::V, n: Self::V) -> Self::V {
            unsafe { (times_power(a.0, n.0), times_power(a.1, n.1)) }
        }
    }

    #[inline(always)]
    unsafe fn times_power(a: __m256, n: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }

    #[inline(always)]
    unsafe fn between(a: __m256, low: __m256, high: __m256, x: __m256) -> __m256 {
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_LT_OQ>(low, a);
            let below = _mm256_cmp_ps::<_CMP_LT_OQ>(a, high);
            _mm256_and_ps(_mm256_and_ps(above, below), x)
        }
    }

    #[inline(always)]
    unsafe fn first_of_eight(count: usize) -> __m256i {
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
        }
    }
}

/// Work written over any instruction set.
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Does it.
    ///
    /// # Safety
    /// The processor must have the instructions of `I`. Implementations are `#[inline(always)]`, so that they are
    /// compiled for these instructions.
    unsafe fn run<I: Isa>(self) -> Self::Output;
}

/// The instruction sets that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the program was compiled for.
    Plain,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

/// The best level of this processor, or that which `NIGHTSWEEP_SIMD` (`plain`, `avx2`) asks for below it.
pub static LEVEL: LazyLock<Level> = LazyLock::new(|| {
    let asked = match std::env::var("NIGHTSWEEP_SIMD").as_deref() {
        Ok("plain") => Level::Plain,
        Ok("avx2") => Level::Avx2,
        _ => Level::Avx512,
    };
    asked.min(best())
});

#[cfg(target_arch = "x86_64")]
fn best() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match avx2 {
        true if is_x86_feature_detected!("avx512f") => Level::Avx512,
        true => Level::Avx2,
        false => Level::Plain,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> Level {
    Level::Plain
}

/// Runs a kernel at the given level, which must be one that this processor has.
pub fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    assert!(level <= best(), "this processor has no {level:?}");
    // SAFETY: the instructions are there, as was just asked.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => with_avx512(kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => with_avx2(kernel),
            _ => kernel.run::<Plain>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller sees to the instructions.
    unsafe { kernel.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller sees to the instructions.
    unsafe { kernel.run::<Avx2>() }
}
