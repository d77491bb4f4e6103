//! Writes metrics of which all samples are known at once.

use std::fmt::Error;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// Names of labels and their values.
pub(super) type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

/// One metric that is being written.
pub(super) struct Samples<'a>(MetricEncoder<'a>);

/// A metric of what is now. The help is a sentence.
pub(super) fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<Samples<'a>, Error> {
    let samples = encoder.encode_descriptor(name, help, None, MetricType::Gauge);
    Ok(Samples(samples?))
}

/// A metric of what has been; its name is given without `_total`.
pub(super) fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<Samples<'a>, Error> {
    let samples = encoder.encode_descriptor(name, help, None, MetricType::Counter);
    Ok(Samples(samples?))
}

impl Samples<'_> {
    /// One sample of a gauge.
    pub(super) fn is<const N: usize>(
        &mut self,
        labels: &Labels<'_, N>,
        value: impl EncodeGaugeValue,
    ) -> Result<(), Error> {
        if N == 0 {
            return self.0.encode_gauge(&value);
        }
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    /// One sample of a counter.
    pub(super) fn counts<const N: usize>(
        &mut self,
        labels: &Labels<'_, N>,
        value: impl EncodeCounterValue,
    ) -> Result<(), Error> {
        if N == 0 {
            return self.0.encode_counter::<NoLabelSet, _, u64>(&value, None);
        }
        let mut sample = self.0.encode_family(labels)?;
        sample.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}
