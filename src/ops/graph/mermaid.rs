//! The graph as Mermaid: <https://mermaid.js.org/syntax/flowchart.html>.

use std::fmt::Write as _;

use super::{Graph, Kind};

impl Graph {
    /// A flowchart, for a Markdown page.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart TB\n  clients([clients])\n".to_owned();
        for (number, group) in self.groups.iter().enumerate() {
            let _ = writeln!(text, "  subgraph group{number}[\"{}\"]", quoted(&group.title));
            for one in &group.boxes {
                let (title, detail) = (quoted(&one.title), quoted(&one.detail));
                // A database is drawn as one.
                let (open, close) =
                    if group.kind == Kind::Durable { ("[(", ")]") } else { ("[", "]") };
                let _ = writeln!(
                    text,
                    "    {}{open}\"{title}<br><small>{detail}</small>\"{close}",
                    one.id
                );
            }
            text.push_str("  end\n");
            if group.kind == Kind::Proxy {
                for one in &group.boxes {
                    let _ = writeln!(text, "  clients --> {}", one.id);
                }
            }
        }
        for line in &self.lines {
            let arrow = if line.live { "-->" } else { "-.->" };
            let label = match line.label.as_str() {
                "" => String::new(),
                label => format!("|\"{}\"|", quoted(label)),
            };
            let _ = writeln!(text, "  {} {arrow}{label} {}", line.from, line.to);
        }
        text
    }
}

fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
