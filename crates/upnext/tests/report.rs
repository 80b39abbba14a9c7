//! Tests of the reports in a real browser: they are complete, load no other files, and fit on a phone.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod browser;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use browser::{browse, chromium, png_size};
use program::{Folder, done, upnext};
use std::path::{Path, PathBuf};

/// A report on a small shop in which an id contains markup.
fn report(folder: &Folder) -> PathBuf {
    let log = folder.shop("clicks.csv", 600, 60, 1);
    let text = std::fs::read_to_string(&log).unwrap();
    let most: &str = text.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    let hostile = text.replace(&format!(",{most},"), ",<img src=x onerror=console.error(1)>&\"',");
    let log = folder.file("hostile.csv", hostile);
    let (parts, page) = (folder.path("parts"), folder.path("report.html"));
    done(upnext().arg("prepare").arg(log).arg("--out").arg(&parts));
    let mut command = upnext();
    let models = "pop,s-pop,gru4rec,markov,ar,sr,item-knn";
    command.arg("compare").arg(&parts).args(["--models", models, "--epochs", "2", "--quiet"]);
    program::set(&mut command, &["model.layers=12", "training.batch_size=8", "training.samples=24"]);
    // The title of the item whose id is markup is markup, too.
    let titles = folder.file(
        "titles.csv",
        "id,title\n\"<img src=x onerror=console.error(1)>&\"\"'\",<script>alert(1)</script>\n",
    );
    done(command.arg("--report").arg(&page).arg("--catalogue").arg(titles));
    page
}

/// The URL of a file.
fn address(page: &Path) -> String {
    format!("file://{}", page.display())
}

/// The DOM of a page; checks that it contains these parts, refers to no other files and writes nothing to the console.
fn whole_and_silent(browser: &Path, folder: &Folder, page: &Path, parts: &[&str]) -> String {
    let output = browse(browser, &folder.path("profile"), &["--dump-dom"], &address(page));
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in parts {
        assert!(dom.contains(&format!("<section id=\"{part}\">")), "no part `{part}`");
    }
    assert_eq!(dom.matches("<script").count(), 1, "the script of the page alone");
    let (page, script) = dom.split_once("<script>").unwrap();
    let dom = format!("{page}{}", script.split_once("</script>").unwrap().1);
    assert!(!dom.contains("NaN"));
    for reference in ["<link", "src=\"", "url(", "@import", "href="] {
        assert!(!dom.contains(reference), "the page refers to something: {reference}");
    }
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("CONSOLE"), "the page says something to the console: {log}");
    dom
}

#[test]
fn report_is_whole_and_silent_in_a_browser_and_asks_for_nothing() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    let page = report(&folder);
    let parts = [
        "table",
        "differences",
        "cutoffs",
        "groups",
        "coverage",
        "time",
        "training",
        "examples",
        "data",
        "rows",
    ];
    let dom = whole_and_silent(&browser, &folder, &page, &parts);
    assert!(dom.matches("<polyline").count() > 3 * 9, "lines are missing");
    assert!(dom.contains("&lt;img src=x") && !dom.contains("<img"), "an id became markup");
    assert!(dom.contains("&lt;script&gt;alert"), "the title is not shown");
}

#[cfg(unix)]
#[test]
fn clicks_on_headings_sort_a_table_and_clicks_on_boxes_show_models() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    let page = report(&folder);
    let mut tab = browser::Tab::open(&browser, &folder.path("profile"), &address(&page), 1300);
    // The sixth column is the coverage: the first click puts the largest first, the second the smallest.
    let column = "[...document.querySelectorAll('#table table.figures')[0].tBodies[0].rows].map(row => parseFloat(row.cells[4].textContent))";
    let numbers = |tab: &mut browser::Tab| -> Vec<f64> {
        tab.value(column).as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let before = numbers(&mut tab);
    tab.click("#table table.figures th:nth-child(5) button");
    let down = numbers(&mut tab);
    assert!(down.is_sorted_by(|a, b| a >= b) && !before.is_sorted_by(|a, b| a >= b), "{before:?} {down:?}");
    tab.click("#table table.figures th:nth-child(5) button");
    assert!(numbers(&mut tab).is_sorted());
    assert_eq!(tab.value("document.querySelector('#table th[aria-sort]').ariaSort"), "ascending");
    tab.click("#table table.figures th:first-child button");
    assert_eq!(tab.text("#table table.figures tbody th"), "ar");

    // Five of the seven models are shown; the last two after a click on their boxes.
    let shown = "[...document.querySelectorAll('#cutoffs figure:first-child svg > g')].filter(g => getComputedStyle(g).display !== 'none').length";
    assert_eq!(tab.value(shown), 5);
    tab.click(".legend label:last-of-type");
    assert_eq!(tab.value(shown), 6);
    tab.click(".legend button:nth-last-child(2)");
    assert_eq!(tab.value(shown), 7);
    // The names at the ends of the lines keep a line apart.
    let places = tab.value("[...document.querySelectorAll('#cutoffs figure:first-child text.name')].map(name => Number(name.getAttribute('y'))).sort((a, b) => a - b)");
    let places: Vec<f64> = places.as_array().unwrap().iter().map(|y| y.as_f64().unwrap()).collect();
    assert!(places.len() == 7 && places.windows(2).all(|pair| pair[1] - pair[0] > 11.9), "{places:?}");
    tab.assert_silent();
}

#[cfg(unix)]
#[test]
fn no_report_is_wider_than_a_phone() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    let mut pages = vec![report(&folder)];
    let out = folder.path("tuned");
    let mut command = upnext();
    command.arg("tune").arg(folder.path("parts")).arg("--out").arg(&out);
    command.args(["--trials", "3", "--epochs", "1", "--quiet"]);
    done(program::set(&mut command, &["model.layers=8", "training.samples=8"]));
    pages.push(out.join("report.html"));
    for page in pages {
        let mut tab = browser::Tab::open(&browser, &folder.path("profile"), &address(&page), 400);
        tab.assert_fits();
        tab.assert_silent();
    }
}

#[test]
fn report_of_a_reproduction_is_whole_and_silent_in_a_browser_and_asks_for_nothing() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    // The name of the log contains markup, and is displayed.
    let clicks = folder.challenge("<img src=x onerror=console.error(1)>.dat", 600, 60, 1);
    let page = folder.path("report.html");
    let mut command = upnext();
    command.args([
        "reproduce",
        "rsc15",
        "--settings",
        "pop,item-knn,rsc15-bpr-100",
        "--epochs",
        "2",
        "--quiet",
    ]);
    done(command.arg("--clicks").arg(clicks).arg("--out").arg(folder.path("out")).arg("--report").arg(&page));
    let parts = ["tables", "plot", "sizes", "parameters", "findings", "training", "rows"];
    let dom = whole_and_silent(&browser, &folder, &page, &parts);
    assert_eq!(dom.matches("class=\"diagonal\"").count(), 2);
    assert!(dom.contains("&lt;img src=x") && !dom.contains("<img"), "a name became markup");
}

#[test]
fn the_report_of_a_search_is_whole_and_silent_too() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    let (data, out) = (folder.prepared_shop(400), folder.path("tuned"));
    let mut command = upnext();
    command.arg("tune").arg(&data).arg("--out").arg(&out).args(["--trials", "5", "--epochs", "1", "--quiet"]);
    done(program::set(&mut command, &["model.layers=8", "training.samples=8"]));
    let parts = ["test", "best", "course", "importance", "points", "again"];
    let dom = whole_and_silent(&browser, &folder, &out.join("report.html"), &parts);
    assert!(dom.contains("class=\"parallel\"") && dom.matches("<polyline").count() > 5, "lines are missing");
}

#[test]
fn screenshots_of_the_report_are_neither_blank_nor_alike_in_the_dark() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium to look at the report with");
        return;
    };
    let folder = Folder::new();
    let page = report(&folder);
    let shot = |name: &str, more: &[&str]| {
        let file = folder.path(name);
        let screenshot = format!("--screenshot={}", file.display());
        let mut flags = vec![screenshot.as_str()];
        flags.extend(more);
        browse(&browser, &folder.path("profile"), &flags, &address(&page));
        file
    };
    let light = shot("light.png", &["--window-size=1200,900"]);
    let dark = shot("dark.png", &["--window-size=1200,900", "--blink-settings=preferredColorScheme=0"]);
    let phone = shot("phone.png", &["--window-size=500,900"]);
    assert_eq!((png_size(&light), png_size(&phone)), ((1200, 900), (500, 900)));
    let bytes = |file: &Path| std::fs::read(file).unwrap();
    // A blank page compresses to some 5 KB.
    assert!([&light, &dark, &phone].iter().all(|file| bytes(file).len() > 20_000));
    assert_ne!(bytes(&light), bytes(&dark));
}
