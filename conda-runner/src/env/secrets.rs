//! Secrets in texts that people read: addresses in them may hold a password, a token or a signature.

/// The text, with what may be secret in its addresses left out: credentials, tokens, queries (an answer may have led
/// to a signed address).
pub(crate) fn redacted(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let after = without_user(after);
        let is_end = |character: char| character.is_whitespace() || "\"'<>()`".contains(character);
        let end = after.find(is_end).unwrap_or(after.len());
        let (address, further) = after.split_at(end);
        clean.push_str(&redacted_address(address));
        rest = further;
    }
    clean.push_str(rest);
    clean
}

/// Passwords may hold what ends an address elsewhere: quotes and parentheses.
fn without_user(text: &str) -> &str {
    let is_end = |character: char| character.is_whitespace() || "/?#".contains(character);
    let authority = text.find(is_end).unwrap_or(text.len());
    text[..authority]
        .rfind('@')
        .map_or(text, |at| &text[at + 1..])
}

/// Of what follows `://user@`.
fn redacted_address(address: &str) -> String {
    let address = address
        .split_once(['?', '#'])
        .map_or(address, |(path, _)| path);
    let (host, path) = address
        .find('/')
        .map_or((address, ""), |slash| address.split_at(slash));
    let path = match path.strip_prefix("/t/").map(|rest| rest.split_once('/')) {
        Some(Some((_, rest))) => format!("/{rest}"),
        Some(None) => String::new(),
        None => path.to_owned(),
    };
    format!("{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_in_a_text() {
        for (text, clean) in [
            (
                "error (https://me:word@host/t/x/y?sig=1) at 'http://host/t/token/c#d', https://a@b",
                "error (https://host/y) at 'http://host/c', https://b",
            ),
            ("https://me:it's(a)\"word@host/x", "https://host/x"),
            ("https://me:word@host/own::x=1", "https://host/own::x=1"),
            ("no address: a@b/t/c", "no address: a@b/t/c"),
        ] {
            assert_eq!(redacted(text), clean);
        }
    }
}
