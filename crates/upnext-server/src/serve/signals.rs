//! Signals of the operating system: to stop, or to reload files.

/// The action that a signal requests.
pub(super) enum Action {
    /// To stop when load balancers have noticed; a second time: at once.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has SIGTERM"))]
    Drain,
    /// To stop at once, after the requests in flight.
    Stop,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has SIGHUP"))]
    Reload,
}

/// Unix signals: SIGTERM drains, Ctrl-C stops, SIGHUP reloads.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens from here on.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.terminate.recv() => Action::Drain,
            _ = self.interrupt.recv() => Action::Stop,
            _ = self.hang_up.recv() => Action::Reload,
        }
    }
}

/// Windows events: Ctrl-C, Ctrl-Break, closing the console and shutdown stop. None reloads, which is logged at the
/// start.
#[cfg(windows)]
pub(super) struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    /// Listens from here on.
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        tracing::info!(
            "this system has no SIGHUP: models are loaded anew by --watch or an admin call, a renewed certificate by a restart"
        );
        Ok(Self {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.ctrl_c.recv() => Action::Stop,
            _ = self.ctrl_break.recv() => Action::Stop,
            _ = self.close.recv() => Action::Stop,
            _ = self.shutdown.recv() => Action::Stop,
        }
    }
}
