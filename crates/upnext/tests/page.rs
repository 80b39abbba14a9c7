//! Tests of the page of `upnext serve` in a real browser, with unusual ids and titles.

mod browser;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod server;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use browser::{browse, chromium, png_size};
use server::Served;
use shop::{Shop, WITH_COMMA};
use std::path::Path;
use upnext_core::experiment::ModelKind;

/// A server with a network and a Markov model, and a title that contains markup.
fn serve(shop: &Shop, more: &[&str]) -> Served {
    let titles =
        "item_id,title,shelf\n1,<img src=x onerror=console.error(1)>,<b>A1</b>\n2,Second & 'last',B7\n";
    let titles = shop.file("titles.csv", titles);
    let ((model, _), (other, _)) = (shop.train(ModelKind::Gru4rec), shop.train(ModelKind::Markov));
    let (other, titles) = (other.to_str().unwrap(), titles.to_str().unwrap());
    Served::start(&model, &[&["--compare", other, "--catalogue", titles][..], more].concat())
}

/// The DOM of the page; checks that the page writes nothing to the console.
fn look(browser: &Path, shop: &Shop, server: &Served, fragment: &str) -> String {
    let address = format!("http://{}/{fragment}", server.address);
    let output = browse(browser, &shop.path("profile"), &["--dump-dom"], &address);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("CONSOLE"), "the page says something to the console: {log}");
    String::from_utf8(output.stdout).unwrap()
}

/// The element with this id, up to the first end tag of its kind.
fn element<'d>(dom: &'d str, id: &str, end: &str) -> &'d str {
    let (_, rest) = dom.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no `{id}` in {dom}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no end of `{id}`")).0
}

/// The item ids of each list on the page, in order.
fn lists(dom: &str) -> Vec<Vec<&str>> {
    dom.split("<ol class=\"list\" role=\"list\">")
        .skip(1)
        .map(|list| {
            let list = list.split("</ol>").next().unwrap_or_default();
            list.split("data-id=\"").skip(1).filter_map(|line| line.split('"').next()).collect()
        })
        .collect()
}

#[test]
fn the_page_shows_the_session_of_its_address_and_the_lists_of_both_models() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let dom = look(&browser, &shop, &server, "#items=1,2");
    let session = element(&dom, "chips", "</ol>");
    assert_eq!(session.matches("<li").count(), 2, "{session}");
    assert!(session.contains("Second &amp; 'last'") && session.contains("Remove Second"), "{session}");
    for (list, model) in lists(&dom).iter().zip(["gru4rec", "markov"]) {
        let body = format!(r#"{{"session": ["1", "2"], "k": 10, "model": "{model}"}}"#);
        let answer = server.ask("POST", "/v1/recommend", &body).unwrap();
        let entries = answer["recommendations"].as_array().unwrap();
        let expected: Vec<&str> = entries.iter().map(|entry| entry["item_id"].as_str().unwrap()).collect();
        // Ids without markup and quotes are unchanged in the DOM.
        assert_eq!(*list, expected, "{model}");
    }
    assert_eq!(lists(&dom).len(), 2);
    assert!(dom.contains("stand in both lists") && dom.contains("in the server"), "{dom}");
    assert!(dom.contains("&lt;img src=x onerror") && dom.contains("&lt;b&gt;A1"), "{dom}");
    assert!(!dom.contains("<img src=\"x\"") && !dom.contains("<b>A1"), "a title became markup");
    assert!(!dom.contains("NaN") && !dom.contains("undefined"), "{dom}");
    for attribute in ["src=\"", "href=\""] {
        for address in dom.split(attribute).skip(1) {
            assert!(address.starts_with("/assets/") || address.starts_with("/docs\""), "{address}");
        }
    }
    assert!(element(&dom, "problem", ">").contains("hidden"));
}

#[test]
fn ids_of_any_text_and_unknown_ones_are_shown_and_the_page_falls_back() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let dom = look(&browser, &shop, &server, "#items=cup%2C%20blue,%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    let session = element(&dom, "chips", "</ol>");
    assert!(session.contains(WITH_COMMA) && session.contains("&lt;script&gt;alert"), "{session}");
    assert_eq!(session.matches("unknown to the model").count(), 1);
    assert!(dom.contains("An item of the session is unknown to this model and was passed over."), "{dom}");
    let dom = look(&browser, &shop, &server, "#items=never%20seen");
    assert_eq!(dom.matches("these are the most popular items").count(), 2);
}

#[test]
fn the_page_asks_for_a_key_and_says_what_is_wrong_in_a_sentence() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let keys = shop.file("keys", "a-key-for-the-shop\n");
    let limits = shop.file("limits.toml", "max_session_events = 2\n");
    let server = serve(&shop, &["--keys", keys.to_str().unwrap()]);
    let output =
        browse(&browser, &shop.path("profile"), &["--dump-dom"], &format!("http://{}/", server.address));
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(!element(&dom, "key-form", ">").contains("hidden"), "{dom}");
    assert!(lists(&dom).is_empty());
    drop(server);
    let server = serve(&shop, &["--config", limits.to_str().unwrap()]);
    let address = format!("http://{}/#items=1,2,3", server.address);
    let output = browse(&browser, &shop.path("profile"), &["--dump-dom"], &address);
    let dom = String::from_utf8(output.stdout).unwrap();
    let problem = element(&dom, "problem", "</p>");
    assert!(
        !problem.contains("hidden") && problem.contains("session: 3 events: send the last 2"),
        "{problem}"
    );
}

#[test]
fn screenshots_of_the_page_are_neither_blank_nor_alike_in_the_dark() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let shot = |name: &str, more: &[&str]| {
        let file = shop.path(name);
        let screenshot = format!("--screenshot={}", file.display());
        let address = format!("http://{}/#items=1,2", server.address);
        browse(&browser, &shop.path("profile"), &[&[screenshot.as_str()][..], more].concat(), &address);
        (png_size(&file), std::fs::read(file).unwrap())
    };
    let light = shot("light.png", &["--window-size=1200,900"]);
    let dark = shot("dark.png", &["--window-size=1200,900", "--blink-settings=preferredColorScheme=0"]);
    let phone = shot("phone.png", &["--window-size=500,900"]);
    assert_eq!((light.0, phone.0), ((1200, 900), (500, 900)));
    // A blank page compresses to some 5 KB.
    assert!([&light, &dark, &phone].iter().all(|(_, bytes)| bytes.len() > 20_000));
    assert!(light.1 != dark.1, "the dark is not dark");
}
