//! Tests of the page at `/`: its files are served without a key and refer to nothing else.

use crate::shop::{Shop, keys};

const PARTS: [(&str, &str); 7] = [
    ("/", "text/html; charset=utf-8"),
    ("/assets/page.css", "text/css; charset=utf-8"),
    ("/assets/page.js", "text/javascript; charset=utf-8"),
    ("/assets/lists.js", "text/javascript; charset=utf-8"),
    ("/assets/filters.js", "text/javascript; charset=utf-8"),
    ("/assets/replay.js", "text/javascript; charset=utf-8"),
    ("/assets/icon.svg", "image/svg+xml"),
];

#[test]
fn every_part_is_served_without_a_key_and_under_a_strict_policy() {
    let shop = Shop::with(|_, setup| setup.keys = keys());
    let mut client = shop.client();
    for (path, kind) in PARTS {
        let part = client.get(path);
        assert_eq!((part.status, part.header("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
        let policy = part.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for loose in ["unsafe", "http", "data:", "*"] {
            assert!(!policy.contains(loose), "{policy}");
        }
    }
    for path in ["/assets/", "/assets/page.html", "/assets/..%2fmod.rs", "/assets/%ff"] {
        client.get(path).problem(404);
    }
    let refused = client.send("POST", "/", Some(b"{}"));
    refused.problem(405);
}

#[test]
fn pictures_of_other_servers_are_allowed_only_where_the_catalogue_has_some() {
    for (column, url, allowed) in [
        ("image", "https://shop/1.png", true),
        ("Picture", "http://shop/1.png", true),
        ("image", "data:image/png", false),
        ("logo", "https://shop/1.png", false),
    ] {
        let shop = Shop::with(|place, setup| {
            let file = place.join("titles.csv");
            std::fs::write(&file, format!("item_id,title,{column}\ncup,Cup,{url}\n")).unwrap();
            setup.config.catalogue_file = Some(file);
        });
        let mut client = shop.client();
        let page = client.get("/");
        let policy = page.header("content-security-policy").unwrap();
        assert_eq!(policy.contains("img-src 'self' https: http:;"), allowed, "{column} {url}: {policy}");
        assert!(policy.contains("script-src 'self';") && policy.contains("trusted-types 'none'"), "{policy}");
        let cup = client.get("/v1/items?query=cup").json(200)["items"][0].clone();
        assert_eq!(cup["image"].as_str(), allowed.then_some(url), "{cup}");
        assert_eq!(cup["details"].is_null(), allowed, "{cup}");
    }
}

#[test]
fn no_part_refers_to_another_host_or_makes_markup_of_text() {
    let shop = Shop::open();
    let mut client = shop.client();
    for (path, _) in PARTS {
        let part = client.get(path);
        // An XML namespace looks like an address, but is never requested.
        let text = part.text().replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "\"//",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
    // No inline scripts and styles, which the policy would block.
    let page = client.get("/");
    for inline in ["<style", "style=", "onclick", "javascript:"] {
        assert!(!page.text().contains(inline), "{inline}");
    }
    for asset in page.text().split("/assets/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(PARTS.iter().any(|(path, _)| path.ends_with(asset)), "{asset}");
    }
}
