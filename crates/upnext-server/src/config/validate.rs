//! The checks of a configuration.

use super::ServerConfig;
use axum::http::{HeaderValue, Uri};
use upnext_core::data::MAX_ID_BYTES;
use upnext_core::{Error, Result};

impl ServerConfig {
    /// Checks all fields and their combinations.
    ///
    /// # Errors
    /// [`Error::Config`] with the first invalid field.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in [
            ("queue_sessions", self.queue_sessions),
            ("max_batch_sessions", self.max_batch_sessions),
            ("max_k", self.max_k),
            ("max_answer_entries", self.max_answer_entries),
            ("max_list_items", self.max_list_items),
            ("max_new_items", self.max_new_items),
            ("max_connections", self.max_connections),
            ("event_log_queue", self.event_log_queue),
        ] {
            if value > 1 << 24 {
                return Err(Error::config(field, format!("{value} is no limit: give at most 16777216")));
            }
        }
        let at_least_one = [
            ("batch_sessions", self.batch_sessions),
            ("queue_sessions", self.queue_sessions),
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("default_k", self.default_k),
            ("max_batch_sessions", self.max_batch_sessions),
            ("max_item_id_bytes", self.max_item_id_bytes),
            ("max_session_id_bytes", self.max_session_id_bytes),
            ("max_session_events", self.max_session_events),
            ("max_sessions", self.max_sessions),
            ("event_log_queue", self.event_log_queue),
            ("max_sessions_bytes", self.max_sessions_bytes),
            ("max_catalogue_items", self.max_catalogue_items),
            ("max_catalogue_field_bytes", self.max_catalogue_field_bytes),
            ("max_query_bytes", self.max_query_bytes),
        ];
        let others = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("max_request_work", self.max_request_work),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("session_idle_s", self.session_idle_s),
            ("session_store_timeout_ms", self.session_store_timeout_ms),
            ("event_log_rotate_s", self.event_log_rotate_s),
            ("event_log_max_bytes", self.event_log_max_bytes),
            ("poll_ms", self.poll_ms),
        ];
        for (field, value) in [("drain_ms", self.drain_ms), ("shutdown_timeout_ms", self.shutdown_timeout_ms)]
        {
            if value > 3_600_000 {
                return Err(Error::config(field, format!("{value} is more than an hour")));
            }
        }
        let sizes = at_least_one.map(|(field, value)| (field, value as u64));
        for (field, value) in sizes.into_iter().chain(others) {
            if value == 0 {
                return Err(Error::config(field, "is 0: give 1 or more"));
            }
            if value > 1 << 40 {
                return Err(Error::config(field, format!("{value} is no limit: give less than 2^40")));
            }
        }
        // Longer ids would be written to the event log, and `prepare` could not read them.
        for (field, bytes, most) in [
            ("max_item_id_bytes", self.max_item_id_bytes, MAX_ID_BYTES),
            ("max_session_id_bytes", self.max_session_id_bytes, MAX_ID_BYTES / 2),
        ] {
            if bytes > most {
                return Err(Error::config(field, format!("is above {most}, which no id has")));
            }
        }
        if self.session_store.is_some() && self.session_file.is_some() {
            let reason = "and session_file are both given, and sessions are kept in one place: leave one out";
            return Err(Error::config("session_store", reason));
        }
        if self.max_k < self.default_k {
            let reason = format!("is below default_k ({}): raise the one or lower the other", self.default_k);
            return Err(Error::config("max_k", reason));
        }
        let waits = self.session_store.is_some() || self.session_file.is_some();
        if waits && self.session_store_timeout_ms >= self.request_timeout_ms {
            let reason =
                format!("is not below request_timeout_ms ({}), which waits for it", self.request_timeout_ms);
            return Err(Error::config("session_store_timeout_ms", reason));
        }
        if self.max_answer_entries < self.max_k {
            let reason = format!("is below max_k ({}), so that one list exceeds it", self.max_k);
            return Err(Error::config("max_answer_entries", reason));
        }
        if self.queue_sessions < self.max_batch_sessions {
            let reason = format!(
                "is below max_batch_sessions ({}), so that such a request could never be answered",
                self.max_batch_sessions
            );
            return Err(Error::config("queue_sessions", reason));
        }
        for (field, part) in [
            ("batch_queue_share", self.batch_queue_share),
            ("key_queue_share", self.key_queue_share),
            ("reload_min_items", self.reload_min_items),
            ("reload_min_overlap", self.reload_min_overlap),
            ("compare_share", self.compare_share),
            ("compare_shadow", self.compare_shadow),
        ] {
            if !(0.0..=1.0).contains(&part) {
                return Err(Error::config(field, format!("{part} is no part: give 0 to 1")));
            }
            if part > 0.0 && field.starts_with("compare") && self.compare_model.is_none() {
                let reason = "is of a second model, and there is none: give compare_model";
                return Err(Error::config(field, reason));
            }
        }
        if self.lists_per_second > 0 && (self.lists_burst as usize) < self.max_batch_sessions {
            let reason = format!(
                "is below max_batch_sessions ({}), so that such a request could never be answered",
                self.max_batch_sessions
            );
            return Err(Error::config("lists_burst", reason));
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            if !cfg!(feature = "otel") {
                let reason = "needs a program that is built with OpenTelemetry: `cargo install upnext --features otel`";
                return Err(Error::config("otlp_endpoint", reason));
            }
            if endpoint
                .parse::<Uri>()
                .ok()
                .is_none_or(|uri| uri.scheme_str() != Some("http") || uri.host().is_none())
            {
                let reason = "is no URL of a collector: give http://HOST:PORT, such as http://localhost:4318";
                return Err(Error::config("otlp_endpoint", reason));
            }
        }
        self.validate_events()?;
        self.validate_origins()?;
        if self.admin_listen.is_some_and(|address| address == self.listen && address.port() != 0) {
            return Err(Error::config("admin_listen", "is the same as listen: give another port"));
        }
        let missing = match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => Some("tls_key_file"),
            (None, Some(_)) => Some("tls_cert_file"),
            _ => None,
        };
        if let Some(field) = missing {
            let reason = "is missing: TLS needs a certificate and its key (--tls-cert FILE, --tls-key FILE)";
            return Err(Error::config(field, reason));
        }
        if self.max_header_bytes < 8_192 {
            return Err(Error::config("max_header_bytes", "is below 8192, the least that can be set"));
        }
        for (field, threads) in
            [("http_threads", self.http_threads), ("compute_threads", self.compute_threads)]
        {
            if threads > 1_024 {
                return Err(Error::config(field, format!("{threads} threads: give at most 1024")));
            }
        }
        Ok(())
    }
}

impl ServerConfig {
    /// Checks the types of events and the log of them.
    fn validate_events(&self) -> Result<()> {
        if self.event_types.is_empty() {
            return Err(Error::config("event_types", "has no type: give one or more"));
        }
        for (i, kind) in self.event_types.iter().enumerate() {
            if kind.is_empty() || kind.len() > 64 || kind.contains(char::is_control) {
                return Err(Error::config(
                    "event_types",
                    format!("`{kind}` is no type: give 1 to 64 characters"),
                ));
            }
            if self.event_types[..i].contains(kind) {
                return Err(Error::config("event_types", format!("has `{kind}` twice")));
            }
        }
        if let Some(unknown) = self.session_event_types.iter().find(|kind| !self.event_types.contains(kind)) {
            let reason = format!("has `{unknown}`, which is none of event_types");
            return Err(Error::config("session_event_types", reason));
        }
        if self.session_event_types.is_empty() {
            let reason = "has no type, and lists are made of events: give one or more";
            return Err(Error::config("session_event_types", reason));
        }
        if self.impression_log && self.event_log_dir.is_none() {
            let reason = "needs a folder: give event_log_dir (--event-log DIR), too";
            return Err(Error::config("impression_log", reason));
        }
        Ok(())
    }

    /// Checks the origins of pages: a scheme and a host, with a port if wanted, as browsers send them.
    fn validate_origins(&self) -> Result<()> {
        for origin in self.cors_origins.iter().filter(|origin| *origin != "*") {
            let is_origin = origin.parse::<Uri>().is_ok_and(|uri| {
                let rest = format!("{}://{}", uri.scheme_str().unwrap_or(""), uri.host().unwrap_or(""));
                let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{rest}{port}") == *origin && uri.host().is_some_and(|host| !host.is_empty())
            });
            if !is_origin || HeaderValue::from_str(origin).is_err() {
                let reason =
                    format!("`{origin}` is no origin: give `https://HOST` or `https://HOST:PORT`, or `*`");
                return Err(Error::config("cors_origins", reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_with_their_field() {
        ServerConfig::default().validate().unwrap();
        let refused = |config: ServerConfig| config.validate().unwrap_err().to_string();
        let message = refused(ServerConfig { max_sessions: 0, ..ServerConfig::default() });
        assert!(message.starts_with("max_sessions: is 0"), "{message}");
        let message = refused(ServerConfig { max_k: 5, ..ServerConfig::default() });
        assert!(message.starts_with("max_k: is below default_k"), "{message}");
        for origin in ["shop.example", "https://shop.example/", "https://", "https://a/b", "null"] {
            let origins = vec![origin.to_owned()];
            let message = refused(ServerConfig { cors_origins: origins, ..ServerConfig::default() });
            assert!(message.starts_with("cors_origins: "), "{message}");
        }
        let origins = ["https://shop.example", "http://localhost:3000", "*"].map(str::to_owned).to_vec();
        ServerConfig { cors_origins: origins, ..ServerConfig::default() }.validate().unwrap();
        let types = vec!["look".to_owned()];
        let message = refused(ServerConfig { session_event_types: types, ..ServerConfig::default() });
        assert!(message.contains("none of event_types"), "{message}");
        let message = refused(ServerConfig { batch_queue_share: 1.1, ..ServerConfig::default() });
        assert!(message.starts_with("batch_queue_share: 1.1 is no part"), "{message}");
        let few = ServerConfig { lists_per_second: 5, lists_burst: 5, ..ServerConfig::default() };
        assert!(refused(few).starts_with("lists_burst: is below"));
        let message = refused(ServerConfig { queue_sessions: 10, ..ServerConfig::default() });
        assert!(message.contains("max_batch_sessions"), "{message}");
        let message = refused(ServerConfig { request_timeout_ms: u64::MAX, ..ServerConfig::default() });
        assert!(message.starts_with("request_timeout_ms"), "{message}");
        let two_places = ServerConfig {
            session_store: Some("redis://store".parse().unwrap()),
            session_file: Some("sessions".into()),
            ..ServerConfig::default()
        };
        let message = refused(two_places);
        assert!(message.starts_with("session_store: and session_file"), "{message}");
        let message = refused(ServerConfig { compare_share: 0.5, ..ServerConfig::default() });
        assert!(message.starts_with("compare_share: is of a second model"), "{message}");
        let second = ServerConfig { compare_model: Some("second".into()), ..ServerConfig::default() };
        for part in [-0.1, 1.1, f64::NAN] {
            let message = refused(ServerConfig { compare_shadow: part, ..second.clone() });
            assert!(message.starts_with("compare_shadow: ") && message.contains("0 to 1"), "{message}");
        }
        let message = refused(ServerConfig { tls_cert_file: Some("c".into()), ..ServerConfig::default() });
        assert!(message.starts_with("tls_key_file: is missing"), "{message}");
        let message = refused(ServerConfig { tls_key_file: Some("k".into()), ..ServerConfig::default() });
        assert!(message.starts_with("tls_cert_file: is missing"), "{message}");
    }
}
