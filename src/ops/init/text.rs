//! The project file's text.

use std::path::Path;

use super::routes::{Proxy, Route};

/// The file, with a line on what each part is for.
pub fn render(
    name: &str,
    compose: &[&Path],
    durable: &[String],
    proxy: &Proxy,
    credentials: &[String],
) -> String {
    let list = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    let mut out = format!("# Every key: docs/project-file.md\nname: {}\n", scalar(name));
    if !durable.is_empty() {
        let names = list(&mut durable.iter().map(|name| scalar(name)));
        out +=
            &format!("\n# Stays while the colors come and go.\ndurable:\n  services: [{names}]\n");
    }
    let files = list(&mut compose.iter().map(|path| scalar(&path.to_string_lossy())));
    out += &format!("\n# Two colors of it, blue and green.\napp:\n  compose: [{files}]\n");
    if *proxy != Proxy::default() {
        out += "\nproxy:\n";
        if let Some((blue, green)) = proxy.preview {
            out += &format!("  preview: {{ blue: {blue}, green: {green} }}\n");
        }
        if !proxy.routes.is_empty() {
            out += "  routes:\n";
            for one in &proxy.routes {
                out += &format!("    - {}\n", route(one));
            }
        }
    }
    if !credentials.is_empty() {
        let names = list(&mut credentials.iter().map(|name| scalar(name)));
        out += &format!(
            "\n# `envctl credentials` gives them random values.\ncredentials: [{names}]\n"
        );
    }
    out
}

fn route(route: &Route) -> String {
    let listen = match &route.host_ip {
        None => route.listen.to_string(),
        Some(address) if address.contains(':') => format!("\"[{address}]:{}\"", route.listen),
        Some(address) => format!("\"{address}:{}\"", route.listen),
    };
    let tcp = if route.tcp { ", tcp: true" } else { "" };
    let to = scalar(&format!("{}:{}", route.service, route.target));
    format!("{{ listen: {listen}{tcp}, to: {to} }}")
}

/// A text as YAML reads it back, and the project file's interpolation after it.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c))
        && !text.ends_with(':')
        && matches!(serde_yaml::from_str(text), Ok(serde_yaml::Value::String(_)))
        && !["yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    // A JSON text is a YAML text.
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_yaml_reads_otherwise_are_quoted() {
        for (text, written) in [
            ("shop", "shop"),
            ("docker/compose.yaml", "docker/compose.yaml"),
            ("web:80", "web:80"),
            ("123", "\"123\""),
            ("true", "\"true\""),
            ("no", "\"no\""),
            ("a b.yaml", "\"a b.yaml\""),
            ("$x.yaml", "\"$$x.yaml\""),
        ] {
            assert_eq!(scalar(text), written);
        }
    }
}
