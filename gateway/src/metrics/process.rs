//! The gateway's own process, under the names that every program uses.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sample::{counter, gauge};
use crate::ports::Processes;

pub(super) struct ProcessMetrics {
    pub(super) started: SystemTime,
    pub(super) processes: Arc<dyn Processes>,
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "When the gateway started, in seconds since the epoch.";
        let mut start = gauge(&mut encoder, "process_start_time_seconds", help)?;
        start.is(&[], seconds(self.started))?;
        let Some(own) = self.processes.gateway() else {
            return Ok(());
        };
        let help = "Time of processors that the gateway took, without its workers.";
        counter(&mut encoder, "process_cpu_seconds", help)?.counts(&[], own.cpu.as_secs_f64())?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory of the gateway, without its workers.",
                Some(own.resident_memory),
            ),
            (
                "process_virtual_memory_bytes",
                "Address space of the gateway.",
                Some(own.virtual_memory),
            ),
            (
                "process_threads",
                "Threads of the gateway.",
                Some(own.threads),
            ),
            (
                "process_open_fds",
                "Files and connections that the gateway holds open.",
                Some(own.open_files),
            ),
            (
                "process_max_fds",
                "How many files and connections it may hold open.",
                own.max_files,
            ),
        ] {
            let mut samples = gauge(&mut encoder, name, help)?;
            if let Some(value) = value {
                samples.is(&[], value)?;
            }
        }
        Ok(())
    }
}

/// Since the epoch.
pub(super) fn seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

impl std::fmt::Debug for ProcessMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ProcessMetrics")
            .finish_non_exhaustive()
    }
}
