//! The decay of events with their age.

use crate::data::Sessions;
use crate::{Error, Result};

/// The weight of the events of each session: `2^(−a / h)`, of which `a` is the number of events of the sessions behind it, and
/// `h` the share `half_life` of all events. The sessions are in the order of their starts.
///
/// Ages are counted in events, so that they mean the same in logs whose times are only an order.
pub(super) fn weights_of_sessions(sessions: &Sessions, half_life: f32) -> Vec<f64> {
    let events = f64::from(half_life) * sessions.num_events() as f64;
    let mut behind = sessions.num_events();
    let weights = sessions.iter().map(|session| {
        behind -= session.len();
        (-(behind as f64) / events).exp2()
    });
    weights.collect()
}

/// Checks a half-life, for which 0 may stand for none.
///
/// # Errors
/// [`Error::Config`].
pub(super) fn check_half_life(half_life: f32, may_be_0: bool) -> Result<()> {
    if (half_life > 0.0 && half_life <= 1.0) || (may_be_0 && half_life == 0.0) {
        return Ok(());
    }
    let range = if may_be_0 { "from 0, which turns it off, to 1" } else { "above 0 and at most 1" };
    Err(Error::config(
        "model.half_life",
        format!("is a share of the training events, {range}, not {half_life}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_halve_with_the_events_behind() {
        let mut sessions = Sessions::new();
        for session in [&[0, 1][..], &[2, 3, 4, 5], &[6, 7]] {
            sessions.push(session, 0);
        }
        // A half-life of two events of eight.
        assert_eq!(weights_of_sessions(&sessions, 0.25), [0.125, 0.5, 1.0]);
        assert!(weights_of_sessions(&Sessions::new(), 0.25).is_empty());
    }

    #[test]
    fn half_lives_without_sense_are_refused() {
        for bad in [-0.1, 1.5, f32::NAN, f32::INFINITY] {
            assert!(check_half_life(bad, true).is_err() && check_half_life(bad, false).is_err());
        }
        assert!(check_half_life(0.0, true).is_ok() && check_half_life(0.0, false).is_err());
        assert!(check_half_life(1.0, false).is_ok());
    }
}
