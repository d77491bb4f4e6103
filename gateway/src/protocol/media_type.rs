//! What a request's `Content-Type` says about its body.

/// What a client is told that may be sent.
pub const ACCEPTED: &str = "application/json, application/json; format=pandas-records, \
     application/json; format=pandas-split, application/json-numpy-split, text/csv";

/// The type of a request's body. Names are compared without case, although MLflow's workers do not (3.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// No `Content-Type`: counts as JSON if the body looks like it.
    Missing,
    /// `application/json`: its shape is in the body.
    Json,
    /// `application/json; format=pandas-records`.
    JsonRecords,
    /// `application/json; format=pandas-split`.
    JsonSplit,
    /// `application/json-numpy-split`.
    NumpySplit,
    /// `text/csv`.
    Csv,
    /// `application/vnd.apache.parquet`: workers since MLflow 3.12 take it; no translation leads to it or from it.
    Parquet,
}

/// A type that neither the gateway nor a worker understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedMediaType {
    /// Of an unknown name or format.
    #[error("content type {0:?} is not supported; accepted are: {ACCEPTED}")]
    Type(String),
    /// In an encoding of characters other than UTF-8.
    #[error("charset {0:?} is not supported: only utf-8 is; accepted are: {ACCEPTED}")]
    Charset(String),
    /// There is no type, and the body is no JSON list or object.
    #[error(
        "there is no Content-Type and the body is neither a JSON object nor a JSON list; accepted are: {ACCEPTED}"
    )]
    Missing,
}

impl MediaType {
    /// Reads a header's value. Parameters other than `format` and `charset` say nothing here and are ignored.
    pub fn parse(header: Option<&[u8]>) -> Result<Self, UnsupportedMediaType> {
        let Some(header) = header else {
            return Ok(Self::Missing);
        };
        let text = String::from_utf8_lossy(header);
        let unsupported = || UnsupportedMediaType::Type(text.trim().chars().take(200).collect());
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut format = None;
        for parameter in parts {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"').to_ascii_lowercase();
            match key.trim().to_ascii_lowercase().as_str() {
                "charset" if value != "utf-8" && value != "utf8" => {
                    return Err(UnsupportedMediaType::Charset(
                        value.chars().take(40).collect(),
                    ));
                }
                "format" => format = Some(value),
                _ => {}
            }
        }
        match (name.as_str(), format.as_deref()) {
            ("", None) => Ok(Self::Missing),
            ("application/json", None) => Ok(Self::Json),
            ("application/json", Some("pandas-records")) => Ok(Self::JsonRecords),
            ("application/json", Some("pandas-split")) => Ok(Self::JsonSplit),
            ("application/json-numpy-split", None) => Ok(Self::NumpySplit),
            ("text/csv", None) => Ok(Self::Csv),
            ("application/vnd.apache.parquet", None) => Ok(Self::Parquet),
            _ => Err(unsupported()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<MediaType, UnsupportedMediaType> {
        MediaType::parse(Some(header.as_bytes()))
    }

    #[test]
    fn names_parameters_and_values_are_case_insensitive() {
        for (header, expected) in [
            ("application/json", MediaType::Json),
            ("Application/JSON ; Charset=\"UTF-8\"", MediaType::Json),
            ("application/json;charset=utf8;foo=bar", MediaType::Json),
            (
                "application/json; format=pandas-records",
                MediaType::JsonRecords,
            ),
            (
                "APPLICATION/JSON;FORMAT=Pandas-Records",
                MediaType::JsonRecords,
            ),
            (
                "application/json;charset=utf-8; format=\"pandas-split\"",
                MediaType::JsonSplit,
            ),
            ("application/json-numpy-split", MediaType::NumpySplit),
            ("Text/CSV; charset=UTF-8; header=present", MediaType::Csv),
            ("application/vnd.apache.parquet", MediaType::Parquet),
            (" ", MediaType::Missing),
        ] {
            assert_eq!(parse(header), Ok(expected), "{header:?}");
        }
        assert_eq!(MediaType::parse(None), Ok(MediaType::Missing));
    }

    #[test]
    fn other_types_are_told_what_is_accepted() {
        for header in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; format=pandas-index",
            "text/csv; format=pandas-split",
            "application/json; charset=latin-1",
            "\u{fffd}",
        ] {
            let message = parse(header).unwrap_err().to_string();
            assert!(message.contains(ACCEPTED), "{message}");
        }
    }
}
