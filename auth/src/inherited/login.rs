//! A user name and a password: kept as long as the request that brought them, remembered as a salted digest only.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// What a caller signed in with. It travels with the [`Principal`](crate::Principal), because the registry wants to see
/// the password again for every question; nothing here keeps it longer than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    user: Arc<str>,
    password: Secret,
    digest: LoginDigest,
}

/// What is remembered of a login: SHA-256 over a salt of this process, the name and the password.
#[derive(Clone, Copy)]
pub(crate) struct LoginDigest([u8; 32]);

/// Makes digests worthless outside of this process.
#[derive(Clone)]
pub(crate) struct Salt([u8; 32]);

impl Login {
    pub(crate) fn new(user: &str, password: Secret, salt: &Salt) -> Self {
        let digest = salt.digest(user, &password);
        Self {
            user: user.into(),
            password,
            digest,
        }
    }

    /// The user name as it was sent.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password: to be sent to the registry, and nowhere else.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    pub(crate) fn digest(&self) -> LoginDigest {
        self.digest
    }
}

impl Salt {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    fn digest(&self, user: &str, password: &Secret) -> LoginDigest {
        let digest = Sha256::new()
            .chain_update(self.0)
            // The length keeps `ab:c` and `a:bc` apart.
            .chain_update(user.len().to_le_bytes())
            .chain_update(user)
            .chain_update(password.expose())
            .finalize();
        LoginDigest(digest.into())
    }
}

/// Takes the same time wherever two digests differ.
impl PartialEq for LoginDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LoginDigest {}

impl Hash for LoginDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for LoginDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LoginDigest(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: &str, password: &str, salt: &Salt) -> Login {
        Login::new(user, password.into(), salt)
    }

    #[test]
    fn a_digest_depends_on_the_name_the_password_and_the_process() {
        let salt = Salt::random();
        let digest = |user, password| login(user, password, &salt).digest();
        assert_eq!(digest("alice", "secret"), digest("alice", "secret"));
        assert_ne!(digest("alice", "secret"), digest("alice", "Secret"));
        assert_ne!(digest("alice", "secret"), digest("alic", "esecret"));
        let elsewhere = login("alice", "secret", &Salt::random()).digest();
        assert_ne!(digest("alice", "secret"), elsewhere);
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        let shown = format!("{:?}", login("alice", "hunter2", &Salt::random()));
        assert!(
            shown.contains("alice") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
