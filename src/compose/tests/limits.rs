//! Files made to hurt are refused soon. The bound is wide: machines are busy.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::Folder;

fn refused_soon(text: &str, part: &str) {
    let start = Instant::now();
    let shown = Folder::problems_of(text);
    assert!(shown.contains(part), "{}", shown.chars().take(500).collect::<String>());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn aliases_do_not_grow_a_file_without_end() {
    let mut text = "x-0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let list = [before.as_str(); 9].join(", ");
        let _ = writeln!(text, "x-{level}: &a{level} [{list}]");
    }
    refused_soon(&text, "aliases make the file too large");
    refused_soon("x: &a [*a]\n", "the alias is inside of what it stands for");
    refused_soon("x: &a { <<: *a }\n", "the alias is inside of what it stands for");
}

#[test]
fn nesting_has_an_end() {
    refused_soon(&"[".repeat(5000), "compose.yaml");
    refused_soon(&"- ".repeat(5000), "nested deeper");
    let braces = "{a: ".repeat(5000);
    refused_soon(&format!("x: {braces}"), "nested deeper");
    refused_soon(&format!("x: {}1{}", "[".repeat(5000), "]".repeat(5000)), "recursion limit");
    refused_soon(&"? ".repeat(5000), "compose.yaml");
    // Each level is a space further in: as many as the size of a file allows.
    let mut deep = String::new();
    for level in 0..2500 {
        let _ = writeln!(deep, "{:level$}a:", "");
    }
    refused_soon(&deep, "nested deeper");
}

#[test]
fn a_file_of_megabytes_and_a_template_without_end_are_refused() {
    refused_soon(&"k".repeat(10 << 20), "is larger than 4 MiB");
    refused_soon(&format!("{}: 1\n", "k".repeat(3 << 20)), "compose.yaml");
    let nested = "${A:-".repeat(100_000);
    refused_soon(&format!("services: {{a: {{image: '{nested}'}}}}\n"), "not a valid interpolation");
}

#[test]
fn many_values_and_many_mistakes_are_no_endless_work() {
    refused_soon(&format!("x: [{}]", "a,".repeat(1_000_000)), "more than");
    let mut text = "x:\n".to_owned();
    for index in 0..50_000 {
        let _ = writeln!(text, "- $A{index} ${{");
    }
    refused_soon(&text, "further problems");
}

#[test]
fn circles_of_files_and_services_are_refused() {
    let folder = Folder::new(&[
        ("a.yaml", "include: [b.yaml]\nservices: {}\n"),
        ("b.yaml", "include: [a.yaml]\nservices: {}\n"),
        ("c.yaml", "services: {x: {image: i, extends: {file: d.yaml, service: x}}}\n"),
        ("d.yaml", "services: {x: {image: i, extends: {file: c.yaml, service: x}}}\n"),
    ]);
    let shown = folder.shorten(&folder.load(&["a.yaml"]).unwrap_err());
    assert!(shown.contains("files include each other"), "{shown}");
    let shown = folder.shorten(&folder.load(&["c.yaml"]).unwrap_err());
    assert!(shown.contains("services extend each other"), "{shown}");
    refused_soon("include: [compose.yaml]\nservices: {}\n", "files include each other");
    refused_soon("services: {x: {image: i, extends: x}}\n", "services extend each other");
    let mut chain = "services:\n  s0: {image: i}\n".to_owned();
    for index in 1..2000 {
        let _ = writeln!(chain, "  s{index}: {{extends: s{}}}", index - 1);
    }
    refused_soon(&chain, "services extend each other");
}

#[test]
fn five_hundred_services_load_soon() {
    let folder = Folder::new(&[]);
    let mut names = vec![];
    for file in 0..50 {
        let mut text = "services:\n".to_owned();
        for service in 0..10 {
            let _ = writeln!(
                text,
                "  s{file}-{service}:\n    image: i\n    environment: {{A: 1, B: \"$X\"}}\n    \
                 ports: [\"{}:80\"]\n    extends: s0-base\n    volumes: [./a:/a]",
                10_000 + file * 10 + service
            );
        }
        text.push_str("  s0-base: {image: base, restart: always}\n");
        let name = format!("{file}.yaml");
        folder.write(&name, &text);
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = Instant::now();
    let project = folder.load_with(&names, &[("X", "y")], &[]).unwrap();
    assert_eq!(project.services.len(), 501);
    println!("500 services in 50 files: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10));
}
