//! What each worker takes of the machine.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sample::{Labels, Samples, counter, gauge};
use crate::ports::{Processes, WorkerProcess};

pub(super) struct WorkerMetrics {
    pub(super) processes: Arc<dyn Processes>,
}

impl Collector for WorkerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let workers = self.processes.workers();
        let help = "Memory of a worker, with all processes that it started.";
        let mut memory = gauge(&mut encoder, "worker_memory_bytes", help)?;
        each(&workers, &mut memory, |memory, labels, worker| {
            worker
                .memory_bytes
                .map_or(Ok(()), |bytes| memory.is(labels, bytes))
        })?;
        let help = "Memory that a worker may take (the setting memory_limit).";
        let mut limits = gauge(&mut encoder, "worker_memory_limit_bytes", help)?;
        each(&workers, &mut limits, |limits, labels, worker| {
            worker
                .memory_limit
                .map_or(Ok(()), |bytes| limits.is(labels, bytes))
        })?;
        let help = "Time of processors that a worker took, with all processes that it started.";
        let mut cpu = counter(&mut encoder, "worker_cpu_seconds", help)?;
        each(&workers, &mut cpu, |cpu, labels, worker| {
            worker
                .cpu
                .map_or(Ok(()), |time| cpu.counts(labels, time.as_secs_f64()))
        })
    }
}

fn each(
    workers: &[WorkerProcess],
    samples: &mut Samples<'_>,
    write: impl Fn(&mut Samples<'_>, &Labels<'_, 3>, &WorkerProcess) -> Result<(), std::fmt::Error>,
) -> Result<(), std::fmt::Error> {
    for worker in workers {
        let (version, replica) = (worker.id.version.to_string(), worker.replica.to_string());
        let labels = [
            ("model", worker.id.model.as_str()),
            ("version", version.as_str()),
            ("replica", replica.as_str()),
        ];
        write(samples, &labels, worker)?;
    }
    Ok(())
}

impl std::fmt::Debug for WorkerMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WorkerMetrics")
            .finish_non_exhaustive()
    }
}
