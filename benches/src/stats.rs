//! Medians, ratios and spreads.

use serde::Serialize;

/// The middle value, or the mean of the two in the middle; not a number when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// A figure and how far single rounds were from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// The lowest of any round.
    pub low: f64,
    /// The highest of any round.
    pub high: f64,
}

impl Figure {
    /// A figure that was counted, not timed: it has no spread.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// The median of the rounds.
    pub fn median_of(rounds: &[f64]) -> Self {
        Self::with_spread(median(rounds), rounds.iter().copied())
    }

    /// The least of the rounds, for a duration that stands by itself: whatever else a shared
    /// machine does makes it longer, and nothing makes it shorter.
    pub fn least_of(rounds: &[f64]) -> Self {
        let least = rounds.iter().copied().reduce(f64::min).unwrap_or(f64::NAN);
        Self::with_spread(least, rounds.iter().copied())
    }

    /// The ratio of two cases' medians; the spread is that of the ratios within each round.
    pub fn ratio(numerator: &[f64], denominator: &[f64]) -> Self {
        let within = numerator.iter().zip(denominator).map(|(n, d)| n / d);
        Self::with_spread(median(numerator) / median(denominator), within)
    }

    /// In another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    fn with_spread(value: f64, rounds: impl Iterator<Item = f64> + Clone) -> Self {
        let low = rounds.clone().fold(value, f64::min);
        let high = rounds.fold(value, f64::max);
        Self { value, low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn one_slow_round_moves_the_spread_and_not_the_median() {
        let figure = Figure::median_of(&[2.0, 2.0, 50.0, 1.0, 2.0]);
        assert_eq!(figure, Figure { value: 2.0, low: 1.0, high: 50.0 });
    }

    #[test]
    fn a_duration_is_the_least() {
        let figure = Figure::least_of(&[2.0, 1.5, 50.0]);
        assert_eq!(figure, Figure { value: 1.5, low: 1.5, high: 50.0 });
        assert!(Figure::least_of(&[]).value.is_nan());
    }

    #[test]
    fn a_ratio_is_of_medians_and_its_spread_of_rounds() {
        let slow = [10.0, 20.0, 30.0];
        let fast = [1.0, 2.0, 1.0];
        assert_eq!(Figure::ratio(&slow, &fast), Figure { value: 20.0, low: 10.0, high: 30.0 });
        assert_eq!(Figure::exact(4.0).scaled(0.5), Figure { value: 2.0, low: 2.0, high: 2.0 });
    }
}
