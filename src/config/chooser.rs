//! `proxy.override`: where a request may name the color that it wants.

use http::HeaderName;
use serde::Deserialize;

use crate::model::Chooser;

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct ChooserFile(pub Chooser);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    header: Option<String>,
    cookie: Option<String>,
}

impl TryFrom<Written> for ChooserFile {
    type Error = String;

    fn try_from(Written { header, cookie }: Written) -> Result<Self, String> {
        if header.is_none() && cookie.is_none() {
            return Err("one of `header` and `cookie` is needed".to_owned());
        }
        let is_own = |name: &String| {
            let own = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
            own && HeaderName::try_from(name).is_ok()
        };
        // Others mean something to services and to the proxy itself.
        if let Some(name) = header.as_ref().filter(|name| !is_own(name)) {
            return Err(format!("`{name}` is no header such as X-Envctl-Color"));
        }
        // A cookie's name is a token, as a header's is (RFC 6265, 4.1.1); the share of a canary has one of its own.
        let taken = |name: &String| name == "envctl-color" || HeaderName::try_from(name).is_err();
        if let Some(name) = cookie.as_ref().filter(|name| taken(name)) {
            return Err(format!("`{name}` cannot be the name of this cookie"));
        }
        Ok(Self(Chooser { header, cookie }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_something_else_is_refused() {
        let read = |text: &str| serde_yaml::from_str::<ChooserFile>(text).map(|it| it.0);
        let both = read("{ header: X-Envctl-Color, cookie: preview }").unwrap();
        assert_eq!(both.header.as_deref(), Some("X-Envctl-Color"));
        assert_eq!(both.cookie.as_deref(), Some("preview"));
        for (wrong, reason) in [
            ("{}", "one of `header` and `cookie`"),
            ("{ header: Host }", "`Host` is no header"),
            ("{ header: \"X-A b\" }", "is no header"),
            ("{ cookie: envctl-color }", "cannot be the name"),
            ("{ cookie: \"a=b\" }", "cannot be the name"),
            ("{ query: color }", "unknown field `query`"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(reason), "{wrong}: {error}");
        }
    }
}
