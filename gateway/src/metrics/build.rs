//! Which gateway this is.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sample::gauge;

#[derive(Debug)]
pub(super) struct BuildMetrics {
    pub(super) version: String,
}

impl Collector for BuildMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Always 1; the label tells the version of the gateway.";
        gauge(&mut encoder, "build_info", help)?.is(&[("version", &self.version)], 1_u64)
    }
}
