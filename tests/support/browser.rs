//! A real browser in a container, driven over HTTP as the W3C's web driver says.

use std::{path::Path, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Sandbox, engine, http, program};

const IMAGE: &str = "envctl-test/browser";
/// The key under which a web driver gives an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the sandbox's ports, beyond those of routes and previews.
const PORT: u16 = 35;

/// A window. The container goes with the sandbox.
pub struct Browser {
    port: u16,
    session: String,
}

impl Browser {
    pub fn open(sandbox: &Sandbox) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/browser");
        let base = format!("BASE_IMAGE={}", engine::base());
        let mut build = Command::new("docker");
        build.args(["build", "--quiet", "--tag", IMAGE, "--build-arg", &base]).arg(folder);
        let _ = program::run(&mut build).ok();
        let port = sandbox.ports.get(PORT);
        let mut run = Command::new("docker");
        // Its own network would not have the host's `localhost`, for which the demo's pages are.
        run.args(["run", "--detach", "--network", "host", "--init", "--shm-size", "512m"]);
        run.args(sandbox.mark().split_whitespace());
        let _ = program::run(run.args([IMAGE, &format!("--port={port}")])).ok();
        let _ = http::wait_for(port, "/status", PATIENCE);
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1120,900"],
        });
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let opened = http::post(port, "/session", None, &capabilities).status(200).json();
        let session = opened["value"]["sessionId"].as_str().unwrap().to_owned();
        Self { port, session }
    }

    #[track_caller]
    fn ask(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        http::post(self.port, &path, None, body).status(200).json()["value"].take()
    }

    #[track_caller]
    pub fn go(&self, url: &str) {
        self.ask("url", &json!({ "url": url }));
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let found = self.ask("element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn write(&self, css: &str, text: &str) {
        self.ask(&format!("element/{}/value", self.element(css)), &json!({ "text": text }));
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        self.ask(&format!("element/{}/click", self.element(css)), &json!({}));
    }

    /// What a script of the page returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression of the page is true.
    #[track_caller]
    pub fn until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression})");
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.run(&script) != true {
            if std::time::Instant::now() > deadline {
                let page = self.run("return document.body.innerText");
                panic!("waited in vain: {what}\n{page}\n{:#?}", self.errors());
            }
        }
    }

    /// What the console has of errors and warnings since it was last asked.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let log = self.ask("se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter();
        let bad = lines.filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING");
        bad.map(|line| line["message"].to_string()).collect()
    }

    /// A picture of the window, PNG.
    #[track_caller]
    pub fn picture(&self) -> Vec<u8> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = http::get(self.port, &path).status(200).json();
        BASE64_STANDARD.decode(picture["value"].as_str().unwrap()).unwrap()
    }
}
