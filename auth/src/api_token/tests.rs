//! Tokens as they are made and kept.

use std::collections::HashSet;

use super::*;

fn issue(token: NewToken) -> (TokenRecord, Secret) {
    token.issue(SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn a_token_is_the_prefix_and_256_random_bits_of_url_safe_text() {
    let (_, token) = issue(NewToken::new("alice"));
    assert!(looks_like_a_token(&token));
    let random = token.expose().strip_prefix("sgp_").unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len() * 8, 256);
}

#[test]
fn no_two_tokens_and_no_two_ids_are_alike() {
    let made: Vec<_> = (0..1_000).map(|_| issue(NewToken::new("alice"))).collect();
    let tokens: HashSet<_> = made.iter().map(|(_, token)| token.expose()).collect();
    let ids: HashSet<_> = made.iter().map(|(record, _)| &record.id).collect();
    let digests: HashSet<_> = made.iter().map(|(record, _)| record.digest).collect();
    assert_eq!(
        (tokens.len(), ids.len(), digests.len()),
        (1_000, 1_000, 1_000)
    );
}

#[test]
fn a_record_knows_the_token_by_its_sha_256_and_shows_neither() {
    let (record, token) = issue(NewToken::new("alice"));
    assert_eq!(record.digest, TokenDigest::of(&token));
    let shown = format!("{record:?}{record:#?}{token:?}");
    let random = token.expose().trim_start_matches("sgp_");
    assert!(!shown.contains(random));
    assert!(!random.contains(record.id.as_str()));
    let bytes = format!("{:?}", record.digest.as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])));
}

#[test]
fn the_digest_is_plain_sha_256() {
    // The example of FIPS 180-2, appendix B.1.
    let digest = TokenDigest::of(&Secret::new("abc"));
    assert_eq!(digest.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(digest, TokenDigest::from(*digest.as_bytes()));
    assert_ne!(digest, TokenDigest::of(&Secret::new("abd")));
}

#[test]
fn a_token_ends_at_its_expiry_and_not_before() {
    let lifetime = Some(Duration::from_secs(30));
    let (record, _) = issue(NewToken {
        lifetime,
        ..NewToken::new("alice")
    });
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
    assert_eq!(record.expires, Some(end));
    assert!(!record.has_expired(end - Duration::from_nanos(1)));
    assert!(record.has_expired(end));
}

#[test]
fn a_token_without_lifetime_has_no_end() {
    let (record, _) = issue(NewToken::new("alice"));
    let late = SystemTime::UNIX_EPOCH + LONGEST_LIFETIME;
    assert!(!record.has_expired(late));
}

#[test]
fn a_token_ends_no_later_than_it_must_and_earlier_if_it_is_told_to() {
    let end = |lifetime| {
        let token = NewToken {
            lifetime,
            not_after: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)),
            ..NewToken::new("alice")
        };
        let expires = issue(token).0.expires.unwrap();
        expires.duration_since(SystemTime::UNIX_EPOCH).unwrap()
    };
    assert_eq!(end(None).as_secs(), 60);
    assert_eq!(end(Some(Duration::from_secs(61))).as_secs(), 60);
    assert_eq!(end(Some(Duration::from_secs(59))).as_secs(), 59);
}

#[test]
fn lifetimes_that_make_no_sense_are_refused() {
    let with = |lifetime| {
        let token = NewToken {
            lifetime: Some(lifetime),
            ..NewToken::new("alice")
        };
        token.issue(SystemTime::UNIX_EPOCH).map(|_| ())
    };
    assert_eq!(with(Duration::ZERO), Err(InvalidToken::TooShort));
    assert_eq!(with(Duration::from_secs(1)), Ok(()));
    assert_eq!(with(LONGEST_LIFETIME), Ok(()));
    assert_eq!(with(Duration::MAX), Err(InvalidToken::TooLong));
}

#[test]
fn a_principal_needs_a_name_that_can_be_shown() {
    for name in ["", " ", "alice ", " alice", "al\nice", "\u{7f}"] {
        let refused = NewToken::new(name)
            .issue(SystemTime::UNIX_EPOCH)
            .map(|_| ());
        assert_eq!(refused, Err(InvalidToken::Principal), "{name:?}");
    }
    for name in ["alice", "alice@example.com", "Data Team", "ünïcode"] {
        assert!(
            NewToken::new(name).issue(SystemTime::UNIX_EPOCH).is_ok(),
            "{name:?}"
        );
    }
}

#[test]
fn times_are_whole_milliseconds() {
    let now = SystemTime::UNIX_EPOCH + Duration::new(5, 123_456_789);
    let token = NewToken {
        lifetime: Some(Duration::new(10, 999_999_999)),
        ..NewToken::new("alice")
    };
    let (record, _) = token.issue(now).unwrap();
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(since(record.created), Duration::from_millis(5_123));
    assert_eq!(
        since(record.expires.unwrap()),
        Duration::from_millis(16_122)
    );
}

#[test]
fn only_what_could_have_been_made_here_looks_like_a_token() {
    let (_, token) = issue(NewToken::new("alice"));
    let text = token.expose();
    for other in [
        "",
        "sgp_",
        "dapi0123456789abcdef",
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}a"),
        &text.replace("sgp_", "SGP_"),
        &format!("{}é", &text[..text.len() - 2]),
        &format!("{}.", &text[..text.len() - 1]),
    ] {
        assert!(!looks_like_a_token(&Secret::new(other)), "{other:?}");
    }
}
