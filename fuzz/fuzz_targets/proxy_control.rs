//! Any bytes as a line of the proxy's control, and as its kept state: what is read can be written and read again.
#![no_main]

use envctl::model::{
    Routing,
    control::{Answer, Line, Request},
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_vec(&value).expect("it came from JSON");
        assert_eq!(serde_json::from_slice::<T>(&text).expect("own words are read"), value);
    }
}

fuzz_target!(|bytes: &[u8]| {
    again::<Line<Request>>(bytes);
    again::<Line<Answer>>(bytes);
    again::<Routing>(bytes);
});
