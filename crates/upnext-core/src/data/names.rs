//! The columns of logs and tables by their names, and names in error messages.

/// The role of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Session,
    User,
    Item,
    Time,
    /// The order of events with the same time.
    Order,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Item => "item",
            Self::Time => "time",
            Self::Order => "order",
        }
    }

    /// The option that names such a column.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Session => "session_column",
            Self::User => "user_column",
            Self::Item => "item_column",
            Self::Time => "time_column",
            Self::Order => "order_column",
        }
    }

    /// Names of such a column in public logs, exports and tools, [`normalized`]; the first that a log has is used.
    #[rustfmt::skip] // a name a line would be hundreds of lines
    pub(super) fn known_names(self) -> &'static [&'static str] {
        match self {
            Self::Session => &[
                "sessionid", "session", "usersession", "sessionkey", "sid", "sessid", "visitid", "idvisit",
                "visitkey", "contextsessionid", "domainsessionid", "sessionuuid", "sitzung", "sitzungsid",
                "gasessionid", "gasessionnumber", "sessionnumber", "sessionnum", "sessionno", "sessionindex",
                "sessioncount", "visitnumber", "domainsessionidx", "visitcount", "orderid", "basketid",
                "cartid", "invoiceno",
            ],
            Self::User => &[
                "userid", "user", "visitorid", "visitor", "userpseudoid", "fullvisitorid", "clientid",
                "customerid", "customer", "uid", "anonymousid", "domainuserid", "idvisitor", "cookieid",
                "cookie", "deviceid", "memberid", "member", "accountid", "account", "personid", "profileid",
                "reviewerid", "userhash", "userkey", "useruuid", "kunde", "kundennummer", "kundenid",
                "benutzer", "nutzer",
            ],
            Self::Item => &[
                "itemid", "item", "productid", "product", "articleid", "clickarticleid", "newsid", "videoid",
                "contentid", "trackid", "movieid", "sku", "productsku", "parentasin", "asin", "iid", "aid",
                "itemkey", "offerid", "listingid", "songid", "bookid", "gameid", "appid", "courseid",
                "jobid", "postid", "documentid", "docid", "recipeid", "beerid", "businessid", "hotelid",
                "poiid", "locationid", "adid", "propertiesproductid", "artikel", "artikelid", "artikelnr",
                "artikelnummer", "produkt", "produktid", "previtems", "itemids", "items", "itemlist",
                "productids", "products", "itemsequence", "sessionitems", "clickeditems", "history",
            ],
            Self::Time => &[
                "time", "timestamp", "ts", "eventtime", "eventtimestamp", "clicktimestamp", "clicktime",
                "datetime", "originaltimestamp", "derivedtstamp", "tstamp", "unixtime", "unixtimestamp",
                "timems", "timestampms", "timestampmillis", "timestampus", "epoch", "epochms", "epochtime",
                "servertimestampepochms", "servertimestamp", "servertime", "servertimepretty",
                "clienttimestamp", "collectortstamp", "occurredat", "clickedat", "viewedat", "createdat",
                "created", "creationtime", "actiontime", "visittime", "logtime", "startedat", "sentat",
                "receivedat", "zeitpunkt", "zeitstempel", "zeit", "eventdate", "date", "day", "datum", "tag",
            ],
            Self::Order => &[
                "timeframe", "step", "position", "positioninsession", "sessionposition", "addtocartorder",
                "sequence", "sequencenumber", "sequenceno", "seq", "seqno", "eventindex", "eventnumber",
                "eventorder", "hitnumber", "eventsequence", "itemposition", "stepindex", "pos",
            ],
        }
    }

    /// Endings of further names, [`normalized`], such as that of `context_session_id`.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Session => &["sessionid", "sessionkey", "usersession"],
            Self::User => &["userid", "visitorid", "customerid", "clientid"],
            Self::Item => &["itemid", "productid", "articleid", "trackid", "videoid", "productsku"],
            Self::Time => &["timestamp", "timestampms", "datetime", "eventtime", "tstamp"],
            Self::Order => &[],
        }
    }

    /// How well a column's name fits the role: 0 for the first of the known names; `None` if it does not.
    ///
    /// Names are compared without the type that RecBole appends (`item_id:token`) and without `hash` at their end. Of the
    /// path of a nested column, such as `event.item_id`, the whole or the last part must be known.
    pub(super) fn fit(self, name: &str) -> Option<usize> {
        const LAST_PART: usize = 1_000;
        const ENDING: usize = 2_000;
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        let known = |name: &str| {
            let name = normalized(name);
            let name = name.strip_suffix("hash").filter(|rest| !rest.is_empty()).unwrap_or(&name).to_owned();
            (self.known_names().iter().position(|known| *known == name), name)
        };
        let (whole, text) = known(name);
        // In a path, single words are names of a column only below what holds an event.
        let last = || {
            let (path, last) = name.rsplit_once('.')?;
            let parent = normalized(path.rsplit_once('.').map_or(path, |(_, parent)| parent));
            let is_event = ["event", "events", "data", "params", "properties", "payload", "context"];
            if WORDS.contains(&normalized(last).as_str()) && !is_event.contains(&parent.as_str()) {
                return None;
            }
            Some(LAST_PART + known(last).0?)
        };
        let ending = || Some(ENDING + self.endings().iter().position(|ending| text.ends_with(ending))?);
        whole.or_else(last).or_else(ending)
    }
}

/// Names of columns, [`normalized`], that are words for other things, too.
const WORDS: [&str; 17] = [
    "session", "user", "visitor", "customer", "member", "account", "item", "product", "time", "date", "day",
    "created", "position", "step", "sequence", "cookie", "tag",
];

/// Whether a session column of this name counts the sessions of each user, so that it needs a user column.
pub(super) fn is_per_user(name: &str) -> bool {
    const COUNTERS: [&str; 10] = [
        "gasessionid",
        "gasessionnumber",
        "sessionnumber",
        "sessionnum",
        "sessionno",
        "sessionindex",
        "sessioncount",
        "visitnumber",
        "domainsessionidx",
        "visitcount",
    ];
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    COUNTERS.contains(&normalized(last).as_str())
}

/// A name in lower case, without spaces and punctuation.
pub(super) fn normalized(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The columns whose names fit a role, best first.
pub(super) fn fitting(role: Role, names: &[String]) -> Vec<usize> {
    let mut fitting: Vec<(usize, usize)> =
        names.iter().enumerate().filter_map(|(at, name)| Some((role.fit(name)?, at))).collect();
    fitting.sort_unstable();
    fitting.into_iter().map(|(_, at)| at).collect()
}

/// Finds the column that an option gives: by exact name, by name in any case, or by position from 1.
pub(super) fn find_wanted(wanted: &str, names: Option<&[String]>, count: usize) -> Option<usize> {
    let by_name = names.and_then(|names| {
        let any_case = |n: &String| n.trim().eq_ignore_ascii_case(wanted.trim());
        names.iter().position(|n| n == wanted).or_else(|| names.iter().position(any_case))
    });
    let by_position =
        || wanted.trim().parse::<usize>().ok().filter(|p| (1..=count).contains(p)).map(|p| p - 1);
    by_name.or_else(by_position)
}

/// Finds the column of item ids: the first of `wanted` that exists, by name or by position from 1; if `wanted` is
/// empty, the one whose name fits an item column best, or `id`.
pub(crate) fn item_column(names: &[String], wanted: &[String]) -> Option<usize> {
    if wanted.is_empty() {
        let id = || names.iter().position(|name| normalized(name) == "id");
        return fitting(Role::Item, names).first().copied().or_else(id);
    }
    wanted.iter().find_map(|wanted| column(names, wanted))
}

/// Finds the column that an option gives: by exact name, by name in any case, or by position from 1.
pub(crate) fn column(names: &[String], wanted: &str) -> Option<usize> {
    find_wanted(wanted, Some(names), names.len())
}

/// A text for a message: at most 40 characters, with control characters escaped.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(text, 40)
}

/// A text for a message, on one line: at most `max` characters, with control characters escaped.
pub(crate) fn shortened_to(text: &str, max: usize) -> String {
    let mut short = String::new();
    for c in text.chars().take(max) {
        if c.is_control() { short.extend(c.escape_debug()) } else { short.push(c) }
    }
    if text.chars().nth(max).is_some() {
        short.push('…');
    }
    short
}

/// The error of a damaged Parquet file. The decoder's message may quote names from the file and is shortened.
pub(crate) fn damaged_parquet(path: &std::path::Path, reason: &str) -> crate::Error {
    crate::Error::Damaged { path: path.to_owned(), format: "Parquet", reason: shortened_to(reason, 200) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(role: Role, names: &[&str]) -> Option<usize> {
        fitting(role, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).first().copied()
    }

    #[test]
    fn columns_of_public_logs_exports_and_tools_are_known() {
        let logs: [(&[&str], [Option<usize>; 5]); 14] = [
            (&["timestamp", "visitorid", "event", "itemid"], [None, Some(1), Some(3), Some(0), None]),
            (
                &["sessionId", "userId", "itemId", "timeframe", "eventdate"],
                [Some(0), Some(1), Some(2), Some(4), Some(3)],
            ),
            (
                &["session_id_hash", "event_type", "product_sku_hash", "server_timestamp_epoch_ms"],
                [Some(0), None, Some(2), Some(3), None],
            ),
            (&["user_id:token", "item_id:token", "timestamp:float"], [None, Some(0), Some(1), Some(2), None]),
            (&["USER_ID", "ITEM_ID", "EVENT_TYPE", "TIMESTAMP"], [None, Some(0), Some(1), Some(3), None]),
            (
                &["user_pseudo_id", "event_params.ga_session_id", "event_timestamp", "items.item_id"],
                [Some(1), Some(0), Some(3), Some(2), None],
            ),
            (
                &["order_id", "product_id", "add_to_cart_order", "reordered"],
                [Some(0), None, Some(1), None, Some(2)],
            ),
            (&["session", "events.aid", "events.ts", "events.type"], [Some(0), None, Some(1), Some(2), None]),
            (
                &[
                    "anonymous_id",
                    "received_at",
                    "original_timestamp",
                    "context_session_id",
                    "properties_product_id",
                ],
                [Some(3), Some(0), Some(4), Some(2), None],
            ),
            (
                &["domain_userid", "domain_sessionid", "derived_tstamp", "product_sku"],
                [Some(1), Some(0), Some(3), Some(2), None],
            ),
            (
                &["idVisitor", "idVisit", "serverTimePretty", "productSku"],
                [Some(1), Some(0), Some(3), Some(2), None],
            ),
            (&["user_id", "parent_asin", "rating", "timestamp"], [None, Some(0), Some(1), Some(3), None]),
            (&["Session", "Artikel", "Zeitpunkt"], [Some(0), None, Some(1), Some(2), None]),
            (
                &[
                    "user_id",
                    "session_id",
                    "session_start",
                    "session_size",
                    "click_article_id",
                    "click_timestamp",
                ],
                [Some(1), Some(0), Some(4), Some(5), None],
            ),
        ];
        for (names, expected) in logs {
            let roles = [Role::Session, Role::User, Role::Item, Role::Time, Role::Order];
            assert_eq!(roles.map(|role| best(role, names)), expected, "{names:?}");
        }
        assert_eq!(best(Role::Item, &["item_category_id", "itemtype"]), None);
        assert_eq!(best(Role::Item, &["id", "profile.item", "profile.groups.group"]), None);
        assert_eq!(best(Role::Item, &["id", "event.item"]), Some(1));
    }

    #[test]
    fn counters_of_a_users_sessions_are_known() {
        assert!(is_per_user("event_params.ga_session_number") && is_per_user("visit_number"));
        assert!(!is_per_user("session_id"));
    }
}
