//! What each worker, and each template that forks them, takes of the machine.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sample::{Labels, Samples, counter, gauge};
use crate::ports::{Processes, TemplateProcess, WorkerProcess};

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
        })?;
        templates(&self.processes.templates(), &mut encoder)
    }
}

/// What the processes take that workers are forked of, without the workers.
fn templates(
    templates: &[TemplateProcess],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let help = "Workers that were forked of a template and live.";
    let mut workers = gauge(encoder, "template_workers", help)?;
    for template in templates {
        workers.is(&of_template(template), template.workers as u64)?;
    }
    let help = "Memory of a template, without that of its workers.";
    let mut memory = gauge(encoder, "template_memory_bytes", help)?;
    for template in templates {
        if let Some(bytes) = template.memory_bytes {
            memory.is(&of_template(template), bytes)?;
        }
    }
    let help = "Time of processors that a template took, without that of its workers.";
    let mut cpu = counter(encoder, "template_cpu_seconds", help)?;
    for template in templates {
        if let Some(time) = template.cpu {
            cpu.counts(&of_template(template), time.as_secs_f64())?;
        }
    }
    Ok(())
}

/// The interpreter that somebody else keeps has no key.
fn of_template(template: &TemplateProcess) -> Labels<'_, 2> {
    [
        ("template", template.key.as_str()),
        (
            "environment",
            template.environment.as_deref().unwrap_or("local"),
        ),
    ]
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
