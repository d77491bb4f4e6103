//! What the OpenAPI document says of the types that read and write themselves.

use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{ByteSize, HumaneDuration, Timestamp};

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A point in time, in UTC with milliseconds."))
            .examples([json!("2026-03-01T12:00:00.000Z")])
            .into()
    }
}

impl PartialSchema for HumaneDuration {
    fn schema() -> RefOr<Schema> {
        text_or_number(
            "A duration: a text such as `60s`, `1m 30s` or `250ms`, or a number of seconds. Answers have the text.",
            "60s",
        )
    }
}

impl PartialSchema for ByteSize {
    fn schema() -> RefOr<Schema> {
        text_or_number(
            "A size: a text such as `16MB` or `512 kB` (1 MB is 1024 × 1024 bytes), or a number of bytes. Answers have the text.",
            "16MB",
        )
    }
}

impl ToSchema for Timestamp {}
impl ToSchema for HumaneDuration {}
impl ToSchema for ByteSize {}

fn text_or_number(description: &str, example: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0));
    OneOfBuilder::new()
        .item(text)
        .item(number)
        .description(Some(description))
        .examples([json!(example)])
        .into()
}
