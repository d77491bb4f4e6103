//! Which trace a request belongs to, as HTTP says it: the headers `traceparent` and `tracestate` (W3C Trace Context).

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceFlags};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Bytes. The standard asks for no more to be passed on; longer lists are left out of spans, which are kept for a while.
const LONGEST_STATE: usize = 512;

/// What a request says about it.
struct Said<'a> {
    parent: Option<&'a str>,
    state: Option<Cow<'a, str>>,
}

/// The caller's span as a parent; an empty context if there is none, or if what is there cannot be understood.
pub(super) fn of_the_caller(headers: &HeaderMap) -> Context {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let said = Said {
        // Two parents are none: nobody can tell which is right.
        parent: match (parents.next(), parents.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        },
        state: state(headers),
    };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &said)
}

/// Makes `span` the parent of whatever the receiver of these headers does.
pub(super) fn tell(span: &SpanContext, headers: &mut HeaderMap) {
    if !span.is_valid() {
        return;
    }
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    let parent = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
    let Ok(parent) = HeaderValue::try_from(parent) else {
        return;
    };
    headers.insert(TRACEPARENT, parent);
    headers.remove(TRACESTATE);
    let state = span.trace_state().header();
    if !state.is_empty()
        && let Ok(state) = HeaderValue::try_from(state)
    {
        headers.insert(TRACESTATE, state);
    }
}

/// A list may be spread over several headers. One that is too long is none.
fn state(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let values = headers.get_all(TRACESTATE).iter();
    if values.map(|value| value.len() + 1).sum::<usize>() > LONGEST_STATE + 1 {
        return None;
    }
    let mut values = headers
        .get_all(TRACESTATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |list, value| {
        Cow::Owned(format!("{list},{value}"))
    }))
}

impl Extractor for Said<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.parent,
            TRACESTATE => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// What comes out again of what came in.
    fn through(sent: &[(&'static str, &'static str)]) -> Option<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let context = of_the_caller(&headers);
        let mut told = HeaderMap::new();
        tell(context.span().span_context(), &mut told);
        let text = |name| Some(told.get(name)?.to_str().ok()?.to_owned());
        Some((text(TRACEPARENT)?, text(TRACESTATE)))
    }

    #[test]
    fn a_parent_is_understood_with_its_state() {
        let expected = |state: Option<&str>| Some((PARENT.to_owned(), state.map(str::to_owned)));
        assert_eq!(through(&[(TRACEPARENT, PARENT)]), expected(None));
        assert_eq!(
            through(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1,b=2")]),
            expected(Some("a=1,b=2"))
        );
        assert_eq!(
            through(&[
                (TRACEPARENT, PARENT),
                (TRACESTATE, "a=1"),
                (TRACESTATE, "b=2")
            ]),
            expected(Some("a=1,b=2"))
        );
        // A state that is none does not take its parent away.
        assert_eq!(
            through(&[(TRACEPARENT, PARENT), (TRACESTATE, "?")]),
            expected(None)
        );
    }

    #[test]
    fn a_state_that_is_too_long_is_left_out() {
        let state = |length: usize| {
            let value = format!("a={}", "x".repeat(length - 2));
            let mut headers = HeaderMap::new();
            headers.insert(TRACESTATE, HeaderValue::try_from(value).unwrap());
            state(&headers).map(|state| state.len())
        };
        assert_eq!(state(LONGEST_STATE), Some(LONGEST_STATE));
        assert_eq!(state(LONGEST_STATE + 1), None);
    }

    #[test]
    fn what_is_no_parent_is_none() {
        for parent in [
            "",
            "nonsense",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(through(&[(TRACEPARENT, parent)]), None, "{parent}");
        }
        assert_eq!(
            through(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]),
            None
        );
        assert_eq!(through(&[(TRACESTATE, "a=1")]), None);
    }
}
