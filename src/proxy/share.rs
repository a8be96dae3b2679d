//! The share of new clients that the idle color gets, and how each is known again: by a cookie.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::model::{Canary, Color};

const COOKIE: &str = "envctl-color";

/// Each client has a number below this one, and keeps it while the release is the same: more of them go over when the
/// weight is raised, and those that went first come back last.
const NUMBERS: u8 = 100;

#[derive(Debug)]
pub(super) struct Share {
    pub to: Color,
    pub weight: u8,
    /// Of the release: a number that was drawn for another one says nothing.
    key: String,
    /// Clients that came without a number.
    drawn: AtomicU64,
}

impl Share {
    pub fn new(canary: &Canary, release: &str) -> Self {
        let key = hex::encode(&Sha256::digest(release)[..4]);
        Self { to: canary.to, weight: canary.weight, key, drawn: AtomicU64::default() }
    }

    /// Whether a request is of the share, and where its client has no number yet, which it gets.
    pub fn takes(&self, headers: &HeaderMap) -> (bool, Option<u8>) {
        let known = cookies(headers, COOKIE).find_map(|value| self.number(value));
        let number = known.unwrap_or_else(|| self.draw());
        (number < self.weight, known.is_none().then_some(number))
    }

    /// What a client without a number is told to keep.
    pub fn cookie(&self, number: u8, tls: bool) -> Option<HeaderValue> {
        let secure = if tls { "; Secure" } else { "" };
        let key = &self.key;
        let text = format!("{COOKIE}={key}.{number}; Path=/; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// Of a hundred in a row each is drawn once: the share is exact, and its clients are spread.
    fn draw(&self) -> u8 {
        let turn = self.drawn.fetch_add(1, Relaxed) % u64::from(NUMBERS);
        u8::try_from(turn * 61 % u64::from(NUMBERS)).unwrap_or_default()
    }

    fn number(&self, value: &[u8]) -> Option<u8> {
        let digits = value.strip_prefix(self.key.as_bytes())?.strip_prefix(b".")?;
        let number = str::from_utf8(digits).ok()?.parse().ok()?;
        (number < NUMBERS).then_some(number)
    }
}

/// The values of a cookie, as the client sends them (RFC 6265, 4.2).
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: u8, release: &str) -> Share {
        let since = "2026-11-21T08:00:00Z".to_owned();
        Share::new(&Canary { to: Color::Green, weight, since }, release)
    }

    fn with(cookie: &str) -> HeaderMap {
        [(header::COOKIE, HeaderValue::from_str(cookie).unwrap())].into_iter().collect()
    }

    #[test]
    fn of_a_hundred_new_clients_exactly_the_share_is_taken() {
        for weight in [0, 1, 10, 50, 99] {
            let share = share(weight, "r1");
            let taken = (0..300).filter(|_| share.takes(&HeaderMap::new()).0).count();
            assert_eq!(taken, 3 * usize::from(weight));
        }
    }

    #[test]
    fn a_client_stays_where_it_is_and_only_more_go_over_when_the_weight_is_raised() {
        let (low, high) = (share(10, "r1"), share(30, "r1"));
        let (mut over, mut more) = (0, 0);
        for _ in 0..100 {
            let (taken, number) = low.takes(&HeaderMap::new());
            let cookie = low.cookie(number.unwrap(), false).unwrap();
            let headers = with(cookie.to_str().unwrap().split(';').next().unwrap());
            assert_eq!(low.takes(&headers), (taken, None));
            let (later, none) = high.takes(&headers);
            assert!(none.is_none() && (later || !taken), "it was taken before");
            over += u32::from(taken);
            more += u32::from(later);
        }
        assert_eq!((over, more), (10, 30));
    }

    #[test]
    fn a_cookie_of_another_release_or_of_nobody_says_nothing() {
        let (old, new) = (share(99, "r1"), share(1, "r2"));
        let cookie = old.cookie(98, true).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{text}");
        let value = text.split(';').next().unwrap();
        assert_eq!(old.takes(&with(value)), (true, None));
        assert!(new.takes(&with(value)).1.is_some());
        for wrong in
            ["", "=", "envctl-color", "envctl-color=", "xenvctl-color=1", "envctl-color=.1"]
        {
            assert!(new.takes(&with(wrong)).1.is_some(), "{wrong}");
        }
        for number in ["", "100", "-1", "256", "1x", "é"] {
            let text = format!("envctl-color={}.{number}", new.key);
            assert!(new.takes(&with(&text)).1.is_some(), "{text}");
        }
        let among = format!("a=b;  envctl-color={}.7 ; c=d", new.key);
        assert_eq!(new.takes(&with(&among)), (false, None));
    }
}
