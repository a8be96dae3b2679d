//! The demo in a real browser: register, order, see it arrive, while colors are switched.

use std::{fs, path::Path};

use crate::support::{Sandbox, browser::Browser};

#[test]
fn an_order_arrives_on_the_page_without_a_reload_before_and_after_a_switch() {
    let sandbox = Sandbox::demo();
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("test green");
    let browser = Browser::open(&sandbox);
    browser.go(&format!("http://localhost:{}/", sandbox.ports.get(0)));
    // Gone with a reload.
    browser.run("window.witness = true");

    let account = |action: &str| {
        browser.write("[name=email]", "ada@example.org");
        browser.write("[name=password]", "correct horse");
        browser.click(&format!("#login-form [value={action}]"));
        browser.until(
            "the hub is listened to",
            "document.querySelector('#line-hub').textContent == 'listening'",
        );
    };
    let order = |item: &str, color: &str| {
        browser.write("[name=item]", item);
        browser.click("#order-form button");
        let row = format!(
            "[...document.querySelectorAll('#orders tbody tr')].some((row) => \
             row.cells[1].textContent == '{item}' && row.cells[3].textContent == 'done' && \
             row.cells[4].textContent == '{color}' && row.cells[5].textContent == '{color}')"
        );
        browser.until(&format!("`{item}` arrives from {color}"), &row);
    };
    account("register");
    order("A box of pencils", "blue");

    let _ = sandbox.ok("switch green").says("green is live");
    let green = "document.querySelector('#line-http .chip')?.textContent == 'green'";
    browser.until("green answers", green);
    order("A bottle of ink", "green");

    // Out and in again, in another color.
    browser.click("#logout");
    browser.until("nobody is logged in", "!document.querySelector('#login-form').hidden");
    let _ = sandbox.ok("switch blue").says("blue is live");
    account("login");
    browser.until(
        "both orders are listed",
        "document.querySelectorAll('#orders tbody tr').length == 2",
    );
    order("Blotting paper", "blue");

    let picture = browser.picture();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("screenshot.png"), picture).unwrap();
    assert_eq!(browser.run("return window.witness"), true);
    let lost = browser.run("return document.querySelector('#lost').textContent");
    assert!(lost.as_str().unwrap().starts_with("0 of "), "{lost}");
    assert_eq!(browser.errors(), [""; 0]);
}
