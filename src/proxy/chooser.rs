//! Who asks for a color by name on a live port.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::share::cookies;
use crate::model::{Chooser as Names, Color};

/// Where a request may name its color.
#[derive(Debug)]
pub(super) struct Chooser {
    pub header: Option<HeaderName>,
    /// What answers vary by.
    pub vary: Option<HeaderValue>,
    cookie: Option<String>,
}

impl Chooser {
    pub fn new(names: &Names) -> Self {
        let header = names.header.as_ref().and_then(|name| HeaderName::try_from(name).ok());
        let vary = header.as_ref().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
        Self { header, vary, cookie: names.cookie.clone() }
    }

    /// The color that is asked for; what is none is as if it were not there.
    pub fn asked(&self, headers: &HeaderMap) -> Option<Color> {
        let header = self.header.as_ref().and_then(|name| headers.get(name));
        header.and_then(|value| color(value.as_bytes())).or_else(|| {
            let cookie = self.cookie.as_ref()?;
            cookies(headers, cookie).find_map(color)
        })
    }
}

fn color(text: &[u8]) -> Option<Color> {
    Color::ALL.into_iter().find(|color| color.as_str().as_bytes() == text.trim_ascii())
}
