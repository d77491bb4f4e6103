//! The two text formats of a scrape: OpenMetrics for whoever asks for it, Prometheus' own for everybody else.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// In which format the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4: what every tool reads.
    Plain,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// The one that a scraper with this `Accept` takes.
    pub fn accepted(accept: Option<&str>) -> Self {
        let wanted = accept.unwrap_or_default().split(',');
        let mut names = wanted.map(|media_type| media_type.split(';').next().unwrap_or_default());
        if names.any(|name| {
            name.trim()
                .eq_ignore_ascii_case("application/openmetrics-text")
        }) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Everything that is registered.
    pub fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, registry)?;
        Ok(match self {
            Self::Plain => plain(&text),
            Self::OpenMetrics => text,
        })
    }
}

/// OpenMetrics names a counter without the `_total` of its samples, and has units and an end. The samples are the same.
fn plain(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    // A metric's help comes before its type, which decides its name.
    let mut help = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::registry::Unit;

    use super::*;

    #[test]
    fn openmetrics_is_for_whoever_asks_for_it() {
        for (accept, wanted) in [
            (None, Exposition::Plain),
            (Some("*/*"), Exposition::Plain),
            (
                Some("text/plain;version=0.0.4;q=0.3,*/*;q=0.1"),
                Exposition::Plain,
            ),
            (
                Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"),
                Exposition::OpenMetrics,
            ),
        ] {
            assert_eq!(Exposition::accepted(accept), wanted, "{accept:?}");
        }
    }

    #[test]
    fn both_formats_have_the_same_samples() {
        let mut registry = Registry::with_prefix("a");
        registry.register("asked", "How often", Counter::<u64>::default());
        registry.register_with_unit("size", "How large", Unit::Bytes, Gauge::<i64>::default());
        assert_eq!(
            Exposition::Plain.write(&registry).unwrap(),
            "# HELP a_asked_total How often.\n# TYPE a_asked_total counter\na_asked_total 0\n\
             # HELP a_size_bytes How large.\n# TYPE a_size_bytes gauge\na_size_bytes 0\n"
        );
        let open = Exposition::OpenMetrics.write(&registry).unwrap();
        assert!(open.contains("# TYPE a_asked counter\n") && open.ends_with("# EOF\n"));
    }
}
