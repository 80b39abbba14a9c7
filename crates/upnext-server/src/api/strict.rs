//! Checks of a request's head, before its route.

use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{MatchedPath, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, Version, header};
use std::borrow::Cow;
use std::net::IpAddr;

/// The routes that take parameters in their query.
const WITH_PARAMETERS: [&str; 2] = ["/v1/items", "/v1/items/{id}/similar"];

/// Refuses requests for another host, and parameters where there are none.
///
/// A page of another site could make a browser ask a server of its own machine, under a name that leads there (DNS rebinding):
/// a server without keys answers only to names of the machine itself.
///
/// # Errors
/// With status 400 or 421.
pub(crate) fn check_head(service: &Service, request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, others) = (hosts.next(), hosts.next());
    // In HTTP/2, the host is part of the target.
    let target = request.uri().authority().filter(|_| request.version() > Version::HTTP_11);
    let may_lack = request.version() < Version::HTTP_11 || target.is_some();
    if others.is_some() || (host.is_none() && !may_lack) {
        let detail = "the request must have one header `host`";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let named = |host: &HeaderValue| host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let host = target.cloned().map(Some).or_else(|| host.map(named));
    if service.is_local && host.is_some_and(|host| !host.is_some_and(|host| is_of_this_machine(host.host())))
    {
        let detail = "a server without keys answers only to `localhost` and addresses of its own machine: ask it by one of these, or give it keys (--keys FILE) or --allow-open";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let takes_parameters =
        route.is_none_or(|route| !route.starts_with("/v1") || WITH_PARAMETERS.contains(&route));
    if !takes_parameters && request.uri().query().is_some_and(|query| !query.is_empty()) {
        let detail = "the path takes no parameters: leave out what follows the question mark";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(())
}

fn is_of_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let is_address = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_address || host == "localhost" || host.ends_with(".localhost")
}

/// A parameter's name and value.
type Parameter<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The parameters of a query string.
///
/// # Errors
/// For text that is not UTF-8, which would be another text otherwise.
pub(super) fn parameters(query: &str) -> Result<Vec<Parameter<'_>>, Problem> {
    let replaced = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let found: usize = pairs.iter().map(|(name, value)| replaced(name) + replaced(value)).sum();
    // The character itself may be asked for.
    let sent = replaced(query) + query.to_ascii_lowercase().matches("%ef%bf%bd").count();
    if found > sent {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the parameters are not percent-encoded UTF-8 text",
        ));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for own in
            ["localhost", "LOCALHOST", "localhost.", "shop.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]
        {
            assert!(is_of_this_machine(own), "{own}");
        }
        for other in ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "notlocalhost", ""] {
            assert!(!is_of_this_machine(other), "{other}");
        }
    }

    #[test]
    fn parameters_are_text() {
        let parsed = parameters("query=a%20b+c&where=%C3%A4&x=%EF%BF%BD").unwrap();
        assert_eq!(parsed[0].1, "a b c");
        assert_eq!((&*parsed[1].1, &*parsed[2].1), ("ä", "\u{fffd}"));
        for wrong in ["query=%ff", "%c3=1", "query=%EF%BF%BD&x=%80"] {
            assert!(parameters(wrong).is_err(), "{wrong}");
        }
    }
}
