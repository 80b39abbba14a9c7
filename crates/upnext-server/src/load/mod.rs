//! A load generator: how many clicks a second does a server answer, and how soon?
//!
//! Load is open: clicks come when they come, whatever the server does, as those of independent visitors do. A latency is
//! counted from the moment at which the click was to be sent, so that a server that stops for a second cannot hide the
//! clicks that piled up meanwhile (no coordinated omission; Tene, *How not to measure latency*, 2013).
//!
//! A thread sends every click at its moment (`arrivals`) to the connection of its session (`visitors`); one runtime of
//! one thread holds all connections (`connection`) and counts their answers (`report`).

mod arrivals;
mod connection;
mod options;
mod report;
mod target;
mod times;
mod tls;
mod visitors;

pub use options::LoadOptions;
pub use report::{LoadReport, Second};
pub use target::Target;
pub use times::Percentiles;
pub use visitors::Visitors;

use crate::{Error, pem};
use arrivals::Arrivals;
use connection::{Answer, Click, Connection, Message};
use report::Tally;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use visitors::Visits;

/// Puts a load on a server until its time is over or `stop` is set, and says how it answered. `observe` is told of every
/// second that is over.
///
/// # Errors
/// For options that make no sense, a server that is not there, and a system that gives no threads. Whatever a server
/// answers, or does not, is in the report.
pub fn load(
    options: &LoadOptions,
    visitors: &Visitors,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(&Second),
) -> Result<LoadReport, Error> {
    options.validate()?;
    let tls = options.tls()?;
    let target = options.target.reached(options.timeout)?;
    let message = Message::new(options.target.host(), &options.keys)?;
    let visits = visitors.visits(options);
    let failed = |action| move |source| Error::System { action, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start a runtime for the load"))?;
    if let (Some(tls), Some(ca)) = (&tls, &options.ca) {
        // A certificate that is not trusted would otherwise be told as connections that break.
        let trusted = runtime.block_on(connection::trusted(target, tls, options.timeout));
        let host = options.target.host();
        trusted
            .map_err(|error| pem::refused(ca, format!("no TLS with {host} by this certificate: {error}")))?;
    }

    let (answers, inbox) = unbounded_channel();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..options.connections).map(|_| unbounded_channel()).unzip();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let sending = std::thread::Builder::new()
            .name("clicks".to_owned())
            .spawn_scoped(scope, move || send_clicks(options, visits, begun, stop, &senders))
            .map_err(failed("start a thread for the load"))?;
        let connections = tokio::task::LocalSet::new();
        for clicks in receivers {
            let connection =
                Connection::new(target, tls.clone(), message.clone(), options.timeout, answers.clone());
            connections.spawn_local(connection.run(clicks));
        }
        drop(answers);
        let tally = Tally::new(begun, options.ramp);
        let tally = runtime.block_on(connections.run_until(gather(inbox, tally, observe)));
        let lasted = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(tally.report(options.rate_per_second, lasted.saturating_sub(options.ramp)))
    })
}

/// Counts answers until all connections have ended.
async fn gather(
    mut inbox: UnboundedReceiver<Answer>,
    mut tally: Tally,
    observe: &mut dyn FnMut(&Second),
) -> Tally {
    // Seconds end also where a server answers nothing.
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        let answer = tokio::select! {
            answer = inbox.recv() => match answer {
                Some(answer) => Some(answer),
                None => return tally,
            },
            _ = tick.tick() => None,
        };
        let now = answer.map_or_else(Instant::now, |answer| answer.done);
        while let Some(second) = tally.second_over(now) {
            observe(&second);
        }
        if let Some(answer) = answer {
            tally.add(&answer);
        }
    }
}

/// Sends every click at its moment, from a thread of its own: a runtime's timers are too coarse for it. Returns the time
/// for which clicks came.
fn send_clicks(
    options: &LoadOptions,
    mut visits: Visits<'_>,
    begun: Instant,
    stop: &AtomicBool,
    connections: &[UnboundedSender<Click>],
) -> Duration {
    for after in Arrivals::new(options) {
        let due = begun + after;
        loop {
            if stop.load(Ordering::Relaxed) {
                return begun.elapsed();
            }
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            // Never so long that a stop would be noticed late.
            std::thread::sleep(wait.min(Duration::from_millis(100)));
        }
        let (session, request) = visits.next();
        // Always the same connection for a session, so that its clicks arrive in order. It ends after this thread.
        let connection = (session % connections.len() as u64) as usize;
        _ = connections[connection].send(Click { due, request });
    }
    options.ramp + options.duration
}

#[cfg(test)]
mod tests;
