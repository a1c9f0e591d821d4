//! Numbers and times as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nightsweep_search::{FailureCause, ParamValue, TrialState};

/// A metric: always with the same digits, so that a column lines up.
pub(crate) fn metric(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// Metrics of ours that lie in [0, 1].
const SHARES: [&str; 5] = ["val_accuracy", "val_top5_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_ece"];

/// A mean of a metric and half the width of its interval, if that is known. Of few seeds it may be wider than the values
/// that the metric can have: then its ends are told instead, as far as there are such values.
pub fn interval(name: &str, mean: f64, half_width: Option<f64>) -> String {
    let Some(half) = half_width else { return metric(mean) };
    let (low, high) = (mean - half, mean + half);
    if SHARES.contains(&name) && (0.0..=1.0).contains(&mean) && (low < 0.0 || high > 1.0) {
        return format!("{} ({} to {})", metric(mean), metric(low.max(0.0)), metric(high.min(1.0)));
    }
    format!("{} ± {}", metric(mean), metric(half))
}

/// A number in as few digits as people read.
pub(crate) fn short(value: f64) -> String {
    significant(value, 3)
}

/// Numbers that stand together, as along an axis: in as few digits as tell each from its neighbours and from its own
/// rounding.
pub(crate) fn apart(values: &[f64]) -> Vec<String> {
    /// The most that a number has.
    const DIGITS: usize = 15;
    let gap = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let in_digits = |digits| values.iter().map(|value| significant(*value, digits)).collect::<Vec<_>>();
    let is_near =
        |(text, value): (&String, &f64)| text.parse().is_ok_and(|read: f64| (read - value).abs() <= gap / 100.0);
    let exact = (3..DIGITS).map(in_digits).find(|texts| texts.iter().zip(values).all(is_near));
    exact.unwrap_or_else(|| in_digits(DIGITS))
}

/// Without zeros at its end.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        let text = format!("{value:.*e}", digits - 1);
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", without_zeros(mantissa));
    }
    let decimals = (digits as i32 - value.abs().log10().floor() as i32 - 1).max(0) as usize;
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

pub(crate) fn param(value: &ParamValue) -> String {
    match value {
        ParamValue::Float(value) => short(*value),
        other => other.to_string(),
    }
}

/// The two largest units that are not zero.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) if ms < 10_000 && ms > 0 => format!("{}.{} s", seconds, ms / 100 % 10),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} m {seconds:02} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes:02} m"),
        (days, hours, _, _) => format!("{days} d {hours:02} h"),
    }
}

/// Day and minute in the time zone of the machine that has the studies.
pub(crate) fn day_and_time(ms: i64) -> String {
    in_zone(ms, "%Y-%m-%d %H:%M")
}

pub(crate) fn time(ms: i64) -> String {
    in_zone(ms, "%H:%M:%S")
}

fn in_zone(ms: i64, format: &str) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned_datetime(TimeZone::system()).strftime(format).to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// What a clock of this machine shows, as if it were in London: figures have no time zones.
pub(crate) fn local_ms(ms: i64) -> i64 {
    let offset = |time: Timestamp| i64::from(time.to_zoned_datetime(TimeZone::system()).offset().seconds()) * 1000;
    Timestamp::from_millisecond(ms).map_or(ms, |time| ms + offset(time))
}

/// A place on an axis of such clocks.
pub(crate) fn clock(local_ms: f64, with_day: bool) -> String {
    let Ok(time) = Timestamp::from_millisecond(local_ms as i64) else { return "?".to_owned() };
    let format = match (with_day, local_ms % 60_000.0 == 0.0) {
        (true, _) => "%m-%d %H:%M",
        (false, true) => "%H:%M",
        (false, false) => "%H:%M:%S",
    };
    time.to_zoned_datetime(TimeZone::UTC).strftime(format).to_string()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The cause of a failure as people say it.
pub fn cause(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::OutOfMemory => "out of memory",
        FailureCause::HostOutOfMemory => "out of the host's memory",
        FailureCause::Diverged => "diverged",
        FailureCause::Crashed => "crashed",
        FailureCause::Hung => "hung",
        FailureCause::Preempted => "preempted",
        FailureCause::Lost => "lost",
        FailureCause::TimedOut => "timed out",
        FailureCause::BadData => "bad data",
        FailureCause::DeviceLost => "device lost",
        FailureCause::Invalid => "invalid",
    }
}

/// All states in the order in which people ask for them, with their words and signs: no state is told by colour alone.
pub(crate) const STATES: [(TrialState, &str, &str); 7] = [
    (TrialState::Running, "running", "▶"),
    (TrialState::Complete, "complete", "✓"),
    (TrialState::Paused, "paused", "‖"),
    (TrialState::Waiting, "waiting", "…"),
    (TrialState::Pruned, "pruned", "✂"),
    (TrialState::Failed, "failed", "✕"),
    (TrialState::Lost, "lost", "?"),
];

/// The word and the sign of a state.
pub(crate) fn state(state: TrialState) -> (&'static str, &'static str) {
    STATES.iter().find(|row| row.0 == state).map_or(("unknown", "?"), |row| (row.1, row.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let check = |ms, expected: &str| assert_eq!(duration(ms), expected);
        check(0, "0 s");
        check(1_234, "1.2 s");
        check(59_999, "59 s");
        check(61_000, "1 m 01 s");
        check(3_600_000 * 5 + 60_000, "5 h 01 m");
        check(86_400_000 * 2, "2 d 00 h");
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let check = |value, expected: &str| assert_eq!(short(value), expected);
        check(0.1, "0.1");
        check(0.00031622, "0.000316");
        check(0.00001, "1e-5");
        check(0.0000125, "1.25e-5");
        check(12_345_678.0, "1.23e7");
        check(500.0, "500");
        check(1.0, "1");
        check(123.456, "123");
        check(-0.25, "-0.25");
        assert_eq!(metric(0.91), "0.9100");
        assert_eq!(metric(1e-7), "1.000e-7");
    }

    #[test]
    fn an_interval_ends_where_the_metric_does() {
        let check = |name, mean, half, expected: &str| assert_eq!(interval(name, mean, half), expected);
        check("val_accuracy", 0.9, Some(0.01), "0.9000 ± 0.0100");
        check("val_accuracy", 0.8333, Some(1.0589), "0.8333 (0.0000 to 1.0000)");
        check("val_accuracy", 1.0, Some(0.0077), "1.0000 (0.9923 to 1.0000)");
        check("val_loss", 0.2, Some(0.3), "0.2000 ± 0.3000");
        check("val_accuracy", 0.9, None, "0.9000");
    }

    #[test]
    fn numbers_that_stand_together_are_told_apart() {
        let check = |values: &[f64], expected: &[&str]| assert_eq!(apart(values), expected);
        check(&[], &[]);
        check(&[0.123456], &["0.123"]);
        check(&[0.0995, 0.1, 0.1005, 0.101], &["0.0995", "0.1", "0.1005", "0.101"]);
        check(&[100.0, 100.5, 101.0], &["100", "100.5", "101"]);
        check(&[0.1, 0.100_000_1], &["0.1", "0.1000001"]);
        check(&[2_000_000.0, 2_000_100.0], &["2e6", "2.0001e6"]);
        check(&[0.1 + 0.2, 0.4], &["0.3", "0.4"]);
        check(&[-1e-5, 0.0, 1e-5], &["-1e-5", "0", "1e-5"]);
        check(&[0.5, 0.5], &["0.5", "0.5"]);
    }
}
