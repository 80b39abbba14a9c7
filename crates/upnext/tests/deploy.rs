//! The examples in `deploy/` start a server, and name only what it has.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod server;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use serde_json::Value;
use server::Served;
use shop::Shop;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use upnext_core::experiment::ModelKind;
use yaml_rust2::{Yaml, YamlLoader};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The configuration of a file with some environment variables, as `--show-config` prints it.
fn shown(config: &Path, variables: &[(&str, &str)]) -> toml::Table {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
    let output = command
        .args(["serve", "--show-config", "--config"])
        .arg(config)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shop::stderr(&output));
    assert_eq!(shop::stderr(&output), "", "no warning");
    shop::stdout(&output).parse().unwrap()
}

fn number(config: &toml::Table, field: &str) -> i64 {
    config[field].as_integer().unwrap()
}

/// The metrics in an expression of Prometheus.
fn metrics_in(expression: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    words
        .filter(|word| word.starts_with("upnext_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_of_alerts_and_dashboard_exists() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let events = shop.path("events");
    let server = Served::start(&model, &["--event-log", events.to_str().unwrap(), "--impressions"]);
    server.ask("POST", "/v1/sessions/v/events", r#"{"item": "1"}"#).unwrap();
    let exposed = server.text("/metrics");
    let names: BTreeSet<&str> = exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let alerts = yaml("deploy/prometheus/alerts.yml");
    let rules = alerts[0]["groups"][0]["rules"].as_vec().unwrap();
    assert!(rules.len() > 10);
    for rule in rules {
        assert!(
            rule["alert"].as_str().is_some() && rule["annotations"]["summary"].as_str().is_some(),
            "{rule:?}"
        );
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{severity}");
    }
    let scraped = &yaml("deploy/prometheus/scrape.yml")[0]["scrape_configs"][0];
    assert_eq!(scraped["job_name"].as_str(), Some("upnext"));
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/upnext.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let expressions = expressions.chain(rules.iter().map(|rule| rule["expr"].as_str().unwrap()));
    let mut found = 0;
    for expression in expressions {
        let depth = |open, close| expression.matches(open).count() == expression.matches(close).count();
        assert!(depth('(', ')') && depth('{', '}') && depth('[', ']'), "{expression}");
        let metrics = metrics_in(expression);
        assert!(!metrics.is_empty() || expression.starts_with("up{"), "{expression}");
        for metric in metrics {
            // It is there with TLS only.
            let is_of_tls = metric == "upnext_certificate_expires_seconds";
            assert!(is_of_tls || names.contains(&*metric), "{metric} of {expression}");
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
    // What an operator may look for is in the documentation.
    let documented = text("docs/http.md");
    for name in names {
        let base = ["_total", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            name.starts_with("process_") || documented.contains(&format!("`{base}")),
            "docs/http.md lacks {base}"
        );
    }
}

#[test]
fn the_service_of_systemd_starts_with_its_configuration() {
    let unit = text("deploy/systemd/upnext.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    assert_eq!(value("ExecStart"), "/usr/local/bin/upnext serve --config /etc/upnext/upnext.toml");
    let variables = value("Environment");
    let variables: Vec<(&str, &str)> = variables.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let config = shown(&root().join("deploy/systemd/upnext.toml"), &variables);
    assert_eq!(config["keys_file"].as_str(), Some("%d/keys"));
    let stop_s: i64 = value("TimeoutStopSec").parse().unwrap();
    assert!(stop_s * 1_000 > number(&config, "drain_ms") + number(&config, "shutdown_timeout_ms"));
    // It writes only where it may.
    for field in ["session_file", "event_log_dir"] {
        assert!(config[field].as_str().unwrap().starts_with("/var/lib/upnext/"), "{field}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let unit = root().join("deploy/systemd/upnext.service");
        let output = Command::new("systemd-analyze").arg("verify").arg(unit).output().unwrap();
        let said = shop::stderr(&output);
        assert!(said.lines().all(|line| line.contains("is not executable")), "{said}");
    }
}

#[test]
fn the_pods_of_kubernetes_start_and_stop_as_their_configuration_says() {
    let documents = yaml("deploy/kubernetes/upnext.yaml");
    let of = |kind: &str| documents.iter().find(|document| document["kind"].as_str() == Some(kind)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("upnext.toml");
    std::fs::write(&file, of("ConfigMap")["data"]["upnext.toml"].as_str().unwrap()).unwrap();
    let pod = &of("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let variables: Vec<(String, String)> = container["env"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|variable| {
            let value = variable["value"].as_str().unwrap_or("redis://:secret@valkey:6379");
            (variable["name"].as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let config = shown(&file, &variables);
    assert_eq!(config["session_store"].as_str(), Some("redis://:***@valkey:6379"));
    let args: Vec<&str> =
        container["args"].as_vec().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert_eq!(args, ["serve", "--config", "/etc/upnext/upnext.toml"]);
    let port = |name: &str| {
        let ports = container["ports"].as_vec().unwrap();
        ports.iter().find(|port| port["name"].as_str() == Some(name)).unwrap()["containerPort"]
            .as_i64()
            .unwrap()
    };
    for (field, name) in [("listen", "http"), ("admin_listen", "admin")] {
        assert!(config[field].as_str().unwrap().ends_with(&format!(":{}", port(name))), "{field}");
    }
    for (probe, path) in
        [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((get["path"].as_str(), get["port"].as_str()), (Some(path), Some("admin")), "{probe}");
    }
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap() * 1_000;
    let drain = number(&config, "drain_ms");
    assert!(grace > drain + number(&config, "shutdown_timeout_ms"));
    let readiness = &container["readinessProbe"];
    let noticed =
        readiness["periodSeconds"].as_i64().unwrap() * readiness["failureThreshold"].as_i64().unwrap();
    assert!(drain > noticed * 1_000, "the pod leaves the service before it stops");
    assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false));
}

#[test]
fn the_image_serves_without_root_and_says_whether_it_is_ready() {
    let containerfile = text("Containerfile");
    for line in [
        "USER 65532:65532",
        "EXPOSE 8080",
        "ENV UPNEXT_LISTEN=0.0.0.0:8080",
        r#"CMD ["/usr/local/bin/upnext", "health"]"#,
    ] {
        assert!(containerfile.contains(line), "{line}");
    }
    // What the example in it does.
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let mut server = Command::new(env!("CARGO_BIN_EXE_upnext"));
    server.arg("serve").arg(&model).envs([
        ("UPNEXT_ALLOW_OPEN", "true"),
        ("UPNEXT_LISTEN", "0.0.0.0:0"),
        ("UPNEXT_DRAIN_MS", "0"),
    ]);
    let server = Served::started(server);
    let port = server.address.rsplit(':').next().unwrap();
    let health =
        |url: &str| Command::new(env!("CARGO_BIN_EXE_upnext")).args(["health", url]).output().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let ready = health(&url);
    assert_eq!((ready.status.code(), shop::stdout(&ready).as_str()), (Some(0), "{\"status\":\"ready\"}\n"));
    drop(server);
    let gone = health(&url);
    assert_eq!(gone.status.code(), Some(1));
    assert!(shop::stderr(&gone).contains("no server can be reached"), "{}", shop::stderr(&gone));
}
