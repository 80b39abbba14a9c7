//! The random times at which clicks are due.

use super::LoadOptions;
use std::time::Duration;
use upnext_kernels::CounterRng;

/// An iterator over the times of clicks since the start, ascending: a Poisson process whose rate rises linearly during
/// the ramp and is constant after it.
pub(super) struct Arrivals {
    rate: f64,
    ramp: f64,
    end: f64,
    rng: CounterRng,
    drawn: u64,
    /// Expected number of clicks up to the latest time: the integral of the rate.
    mass: f64,
}

impl Arrivals {
    pub(super) fn new(options: &LoadOptions) -> Self {
        let ramp = options.ramp.as_secs_f64();
        Self {
            rate: options.rate_per_second,
            ramp,
            end: ramp + options.duration.as_secs_f64(),
            rng: CounterRng::new(options.seed, 1),
            drawn: 0,
            mass: 0.0,
        }
    }

    /// The time in seconds until which `mass` clicks are expected: the inverse of the rate's integral.
    fn moment(&self, mass: f64) -> f64 {
        let of_ramp = self.rate * self.ramp / 2.0;
        if mass < of_ramp {
            (2.0 * mass * self.ramp / self.rate).sqrt()
        } else {
            self.ramp + (mass - of_ramp) / self.rate
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.mass -= (1.0 - self.rng.unit_f64(self.drawn)).ln();
        self.drawn += 1;
        let moment = self.moment(self.mass);
        (moment < self.end).then(|| Duration::from_secs_f64(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    #[test]
    fn the_rate_rises_and_stays_and_gaps_are_random() {
        let options = LoadOptions {
            rate_per_second: 1000.0,
            ramp: Duration::from_secs(4),
            duration: Duration::from_secs(6),
            ..options()
        };
        let moments: Vec<f64> = Arrivals::new(&options).map(|m| m.as_secs_f64()).collect();
        let within = |from: f64, to: f64| moments.iter().filter(|m| (from..to).contains(*m)).count() as f64;
        assert!(moments.windows(2).all(|pair| pair[0] <= pair[1]));
        // The mean rate of the ramp is a half of the final one: a quarter in its first half, three quarters in its
        // second.
        for (from, to, expected) in [(0.0, 2.0, 500.0), (2.0, 4.0, 1500.0), (4.0, 10.0, 6000.0)] {
            let count = within(from, to);
            assert!((count - expected).abs() < 5.0 * f64::sqrt(expected), "{from} to {to}: {count}");
        }
        let gaps: Vec<f64> = moments.windows(2).filter(|p| p[0] > 4.0).map(|p| p[1] - p[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // The standard deviation of an exponential distribution equals its mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.1, "{}", variance.sqrt() / mean);
    }
}
