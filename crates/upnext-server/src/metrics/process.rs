//! Metrics of the process, with the names that Prometheus's client libraries have agreed on.

use crate::locked;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Mutex;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Reads what the system knows of this process whenever metrics are asked for.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    /// `None` where the system tells nothing.
    system: Option<Mutex<System>>,
    pid: Option<Pid>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self { system: System::new().ok().map(Mutex::new), pid: sysinfo::get_current_pid().ok() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (Some(pid), Some(system)) = (self.pid, &self.system) else { return Ok(()) };
        let mut system = locked(system);
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let Some(process) = system.process(pid) else { return Ok(()) };
        let cpu = ConstCounter::new(process.accumulated_cpu_time() as f64 / 1_000.0);
        let help = "Seconds of all cores that the process has used";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        let mut gauge = |name: &str, help: &str, value: Option<u64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("process_resident_memory_bytes", "Memory of the process in bytes", Some(process.memory()))?;
        let start = "Time at which the process began, in seconds since 1970";
        gauge("process_start_time_seconds", start, Some(process.start_time()))?;
        let open = process.open_files().map(|count| count as u64);
        gauge("process_open_fds", "Open files and connections of the process", open)?;
        let most = process.open_files_limit().map(|count| count as u64);
        gauge("process_max_fds", "Maximum number of open files and connections", most)
    }
}
