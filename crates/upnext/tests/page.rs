//! Tests of the page of `upnext serve` in a real browser, with unusual ids and titles.

#[allow(dead_code, reason = "each test file uses a part of it")]
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
    assert!(dom.contains("are in both lists") && dom.contains("in the server"), "{dom}");
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

#[cfg(unix)]
fn open(browser: &Path, shop: &Shop, server: &Served, width: u32) -> browser::Tab {
    let address = format!("http://{}/", server.address);
    let mut tab = browser::Tab::open(browser, &shop.path("profile"), &address, width);
    tab.until("document.querySelectorAll('.column .list li').length > 0");
    tab
}

#[cfg(unix)]
#[test]
fn a_test_session_is_replayed_click_by_click_and_the_next_click_is_marked() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    // The second click is the third item of the list after the first; its title is markup.
    let (path, model) = shop.train(ModelKind::Markov);
    let first = model.items().id(3).to_owned();
    let second = model.recommend(&[&first], 10).unwrap().items[2].id.clone();
    let log = "SessionId,ItemId,Time\n";
    let log = format!("{log}1,{first},1700000000\n1,{second},1700000001\n1,9999,1700000002\n");
    let log = shop.file("test.csv", log);
    let titles = shop.file("titles.csv", format!("item_id,title\n{second},<img src=x>\n"));
    let (log, titles) = (log.to_str().unwrap(), titles.to_str().unwrap());
    let server = Served::start(&path, &["--examples", log, "--catalogue", titles]);
    let mut tab = open(&browser, &shop, &server, 1300);
    let text_has = |text: &str| {
        format!(
            "document.getElementById('replayed-text').textContent.includes({text:?}) && !document.querySelector('.waiting')"
        )
    };
    assert_eq!(tab.value("document.getElementById('replayed').hidden"), true);
    tab.click("#replay");
    let next = "Test session 1 of 1, 1 of 3 clicks. Then the visitor clicked:<img src=x>";
    tab.until(&text_has(next));
    tab.until(
        "document.querySelector('.truth-rank').textContent === 'The visitor’s next click is number 3 here.'",
    );
    assert_eq!(tab.value("location.hash"), format!("#items={first}"));
    let marked =
        "[...document.querySelectorAll('.item.truth')].map(line => line.parentNode.dataset.id).join()";
    assert_eq!(tab.value(marked), second.as_str());
    assert!(tab.text(".item.truth small").contains("✓ the visitor’s next click"));
    tab.click("#forward");
    tab.until(&text_has("2 of 3 clicks. Then the visitor clicked:9999"));
    tab.until("document.querySelector('.truth-rank').textContent === 'The visitor’s next click is not in this list.'");
    assert_eq!(tab.value("location.hash"), format!("#items={first},{second}"));
    assert_eq!(tab.value(marked), "");
    // A click on another item leaves the visitor's path, and the button goes back to it.
    tab.click(".column .list li:first-child button");
    tab.until(&text_has("You left it"));
    tab.click("#forward");
    tab.until(&text_has("2 of 3 clicks"));
    tab.click("#forward");
    tab.until(&text_has("It ended after these 3 clicks"));
    assert_eq!(tab.value("document.getElementById('forward').hidden"), true);
    tab.click("#leave");
    tab.until("document.getElementById('replayed').hidden && document.querySelector('.truth-rank').hidden");
    tab.assert_silent();
}

#[cfg(unix)]
#[test]
fn the_page_filters_by_columns_and_words_and_says_when_nothing_matches() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Markov);
    let (one, two) = (model.items().id(3), model.items().id(4));
    let titles = format!("item_id,title,shelf\n{one},First,<b>A1</b>\n{two},Second,B7\n");
    let titles = shop.file("titles.csv", titles);
    let server = Served::start(&path, &["--catalogue", titles.to_str().unwrap()]);
    let mut tab = open(&browser, &shop, &server, 400);
    tab.assert_fits();
    assert_eq!(tab.text(".titles"), "#ItemEvents");
    assert_eq!(tab.text("#columns-to-filter label > span"), "shelf");
    tab.value(
        "(() => { const select = document.querySelector('#columns-to-filter select'); select.value = 'shelf=B7'; select.dispatchEvent(new Event('change')); })()",
    );
    tab.until("document.querySelector('.list').children.length === 1");
    assert_eq!(tab.value("document.querySelector('.list li').dataset.id"), two);
    assert_eq!(tab.text("#matches"), "1 item matches.");
    // The value stands after the name of its column.
    assert!(tab.text(".list .name small").contains("shelf: B7"));
    tab.click("#all");
    tab.until("document.querySelector('.list').children.length === 10");
    tab.click("#only");
    tab.type_text("no such words");
    tab.until("document.getElementById('matches').textContent === 'No item matches.'");
    tab.until("document.querySelector('.list').children.length === 0");
    tab.click("#search");
    tab.type_text("<b>nothing");
    tab.until("document.querySelector('#suggestions .none') !== null");
    assert!(tab.text("#suggestions .none").starts_with("No item matches “<b>nothing”."));
    tab.assert_fits();
    tab.assert_silent();
}

#[cfg(unix)]
#[test]
fn a_box_that_does_nothing_is_hidden_and_pictures_are_shown_if_the_catalogue_has_them() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the page with");
        return;
    };
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Markov);
    let server = Served::start(&path, &[]);
    let mut tab = open(&browser, &shop, &server, 1300);
    assert_eq!(tab.value("document.getElementById('why-box').hidden"), true);
    assert_eq!(tab.value("document.querySelectorAll('.picture').length"), 0);
    drop((tab, server));
    // A network has item vectors, so that the box has an effect.
    let server = serve(&shop, &[]);
    let mut tab = open(&browser, &shop, &server, 1300);
    assert_eq!(tab.value("document.getElementById('why-box').hidden"), false);
    drop(tab);
    // The icon of that server serves as a picture, so that no other host is asked.
    let icon = format!("http://{}/assets/icon.svg", server.address);
    let (one, two) = (model.items().id(3), model.items().id(4));
    let titles = format!("item_id,title,image\n{one},Mug,{icon}\n{two},Mug,javascript:alert(1)\n");
    let titles = shop.file("pictures.csv", titles);
    let with_pictures = Served::start(&path, &["--catalogue", titles.to_str().unwrap()]);
    let mut tab = open(&browser, &shop, &with_pictures, 1300);
    tab.value("document.getElementById('only').focus()");
    tab.type_text("mug");
    tab.until("document.querySelector('.list').children.length === 2 && document.querySelector('.list img')?.naturalWidth > 0");
    let ids = "[...document.querySelectorAll('.list li')].filter(line => line.querySelector('img')).map(line => line.dataset.id).join()";
    assert_eq!(tab.value(ids), one);
    assert_eq!(tab.value("document.querySelectorAll('.list .picture').length"), 2);
    tab.assert_silent();
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
    let limits = shop.file("limits.toml", "max_session_events = 2\nmax_item_id_bytes = 8\n");
    let server = serve(&shop, &["--keys", keys.to_str().unwrap()]);
    let output =
        browse(&browser, &shop.path("profile"), &["--dump-dom"], &format!("http://{}/", server.address));
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(!element(&dom, "key-form", ">").contains("hidden"), "{dom}");
    assert!(lists(&dom).is_empty());
    drop(server);
    let server = serve(&shop, &["--config", limits.to_str().unwrap()]);
    let address = format!("http://{}/#items=1,2,123456789", server.address);
    let output = browse(&browser, &shop.path("profile"), &["--dump-dom"], &address);
    let dom = String::from_utf8(output.stdout).unwrap();
    let problem = element(&dom, "problem", "</p>");
    assert!(
        !problem.contains("hidden") && problem.contains("session[2]: the item's id has 9 bytes"),
        "{problem}"
    );
    let dom = look(&browser, &shop, &server, "#items=1,2,3");
    assert!(element(&dom, "problem", ">").contains("hidden"), "{dom}");
    assert_eq!(dom.matches("1 older event of the session was left out.").count(), 2, "{dom}");
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
