//! The URL of a shared session store, which never displays its password.

use redis::{ConnectionInfo, IntoConnectionInfo};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The text that replaces a password.
const HIDDEN: &str = "***";

/// The URL of a Valkey or Redis server.
///
/// It is `redis://HOST:PORT/DB` (or `valkey://`), with TLS `rediss://` (or `valkeys://`), or `unix:///PATH?db=DB`. User
/// and password are `USER:PASSWORD@` or `:PASSWORD@` before the host, or `&user=…&pass=…` after a path.
///
/// [`Display`](fmt::Display), [`Debug`] and serialisation write `***` for the password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    /// The URL with the password.
    url: String,
    shown: String,
}

impl StoreUrl {
    /// Whether the URL has a password.
    pub fn has_password(&self) -> bool {
        self.url != self.shown
    }

    /// The connection parameters for the client.
    pub(super) fn connection_info(&self) -> redis::RedisResult<ConnectionInfo> {
        self.url.as_str().into_connection_info()
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    /// Parses a URL.
    ///
    /// # Errors
    /// A description of the fault, which quotes no part of the text, since any part may be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "give redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, with :PASSWORD@ before the host where the store asks for one";
        let Some(mut shown) = redis::parse_redis_url(text) else {
            return Err(format!("is no address of a Valkey or Redis server: {form}"));
        };
        let is_path = shown.scheme().ends_with("unix");
        if is_path && !cfg!(unix) {
            return Err(
                "is the path of a socket, which this system does not have: give redis://HOST:PORT".to_owned()
            );
        }
        let (mut secrets, mut pairs) = (Vec::new(), Vec::new());
        for (key, value) in shown.query_pairs() {
            match (&*key, is_path) {
                ("pass", true) => {
                    secrets.push(value.into_owned());
                    pairs.push((key.into_owned(), HIDDEN.to_owned()));
                }
                ("db" | "user", true) => pairs.push((key.into_owned(), value.into_owned())),
                _ => {
                    return Err(
                        "has a parameter that is none: a path takes db, user and pass, a host takes none"
                            .to_owned(),
                    );
                }
            }
        }
        if shown.fragment().is_some() {
            // A fragment such as `#insecure` would switch off the verification of certificates.
            return Err("has a `#`: write %23 for one in a password, and leave anything else out".to_owned());
        }
        let url = if pairs.is_empty() {
            shown.to_string()
        } else {
            let url = shown.to_string();
            shown.query_pairs_mut().clear().extend_pairs(pairs);
            url
        };
        match shown.password() {
            Some(password) => {
                secrets.push(password.to_owned());
                // Never an error: the URL has a host.
                _ = shown.set_password(Some(HIDDEN));
            }
            // Usually a password without its colon.
            None if !shown.username().is_empty() => {
                return Err("has a user without a password: write USER:PASSWORD@ or :PASSWORD@".to_owned());
            }
            None => {}
        }
        if secrets.iter().any(|secret| secret == HIDDEN) {
            return Err(format!(
                "has {HIDDEN} for a password, which is how passwords are shown: put in the real one"
            ));
        }
        let url = Self { url, shown: shown.to_string() };
        url.connection_info()
            .map_err(|_| format!("has no host, no path or no number of a database: {form}"))?;
        Ok(url)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|reason| serde::de::Error::custom(format!("session_store: {reason}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServerConfig;

    #[test]
    fn a_password_is_used_and_shown_nowhere() {
        for text in [
            "redis://:pa%23ss-7@store:6380/2",
            "rediss://user:pa%23ss-7@store",
            "valkeys://user:pa%23ss-7@[::1]:6380",
            #[cfg(unix)]
            "unix:///run/store.sock?user=u&pass=pa%23ss-7&db=1",
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert!(url.has_password());
            assert_eq!(url.connection_info().unwrap().redis_settings().password(), Some("pa#ss-7"));
            let config = ServerConfig { session_store: Some(url.clone()), ..ServerConfig::default() };
            let json = serde_json::to_string(&config).unwrap();
            for shown in [url.to_string(), format!("{url:?}"), format!("{config:?}"), json] {
                assert!(shown.contains("***") && !shown.contains("ss-7"), "{shown}");
            }
        }
    }

    #[test]
    fn an_address_without_a_password_is_shown_as_it_is() {
        for text in [
            "redis://store",
            "redis://store:6380/2",
            "valkey://[::1]:6380",
            #[cfg(unix)]
            "unix:///run/store.sock?db=1",
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.has_password()), (text, false));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, word) in [
            ("pass-7", "no address"),
            ("http://:pass-7@store", "no address"),
            ("redis://:pass-7@", "no address"),
            ("redis://:pass-7@store:port", "no address"),
            ("redis:///pass-7", "no host"),
            ("redis://:pass-7@store/pass-7", "number of a database"),
            ("redis://pass-7@store", "user without a password"),
            ("redis://store?pass=pass-7", "parameter"),
            ("rediss://:pass-7@store#insecure", "`#`"),
            ("redis://:***@store", "put in the real one"),
            #[cfg(unix)]
            ("unix:///run/store.sock?pass=***", "put in the real one"),
            #[cfg(not(unix))]
            ("unix:///run/store.sock?pass=pass-7", "this system does not have"),
        ] {
            let reason = text.parse::<StoreUrl>().unwrap_err();
            assert!(reason.contains(word) && !reason.contains("pass-7"), "{text}: {reason}");
        }
    }
}
