//! Errors, warnings and hints as they read.

use super::style;

pub(super) fn warning(text: &str) -> String {
    format!("{} {}", style::warning_label(), style::literals(&style::clean(text)))
}

pub(super) fn hint(text: &str) -> String {
    format!("{} {}", style::hint_label(), style::literals(text))
}

pub(super) fn error(text: &str, causes: &[String], hints: &[String]) -> String {
    let mut out = format!("{} {}", style::error_label(), style::literals(&style::clean(text)));
    for cause in causes {
        let cause = style::literals(&style::clean(cause)).replace('\n', "\n    ");
        out.push_str(&format!("\n  caused by: {cause}"));
    }
    for text in hints {
        out.push_str(&format!("\n{}", hint(text)));
    }
    out
}

/// What lies under an error, without what its own text says already.
pub fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = vec![];
    let mut under = error.source();
    while let Some(error) = under {
        let text = error.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
            said = text;
        }
        under = error.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_leave_out_what_was_said() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: &'static str,
            source: Option<Box<Layer>>,
        }
        let bottom = Layer { text: "refused", source: None };
        let middle = Layer { text: "no engine", source: Some(Box::new(bottom)) };
        let top = Layer { text: "deploy: no engine", source: Some(Box::new(middle)) };
        assert_eq!(causes(&top), ["refused"]);
    }
}
