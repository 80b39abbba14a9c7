//! A load generator that measures throughput and latency of a server.
//!
//! The load is open-loop: clicks arrive independently of the server's responses, as those of independent visitors do.
//! Latency is measured from the time at which a click was due, so that a server that stops for a second is charged for
//! all clicks of that second (no coordinated omission; Tene, *How not to measure latency*, 2013).
//!
//! One thread passes every click at its due time (`arrivals`) to the connection of its session (`visitors`). A
//! single-threaded runtime drives all connections (`connection`) and counts their responses (`report`).

mod arrivals;
mod connection;
mod health;
mod options;
mod report;
mod target;
mod times;
mod tls;
mod visitors;

pub use health::{Health, health};
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

/// Runs a load test until its duration is over or `stop` is set, and returns its figures. `observe` is called after
/// every second.
///
/// # Errors
/// For invalid options, a server that cannot be reached, a certificate that is not trusted, and threads that cannot be
/// started. Errors in responses are not errors of this function, but counted in the report.
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
        // Otherwise a certificate that is not trusted would be reported as broken connections.
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

/// Counts responses until all connections have ended.
async fn gather(
    mut inbox: UnboundedReceiver<Answer>,
    mut tally: Tally,
    observe: &mut dyn FnMut(&Second),
) -> Tally {
    // The timer ends seconds even if the server does not respond.
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

/// Sends every click at its due time and returns the time from the start to the end of the schedule. It needs a thread
/// of its own, since the timers of a runtime are too coarse.
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
            // In short pieces, so that `stop` is noticed soon.
            std::thread::sleep(wait.min(Duration::from_millis(100)));
        }
        let (session, request) = visits.next();
        // A session always uses the same connection, so that its clicks arrive in order. Sending never fails, since the
        // connections end after this thread.
        let connection = (session % connections.len() as u64) as usize;
        _ = connections[connection].send(Click { due, request });
    }
    options.ramp + options.duration
}

#[cfg(test)]
mod tests;
