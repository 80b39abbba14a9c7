//! A small log in the form of each public data set, export and tool, and the sessions in it.

use super::{EventLog, ReadOptions, RowOrder, TimeSpan};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Reads files as one log.
pub(super) fn read(files: &[&str], change: impl FnOnce(&mut ReadOptions)) -> crate::Result<EventLog> {
    let place = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (at, text) in files.iter().enumerate() {
        paths.push(place.path().join(at.to_string()));
        std::fs::write(&paths[at], text).unwrap();
    }
    let mut options = ReadOptions::default();
    change(&mut options);
    EventLog::read_all(&paths, &options, &mut |_| ControlFlow::Continue(()))
}

/// The sessions of files, read as one log: each as its id and its items in their order.
pub(super) fn sessions(files: &[&str], change: impl FnOnce(&mut ReadOptions)) -> crate::Result<Vec<String>> {
    let mut log = read(files, change)?;
    log.group();
    let mut sessions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in log.events() {
        let items = sessions.entry(log.session_ids().get(event.session)).or_default();
        items.push(log.item_ids().get(event.item));
    }
    Ok(sessions.into_iter().map(|(id, items)| format!("{id}: {}", items.join(" "))).collect())
}

pub(super) fn half_an_hour(options: &mut ReadOptions) {
    options.session_gap = TimeSpan::from_seconds(1_800);
}

fn views(options: &mut ReadOptions, condition: &str) {
    half_an_hour(options);
    options.conditions = vec![condition.parse().unwrap()];
}

type Change = fn(&mut ReadOptions);

/// A name, the file, the options, and the sessions.
const FORMS: &[(&str, &str, Change, &[&str])] = &[
    (
        "RecSys Challenge 2015",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n2,2014-04-07T10:50:00Z,7,S\n",
        |_| {},
        &["1: 214536502 214536500", "2: 7"],
    ),
    (
        "RetailRocket",
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257,view,355,\n1433221333117,257,addtocart,355,\n1433221334117,257,view,248,\n1433231334117,257,view,1,\n",
        |options| views(options, "event=view"),
        &["257/1: 355 248", "257/2: 1"],
    ),
    (
        "Diginetica",
        "sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n1;NA;31331;1031018;2016-05-09\n1;NA;32118;243569;2016-05-09\n",
        |_| {},
        &["1: 32118 81766 31331"],
    ),
    (
        "OTTO",
        "{\"session\":12,\"events\":[{\"aid\":5,\"ts\":1659304800025,\"type\":\"clicks\"},{\"aid\":6,\"ts\":1659304904511,\"type\":\"carts\"}]}\n{\"session\":13,\"events\":[{\"aid\":5,\"ts\":1659304800025,\"type\":\"clicks\"}]}\n",
        |_| {},
        &["12: 5 6", "13: 5"],
    ),
    (
        "MovieLens",
        "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n1,306,3.5,1147868817\n",
        half_an_hour,
        &["1/1: 306", "1/2: 296"],
    ),
    (
        "MovieLens 1M",
        "1::1193::5::978300760\n1::661::3::978302109\n2::661::3::978302109\n",
        half_an_hour,
        &["1/1: 1193 661", "2/1: 661"],
    ),
    (
        "Last.fm 1K",
        "user_1\t2009-05-04T23:08:57Z\tf1\tDeep Dish\t\tSay \"Me\nuser_1\t2009-05-04T23:10:57Z\tf1\tDeep Dish\tt2\tGo\n",
        |options| {
            half_an_hour(options);
            options.item_column = Some("6".into());
        },
        &["user_1/1: Say \"Me Go"],
    ),
    (
        "UserBehavior",
        "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,pv,1511561733\n1,2576651,149192,buy,1511561734\n",
        |options| views(options, "4=pv"),
        &["1/1: 2268318", "1/2: 2333346"],
    ),
    (
        "Amazon",
        "A1,0205616461,5.0,1369699200\nA1,0558925278,3.0,1369699200\nA2,0558925278,3.0,1355443200\n",
        half_an_hour,
        &["A1/1: 0205616461 0558925278", "A2/1: 0558925278"],
    ),
    (
        "Coveo",
        "session_id_hash,event_type,product_action,product_sku_hash,server_timestamp_epoch_ms,hashed_url\n00f,pageview,,,1550885210881,u\n00f,event_product,detail,d5157,1550885213307,u\n00f,event_product,detail,61ef3,1550885319075,u\n",
        |options| options.conditions = vec!["event_type=event_product".parse().unwrap()],
        &["00f: d5157 61ef3"],
    ),
    (
        "MIND",
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n2\tU91836\t11/14/2019 6:11:30 PM\tN31739 N6072 N63045\tN20678-0\n",
        |options| {
            half_an_hour(options);
            (options.user_column, options.item_column) = (Some("2".into()), Some("4".into()));
        },
        &["U13740/1: N55189 N42782", "U91836/1: N31739 N6072 N63045"],
    ),
    (
        "Adressa",
        "{\"eventId\":1,\"userId\":\"cx:1\",\"time\":1483225200,\"id\":\"f1\",\"profile\":[{\"item\":\"0\",\"groups\":[{\"group\":\"a\"}]},{\"item\":\"1\",\"groups\":[]}]}\n{\"eventId\":2,\"userId\":\"cx:1\",\"time\":1483225260,\"id\":\"f2\"}\n",
        |options| {
            half_an_hour(options);
            options.item_column = Some("id".into());
        },
        &["cx:1/1: f1 f2"],
    ),
    (
        "Instacart",
        "order_id,product_id,add_to_cart_order,reordered\n2,33120,3,1\n2,28985,1,1\n2,9327,2,0\n3,33754,1,1\n",
        |options| options.order = RowOrder::Rows,
        &["2: 28985 9327 33120", "3: 33754"],
    ),
    (
        "Dressipi",
        "session_id,item_id,date\n3,9655,2020-12-18 21:25:00.373\n3,9654,2020-12-18 21:19:48.093\n",
        |_| {},
        &["3: 9654 9655"],
    ),
    (
        "RecBole",
        "session_id:token\titem_id:token\ttimestamp:float\n1\t7\t1710897534.5\n1\t8\t1710897534.25\n",
        |_| {},
        &["1: 8 7"],
    ),
    (
        "Gorse",
        "feedback_type,user_id,item_id,time_stamp\nread,1,\"29\",2024-03-20 01:18:54 +0000 UTC\nread,1,\"34\",2024-03-20 01:21:54 +0000 UTC\n",
        half_an_hour,
        &["1/1: 29 34"],
    ),
    (
        "GA4 from BigQuery",
        "{\"event_timestamp\":\"1710897534000000\",\"event_name\":\"view_item\",\"user_pseudo_id\":\"a.1\",\"event_params\":[{\"key\":\"ga_session_id\",\"value\":{\"int_value\":\"7\"}}],\"items\":[{\"item_id\":\"x\"}]}\n{\"event_timestamp\":\"1710897535000000\",\"event_name\":\"view_item\",\"user_pseudo_id\":\"b.1\",\"event_params\":[{\"key\":\"ga_session_id\",\"value\":{\"int_value\":\"7\"}}],\"items\":[{\"item_id\":\"y\"}]}\n",
        |options| options.conditions = vec!["event_name=view_item".parse().unwrap()],
        &["a.1/7: x", "b.1/7: y"],
    ),
    (
        "Segment",
        "anonymous_id,received_at,original_timestamp,event,context_session_id,properties_product_id\n6,2024-03-20T01:18:59Z,2024-03-20T01:18:54Z,Product Viewed,140,29\n6,2024-03-20T01:18:58Z,2024-03-20T01:21:54Z,Product Viewed,140,34\n",
        |_| {},
        &["140: 29 34"],
    ),
    (
        "Snowplow",
        "domain_userid\tdomain_sessionid\tderived_tstamp\tproduct_sku\nu\ts1\t2024-03-20 01:18:54.123\tA\nu\ts1\t2024-03-20 01:18:55.123\tB\n",
        |_| {},
        &["s1: A B"],
    ),
    (
        "Snowplow's session index",
        "domain_userid,domain_sessionidx,derived_tstamp,product_sku\nu,1,2024-03-20 01:18:54.123,A\nv,1,2024-03-20 01:18:55.123,B\n",
        |_| {},
        &["u/1: A", "v/1: B"],
    ),
    (
        "Matomo",
        "idVisitor,idVisit,serverTimePretty,productSku\nv1,9,\"Mar 20, 2024 01:18:54\",A\nv1,9,\"Mar 20, 2024 01:19:54\",B\n",
        |_| {},
        &["9: A B"],
    ),
    (
        "Excel in German",
        "sep=;\nSession;Artikel;Zeitpunkt\n1;29;20.03.2024 01:18:54\n1;34;20.03.2024 01:17:54\n",
        |_| {},
        &["1: 34 29"],
    ),
    (
        "days and times of day",
        "session,item,date,time\n1,7,2024-03-20,10:00:01\n1,8,2024-03-20,09:59:59\n",
        |_| {},
        &["1: 8 7"],
    ),
    (
        "local times",
        "session,item,time\n1,7,2024-03-31 03:30:00\n1,8,2024-03-31 01:30:00\n",
        |options| options.timezone = Some("Europe/Berlin".into()),
        &["1: 8 7"],
    ),
    (
        "a row a session",
        "item_ids,timestamp\n\"[29, 34, 29]\",1710897534\n\"[7]\",1710897535\n",
        |options| options.item_column = Some("item_ids".into()),
        &["1: 29 34 29", "2: 7"],
    ),
    ("no header", "a b 1710897534\na c 1710897535\n", |_| {}, &["a: b c"]),
    (
        "a preamble, trailing delimiters and a header inside",
        "# shop\n# 2024\nsession,item,time,\n1,2,1710897534,\nsession,item,time,\n1,3,1710897535,\n",
        |_| {},
        &["1: 2 3"],
    ),
    (
        "a nested array of events",
        "[{\"session\":{\"id\":\"a\"},\"events\":[{\"sku\":\"x\",\"ts\":1710897534}]}]",
        |options| options.session_column = vec!["session.id".into()],
        &["a: x"],
    ),
];

#[test]
fn the_form_of_each_public_data_set_is_read() {
    for (name, file, change, expected) in FORMS {
        let found = sessions(&[file], change).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn ids_that_begin_again_in_every_file_are_told_apart_on_request() {
    let (monday, tuesday) = ("session,item,time\n1,a,1710897534\n", "session,item,time\n1,b,1710983934\n");
    assert_eq!(sessions(&[monday, tuesday], |_| {}).unwrap(), ["1: a b"]);
    let apart = sessions(&[monday, tuesday], |options| options.sessions_per_file = true).unwrap();
    assert_eq!(apart, ["1/1: a", "2/1: b"]);
}

#[test]
fn several_columns_are_a_key_together() {
    let text = "shop,visit,client_id,item,time\n1,7,c,a,1710897534\n2,7,c,b,1710897535\n1,7,c,d,1710897536\n1,7,e,f,1710897537\n";
    let two =
        sessions(&[text], |options| options.session_column = vec!["shop".into(), "visit".into()]).unwrap();
    assert_eq!(two, ["1/7: a d f", "2/7: b"]);
    let three = sessions(&[text], |options| {
        options.session_column = vec!["shop".into(), "visit".into()];
        options.user_column = Some("client_id".into());
    });
    assert_eq!(three.unwrap(), ["c/1/7: a d", "c/2/7: b", "e/1/7: f"]);
}
