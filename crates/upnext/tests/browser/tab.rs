//! A page that a test clicks through: the browser is driven by its debugging protocol over a pipe.

use super::FLAGS;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Tab {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    /// What the page has written to the console, and what its policy has refused.
    said: Vec<String>,
}

impl Tab {
    /// Opens a page in a window of this width.
    pub(crate) fn open(browser: &Path, profile: &Path, address: &str, width: u32) -> Self {
        // The protocol uses descriptors 3 and 4, which the shell makes of the pipes.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            .arg(browser)
            .args(FLAGS)
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut tab = Self { child, to, from, session: None, calls: 0, said: Vec::new() };
        let target = tab.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = tab.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        tab.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.call(domain, json!({}));
        }
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        tab.call("Emulation.setDeviceMetricsOverride", size);
        tab.call("Page.navigate", json!({"url": address}));
        tab.until("location.href !== 'about:blank' && document.readyState === 'complete'");
        tab
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            let event = answer["method"].as_str().unwrap_or_default();
            if ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"].contains(&event) {
                self.said.push(answer["params"].to_string());
            }
        }
    }

    /// The value of a JavaScript expression.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.textContent", json!(selector)));
        text.as_str().unwrap_or_else(|| panic!("no element {selector}")).to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            assert!(begun.elapsed() < Duration::from_secs(30), "never true: {expression}; {:?}", self.said);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the mouse on the middle of the element that a selector finds, as a reader does: when it has come to rest, since
    /// lines of lists glide to their places.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let find = format!(
            "(async () => {{ const element = document.querySelector({}); element.scrollIntoView({{block: 'center'}}); \
             await Promise.allSettled(document.getAnimations().map(animation => animation.finished)); \
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2, box.width]; }})()",
            json!(selector)
        );
        let place = self.value(&find);
        assert!(place[2].as_f64() > Some(0.0), "{selector} cannot be seen");
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types text into the focused element.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Checks that the page has not written to the console.
    #[track_caller]
    pub(crate) fn assert_silent(&mut self) {
        self.value("0");
        assert!(self.said.is_empty(), "{:?}", self.said);
    }

    /// Checks that the page is no wider than its window.
    #[track_caller]
    pub(crate) fn assert_fits(&mut self) {
        let widths = self.value("[document.documentElement.scrollWidth, innerWidth]");
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "the page is wider than the window: {widths}");
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
