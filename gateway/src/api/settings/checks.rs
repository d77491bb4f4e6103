//! The checks of single settings: each refusal names the key and what is allowed.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidSetting, MemoryLimit};
use crate::api::{ByteSize, HumaneDuration, Versions};

/// A day: an answer that takes longer is no answer.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

/// A second: whoever waits longer for company waits for it more than for the answer.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// No interpreter starts in less: a smaller number is a mistyped unit.
const LEAST_MEMORY: ByteSize = ByteSize(16 << 20);

pub(super) fn optional<T>(
    value: &Value,
    read: impl FnOnce(&Value) -> Result<T, InvalidSetting>,
) -> Result<Option<T>, InvalidSetting> {
    if value.is_null() {
        Ok(None)
    } else {
        read(value).map(Some)
    }
}

pub(super) fn whole(
    key: &str,
    value: &Value,
    least: u32,
    most: u32,
) -> Result<Option<u32>, InvalidSetting> {
    optional(value, |value| {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                refused(
                    key,
                    value,
                    &format!("a whole number from {least} to {most}"),
                )
            })
    })
}

pub(super) fn positive(
    key: &str,
    value: &Value,
    most: u32,
) -> Result<Option<NonZeroU32>, InvalidSetting> {
    Ok(whole(key, value, 1, most)?.and_then(NonZeroU32::new))
}

pub(super) fn flag(key: &str, value: &Value) -> Result<bool, InvalidSetting> {
    value
        .as_bool()
        .ok_or_else(|| refused(key, value, "true or false"))
}

pub(super) fn timeout(key: &str, value: &Value) -> Result<HumaneDuration, InvalidSetting> {
    HumaneDuration::deserialize(value)
        .ok()
        .filter(|timeout| !timeout.0.is_zero() && timeout.0 <= LONGEST_TIMEOUT)
        .ok_or_else(|| {
            let allowed =
                "a duration such as \"60s\" or a number of seconds, more than 0 and at most 24h";
            refused(key, value, allowed)
        })
}

pub(super) fn delay(key: &str, value: &Value) -> Result<HumaneDuration, InvalidSetting> {
    HumaneDuration::deserialize(value)
        .ok()
        .filter(|delay| delay.0 <= LONGEST_DELAY)
        .ok_or_else(|| {
            let allowed = "a duration such as \"2ms\" or a number of seconds, from 0 to 1s";
            refused(key, value, allowed)
        })
}

/// One of a few words, `known` for those who get it wrong.
pub(super) fn word<T: FromStr<Err = InvalidSetting>>(
    key: &str,
    value: &Value,
    known: &str,
) -> Result<T, InvalidSetting> {
    let word = value
        .as_str()
        .ok_or_else(|| refused(key, value, &format!("one of {known}")))?;
    word.parse()
        .map_err(|error| InvalidSetting(format!("the setting {key:?}: {error}")))
}

pub(super) fn memory(key: &str, value: &Value) -> Result<MemoryLimit, InvalidSetting> {
    MemoryLimit::deserialize(value)
        .ok()
        .filter(|limit| limit.size().is_none_or(|size| size >= LEAST_MEMORY))
        .ok_or_else(|| {
            let allowed = format!("a size such as \"1GB\", at least {LEAST_MEMORY}, or \"none\"");
            refused(key, value, &allowed)
        })
}

pub(super) fn versions(key: &str, value: &Value) -> Result<Versions, InvalidSetting> {
    Versions::read(value).ok_or_else(|| refused(key, value, Versions::ALLOWED))
}

pub(super) fn variables(
    key: &str,
    value: &Value,
) -> Result<BTreeMap<String, String>, InvalidSetting> {
    // The value is not repeated in the message: it may hold secrets.
    let allowed = || {
        InvalidSetting(format!(
            "the setting {key:?} is an object of texts, for example {{\"OMP_NUM_THREADS\": \"2\"}}; \
             names are letters, digits and _, not starting with a digit"
        ))
    };
    let object = value.as_object().ok_or_else(allowed)?;
    object
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().filter(|text| !text.contains('\0'));
            let pair = value.map(|text| (name.clone(), text.to_owned()));
            pair.filter(|(name, _)| is_variable_name(name))
                .ok_or_else(allowed)
        })
        .collect()
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn refused(key: &str, value: &Value, allowed: &str) -> InvalidSetting {
    InvalidSetting(format!(
        "the setting {key:?} is {value}, allowed is {allowed}"
    ))
}
