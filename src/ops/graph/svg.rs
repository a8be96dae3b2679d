//! The graph as a picture: groups below each other, colors side by side, boxes in rows by what depends on what.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Graph, Group, Kind};

const BOX: (usize, usize) = (190, 44);
/// Between boxes, and between a group's border and its boxes.
const GAP: usize = 16;
/// Above a group's boxes, for its title.
const HEAD: usize = 26;
/// Between rows of groups, and between rows of boxes, where lines run.
const ROOM: usize = 56;

/// The boxes of a group by their numbers, row by row.
type Rows = Vec<Vec<usize>>;

/// Where a group is, and each of its boxes.
struct Placed<'a> {
    group: &'a Group,
    at: (usize, usize),
    size: (usize, usize),
    boxes: BTreeMap<&'a str, (usize, usize)>,
}

impl Graph {
    /// A picture of its own, without scripts or fonts from elsewhere.
    pub fn svg(&self) -> String {
        let mut rows: Vec<Vec<&Group>> = vec![];
        for group in &self.groups {
            let is_color = |kind| matches!(kind, Kind::Live | Kind::Idle);
            match rows.last_mut() {
                Some(row) if is_color(group.kind) && is_color(row[0].kind) => row.push(group),
                _ => rows.push(vec![group]),
            }
        }
        let sized: Vec<Vec<(&Group, Rows)>> = rows
            .iter()
            .map(|row| row.iter().map(|group| (*group, self.ranks(group))).collect())
            .collect();
        let widths = sized.iter().map(|row| {
            row.iter().map(|(_, ranks)| size(ranks).0).sum::<usize>() + (row.len() - 1) * GAP
        });
        let width = widths.max().unwrap_or(0).max(BOX.0) + 2 * GAP;
        let mut top = 36 + ROOM;
        let mut placed = vec![];
        for row in &sized {
            let wide = row.iter().map(|(_, ranks)| size(ranks).0 + GAP).sum::<usize>() - GAP;
            let mut left = (width - wide) / 2;
            let high = row.iter().map(|(_, ranks)| size(ranks).1).max().unwrap_or(0);
            for (group, ranks) in row {
                let size = (size(ranks).0, high);
                placed.push(place(group, ranks, (left, top), size));
                left += size.0 + GAP;
            }
            top += high + ROOM;
        }
        self.draw((width, top - ROOM + GAP), &placed)
    }

    /// The boxes of a group in rows: what others of the group depend on comes below them. At most four in a row.
    fn ranks(&self, group: &Group) -> Rows {
        let number = |id: &str| group.boxes.iter().position(|one| one.id == id);
        let lines: Vec<(usize, usize)> = self
            .lines
            .iter()
            .filter_map(|line| Some((number(&line.from)?, number(&line.to)?)))
            .collect();
        let mut ranks = vec![0; group.boxes.len()];
        // So often at most, whatever circles there are.
        for _ in 0..group.boxes.len() {
            for (from, to) in &lines {
                ranks[*to] = ranks[*to].max((ranks[*from] + 1).min(group.boxes.len() - 1));
            }
        }
        let deepest = ranks.iter().max().map_or(0, |rank| rank + 1);
        let rows =
            (0..deepest).map(|rank| (0..ranks.len()).filter(|one| ranks[*one] == rank).collect());
        rows.flat_map(|row: Vec<usize>| row.chunks(4).map(<[usize]>::to_vec).collect::<Vec<_>>())
            .collect()
    }

    fn draw(&self, (width, height): (usize, usize), placed: &[Placed<'_>]) -> String {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{0}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
             <path d=\"M0 0 8 4 0 8z\" fill=\"#555\"/></marker></defs>\n\
             <text x=\"{GAP}\" y=\"24\" font-weight=\"600\">{0}</text>\n",
            escaped(&self.title),
        );
        for one in placed {
            let (fill, line) = match one.group.kind {
                Kind::Proxy => ("#f3f0ff", "#7c5cc4"),
                Kind::Live => ("#e9f7ec", "#2f9e44"),
                Kind::Idle => ("#f4f4f5", "#8a8a93"),
                Kind::Durable => ("#fff4e0", "#d9822b"),
            };
            let ((x, y), (w, h)) = (one.at, one.size);
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"8\" fill=\"{fill}\" stroke=\"{line}\"/>\
                 <text x=\"{}\" y=\"{}\" fill=\"{line}\" font-weight=\"600\">{}</text>",
                x + GAP,
                y + 18,
                escaped(&one.group.title),
            );
        }
        let at: BTreeMap<&str, (usize, usize)> =
            placed.iter().flat_map(|one| one.boxes.iter().map(|(id, at)| (*id, *at))).collect();
        let ports = placed.iter().filter(|one| one.group.kind == Kind::Proxy);
        for (x, y) in ports.flat_map(|one| one.boxes.values()) {
            curve(&mut text, (width / 2, 58), (x + BOX.0 / 2, *y), true, "");
        }
        for line in &self.lines {
            if let (Some(from), Some(to)) = (at.get(line.from.as_str()), at.get(line.to.as_str())) {
                let (from, to) = ((from.0 + BOX.0 / 2, from.1 + BOX.1), (to.0 + BOX.0 / 2, to.1));
                curve(&mut text, from, to, line.live, &line.label);
            }
        }
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"52\" text-anchor=\"middle\" font-weight=\"600\">clients</text>",
            width / 2
        );
        for one in placed.iter().flat_map(|one| one.group.boxes.iter()) {
            let (x, y) = at[one.id.as_str()];
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#fff\" stroke=\"#555\"/>\
                 <text x=\"{2}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\
                 <text x=\"{2}\" y=\"{5}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#666\">{6}</text>",
                BOX.0,
                BOX.1,
                x + BOX.0 / 2,
                y + 19,
                escaped(&one.title),
                y + 35,
                escaped(&shortened(&one.detail)),
            );
        }
        text.push_str("</svg>\n");
        text
    }
}

fn size(ranks: &[Vec<usize>]) -> (usize, usize) {
    let most = ranks.iter().map(Vec::len).max().unwrap_or(0);
    let width = most * (BOX.0 + GAP) + GAP;
    (width, HEAD + ranks.len() * BOX.1 + ranks.len().saturating_sub(1) * ROOM + GAP)
}

fn place<'a>(
    group: &'a Group,
    ranks: &[Vec<usize>],
    at: (usize, usize),
    size: (usize, usize),
) -> Placed<'a> {
    let mut boxes = BTreeMap::new();
    for (row, rank) in ranks.iter().enumerate() {
        let wide = rank.len() * (BOX.0 + GAP) - GAP;
        let left = at.0 + (size.0 - wide) / 2;
        for (column, one) in rank.iter().enumerate() {
            let x = left + column * (BOX.0 + GAP);
            boxes.insert(group.boxes[*one].id.as_str(), (x, at.1 + HEAD + row * (BOX.1 + ROOM)));
        }
    }
    Placed { group, at, size, boxes }
}

/// A line with an arrow, its label beside the arrow's end.
fn curve(text: &mut String, from: (usize, usize), to: (usize, usize), live: bool, label: &str) {
    let middle = usize::midpoint(from.1, to.1);
    let dashes = if live { "" } else { " stroke-dasharray=\"5 4\"" };
    let _ = writeln!(
        text,
        "<path d=\"M{} {} C{0} {middle} {} {middle} {2} {}\" fill=\"none\" stroke=\"#555\"{dashes} marker-end=\"url(#to)\"/>",
        from.0, from.1, to.0, to.1
    );
    if !label.is_empty() {
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" font-size=\"10\" fill=\"#333\">{}</text>",
            to.0 + 5,
            to.1.saturating_sub(8),
            escaped(&shortened(label))
        );
    }
}

/// What a box has room for.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 32 {
        return text.to_owned();
    }
    text.chars().take(31).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
