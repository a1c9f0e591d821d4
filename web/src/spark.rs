//! The small curve in a row of the board.

/// A small curve for a row of the board, as the points of a polyline 100 wide and 24 high; all rows on one scale.
pub(crate) fn points(curve: &[(u64, f64)], last_step: u64, low: f64, high: f64) -> String {
    let width = last_step.max(2) as f64 - 1.0;
    let height = if high > low { high - low } else { 1.0 };
    let place = |(step, value): &(u64, f64)| {
        let x = 2.0 + 96.0 * (*step as f64 - 1.0) / width;
        let y = 22.0 - 20.0 * ((value - low) / height).clamp(0.0, 1.0);
        format!("{x:.1},{y:.1}")
    };
    curve.iter().map(place).collect::<Vec<_>>().join(" ")
}
