//! Whether a delivery is the registry's own: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` (MLflow 3, after
//! the convention of standardwebhooks.com).

use auth::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What comes before the signature itself.
const VERSION: &str = "v1,";

/// The parts of a delivery that are signed, as they arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) body: &'a [u8],
}

impl Signed<'_> {
    /// Whether `signature` was made with `secret`. Takes the same time wherever it is wrong.
    pub(super) fn is_by(&self, secret: &Secret, signature: &str) -> bool {
        let Some(text) = signature.strip_prefix(VERSION) else {
            return false;
        };
        let (Ok(claimed), Some(mac)) = (STANDARD.decode(text), self.mac(secret)) else {
            return false;
        };
        mac.verify_slice(&claimed).is_ok()
    }

    fn mac(&self, secret: &Secret) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of every length; an empty one signs nothing.
        let secret = Some(secret).filter(|secret| !secret.is_empty())?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
        for part in [
            self.id.as_bytes(),
            b".",
            self.timestamp.as_bytes(),
            b".",
            self.body,
        ] {
            mac.update(part);
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Signed<'_> {
        fn by(&self, secret: &Secret) -> String {
            let mac = self.mac(secret).unwrap();
            format!("{VERSION}{}", STANDARD.encode(mac.finalize().into_bytes()))
        }
    }

    /// Made with Python's `hmac` as MLflow 3.17 makes it.
    #[test]
    fn a_signature_of_mlflow_is_known() {
        let signed = Signed {
            id: "6f1c7c9e-2f4b-4a53-9d5c-0a3b1a2c3d4e",
            timestamp: "1795339855",
            body: br#"{"entity": "model_version", "action": "created", "timestamp": "2026-11-22T09:30:55.753116+00:00", "data": {"name": "wh", "version": "1"}}"#,
        };
        let secret = Secret::from("a secret of both");
        let signature = "v1,XvuG9ijx4ehgiE+b2RLFqzJeUIb7O/xtrvKuZPI9rsk=";
        assert!(signed.is_by(&secret, signature));
        assert!(!signed.is_by(&Secret::from("another"), signature));
        assert!(!signed.is_by(&secret, signature.trim_start_matches("v1,")));
        assert!(!signed.is_by(&secret, "v1,"));
        assert!(!signed.is_by(&secret, ""));
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let signed = Signed {
            id: "1",
            timestamp: "2",
            body: b"{}",
        };
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        let forged = STANDARD.encode(mac.chain_update("1.2.{}").finalize().into_bytes());
        assert!(!signed.is_by(&Secret::from(""), &format!("v1,{forged}")));
    }

    proptest! {
        #[test]
        fn any_change_of_a_byte_is_refused(
            id in "[0-9a-f-]{1,36}",
            timestamp in "[0-9]{1,12}",
            body in prop::collection::vec(any::<u8>(), 1..200),
            part in 0..4_usize,
            place in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let secret = Secret::from("a secret of both");
            let whole = Signed { id: &id, timestamp: &timestamp, body: &body };
            let signature = whole.by(&secret);
            prop_assert!(whole.is_by(&secret, &signature));

            let flipped = |text: &[u8]| {
                let mut bytes = text.to_vec();
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
                bytes
            };
            let [mut other_id, mut other_timestamp] = [id.clone(), timestamp.clone()];
            let [mut other_body, mut other_signature] = [body.clone(), signature.clone().into_bytes()];
            match part {
                0 => other_id = String::from_utf8_lossy(&flipped(id.as_bytes())).into_owned(),
                1 => other_timestamp = String::from_utf8_lossy(&flipped(timestamp.as_bytes())).into_owned(),
                2 => other_body = flipped(&body),
                _ => other_signature = flipped(signature.as_bytes()),
            }
            let changed = Signed { id: &other_id, timestamp: &other_timestamp, body: &other_body };
            let other_signature = String::from_utf8_lossy(&other_signature).into_owned();
            prop_assert!(!changed.is_by(&secret, &other_signature));
        }
    }
}
