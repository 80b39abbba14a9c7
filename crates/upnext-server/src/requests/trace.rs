//! The trace that a request belongs to, by the header `traceparent` (W3C Trace Context).

use axum::http::{HeaderMap, HeaderName};

const PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header by which a response names its part of the trace.
pub(super) const RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// A request's place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// 32 hex digits, which all parts of the trace share.
    id: String,
    /// The number of the caller's part.
    parent: u64,
    /// The number of this part.
    span: u64,
    /// Whether the caller records the trace, and other flags.
    flags: u8,
}

impl Trace {
    /// The trace of a request with these headers, of which this server's part gets the number `span()`; `None` without one, and if the header is
    /// none that the standard allows.
    pub(super) fn of(headers: &HeaderMap, span: impl FnOnce() -> u64) -> Option<Self> {
        let mut sent = headers.get_all(PARENT).iter();
        let text = sent.next()?.to_str().ok()?;
        if sent.next().is_some() {
            return None;
        }
        let parts: Vec<&str> = text.split('-').collect();
        let [version, id, parent, flags, rest @ ..] = &parts[..] else { return None };
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        let is_valid = is_hex(version, 2)
            && *version != "ff"
            // Later versions may add parts.
            && (rest.is_empty() || *version != "00")
            && is_hex(id, 32)
            && !is_zero(id)
            && is_hex(parent, 16)
            && !is_zero(parent)
            && is_hex(flags, 2);
        let flags = u8::from_str_radix(flags, 16).ok().filter(|_| is_valid)?;
        let parent = u64::from_str_radix(parent, 16).ok()?;
        Some(Self { id: (*id).to_owned(), parent, span: span().max(1), flags })
    }

    /// The id that all parts of the trace share.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The number of the caller's part.
    #[cfg(feature = "otel")]
    pub(super) fn parent(&self) -> u64 {
        self.parent
    }

    /// The number of this part.
    #[cfg(feature = "otel")]
    pub(super) fn span(&self) -> u64 {
        self.span
    }

    /// Whether the caller records the trace, and other flags.
    #[cfg(feature = "otel")]
    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// The value of the header of a response.
    pub(super) fn response(&self) -> String {
        format!("00-{}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn trace(text: &str) -> Option<Trace> {
        Trace::of(&HeaderMap::from_iter([(PARENT, text.parse().unwrap())]), || 0xab)
    }

    #[test]
    fn a_trace_is_taken_over_and_what_is_none_is_not() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let found = trace(&format!("00-{id}-b7ad6b7169203331-01")).unwrap();
        assert_eq!((found.id(), found.response()), (id, format!("00-{id}-00000000000000ab-01")));
        assert!(trace(&format!("cc-{id}-b7ad6b7169203331-01-later")).is_some());
        let zero = "0".repeat(32);
        for wrong in [
            "",
            "00",
            id,
            &format!("ff-{id}-b7ad6b7169203331-01"),
            &format!("00-{zero}-b7ad6b7169203331-01"),
            &format!("00-{id}-0000000000000000-01"),
            &format!("00-{id}-b7ad6b7169203331-1"),
            &format!("00-{id}-b7ad6b7169203331-01-x"),
            &format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
        let one: HeaderValue = format!("00-{id}-b7ad6b7169203331-01").parse().unwrap();
        let mut two = HeaderMap::from_iter([(PARENT, one.clone())]);
        two.append(PARENT, one);
        assert_eq!(Trace::of(&two, || 1), None);
    }
}
