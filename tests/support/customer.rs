//! A customer of the demo.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    http::{self, Answer},
    wait,
};

const PASSWORD: &str = "correct horse";
const STORED: Duration = Duration::from_secs(60);

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Customer {
    pub email: String,
    pub token: String,
}

/// An item and the color that took the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered(pub String, pub String);

impl PartialEq<(&str, &str)> for Ordered {
    fn eq(&self, other: &(&str, &str)) -> bool {
        (self.0.as_str(), self.1.as_str()) == *other
    }
}

impl Customer {
    #[track_caller]
    pub fn register(port: u16, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let _ = http::post(port, "/api/auth/register", None, &account(&email)).status(201);
        Self::log_in(port, &email)
    }

    #[track_caller]
    pub fn log_in(port: u16, email: &str) -> Self {
        let session = http::post(port, "/api/auth/login", None, &account(email)).status(200).json();
        Self { email: email.to_owned(), token: session["token"].as_str().unwrap().to_owned() }
    }

    /// Orders two of an item; the order's key.
    #[track_caller]
    pub fn order(&self, port: u16, item: &str) -> String {
        let answer = http::post(port, "/api/orders", Some(&self.token), &order(item)).status(202);
        key(&answer)
    }

    pub fn get(&self, port: u16, path: &str) -> Answer {
        self.send(port, "GET", path)
    }

    pub fn send(&self, port: u16, method: &str, path: &str) -> Answer {
        http::send(port, method, path, &[("Authorization", &self.bearer())], b"")
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// The orders that are stored, oldest first.
    #[track_caller]
    pub fn orders(&self, port: u16) -> Vec<Ordered> {
        let list = self.get(port, "/api/orders").status(200).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let orders = list["orders"].as_array().unwrap().iter();
        orders.rev().map(|order| Ordered(text(&order["item"]), text(&order["color"]))).collect()
    }

    /// Waits until these, and no others, are stored.
    #[track_caller]
    pub fn until_orders(&self, port: u16, expected: &[(&str, &str)]) {
        wait::until_true(STORED, &format!("{expected:?} of {}", self.email), || {
            self.orders(port) == expected
        });
    }
}

/// An order's JSON.
pub fn order(item: &str) -> Value {
    json!({ "item": item, "quantity": 2 })
}

/// The key of the order that an answer is about.
#[track_caller]
pub fn key(answer: &Answer) -> String {
    answer.json()["order"]["key"].as_str().unwrap_or_else(|| panic!("no key: {answer}")).to_owned()
}

fn account(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD })
}
