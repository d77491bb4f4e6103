//! Which of a worker's headers its answer keeps: those that describe it.

use http::{HeaderName, header};

/// What describes an answer, besides its length.
const ITS_OWN: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::VARY,
];
/// Of those that begin as a model's own do, the ones that browsers and proxies act on.
const ACTED_ON: [&str; 6] = [
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "x-dns-prefetch-control",
    "x-permitted-cross-domain-policies",
    "x-request-id",
];

/// The name under which a header is kept. All others stay behind: those of the connection (RFC 9110, section 7.6.1), of the worker
/// itself, and those by which it would speak for the gateway's whole origin. A model sets no cookie, lets no other site
/// in and sends nobody elsewhere, with whatever headers browsers will know one day.
pub(super) fn kept(name: &str) -> Option<HeaderName> {
    let own = |own: &&HeaderName| own.as_str().eq_ignore_ascii_case(name);
    if let Some(own) = ITS_OWN.iter().find(own) {
        return Some(own.clone());
    }
    let [b'x' | b'X', b'-', ..] = name.as_bytes() else {
        return None;
    };
    // In small letters from here on.
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let text = name.as_str();
    // Proxies in front obey these: nginx would fetch another file in place of the answer.
    let is_obeyed =
        text == "x-sendfile" || (text.starts_with("x-accel-") && text != "x-accel-buffering");
    let is_ours = ACTED_ON.contains(&text) || text.starts_with("x-sluicegate-");
    (!is_obeyed && !is_ours).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_the_answer_is_kept_whatever_its_letters() {
        for name in [
            "content-type",
            "Content-Type",
            "CONTENT-ENCODING",
            "Content-Language",
            "cache-control",
            "Retry-After",
            "vary",
            "X-Own",
            "x-accel-buffering",
        ] {
            let kept = kept(name).unwrap();
            assert_eq!(kept.as_str(), name.to_ascii_lowercase());
        }
    }

    #[test]
    fn what_speaks_for_others_stays_behind() {
        for name in [
            "server",
            "Date",
            "connection",
            "keep-alive",
            "set-cookie",
            "Set-Cookie",
            "location",
            "refresh",
            "clear-site-data",
            "access-control-allow-origin",
            "content-security-policy",
            "X-Frame-Options",
            "x-content-type-options",
            "x-request-id",
            "X-Accel-Redirect",
            "x-sendfile",
            "X-Sluicegate-Version",
            "x",
            "",
        ] {
            assert_eq!(kept(name), None, "{name}");
        }
    }
}
