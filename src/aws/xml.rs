//! Answers in XML, as a tree.

use quick_xml::{Reader, events::Event};

/// An element, its text and what is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    members: Vec<Element>,
}

impl Element {
    /// The root of a document; the reason where it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            let wrong = |error: &dyn std::fmt::Display| error.to_string();
            match reader.read_event().map_err(|error| wrong(&error))? {
                Event::Start(start) => {
                    let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                    open.push(Self { name, ..Self::default() });
                }
                Event::Empty(start) => {
                    let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                    let own = Self { name, ..Self::default() };
                    open.last_mut().ok_or("no element is open")?.members.push(own);
                }
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| wrong(&error))?;
                    open.last_mut().ok_or("no element is open")?.text.push_str(&text);
                }
                Event::CData(data) => {
                    let text = data.decode().map_err(|error| wrong(&error))?;
                    open.last_mut().ok_or("no element is open")?.text.push_str(&text);
                }
                Event::GeneralRef(entity) => {
                    let name = entity.decode().map_err(|error| wrong(&error))?;
                    let own = open.last_mut().ok_or("no element is open")?;
                    match entity.resolve_char_ref().map_err(|error| wrong(&error))? {
                        Some(character) => own.text.push(character),
                        None => own.text.push_str(
                            quick_xml::escape::resolve_xml_entity(&name)
                                .ok_or_else(|| format!("unknown entity `{name}`"))?,
                        ),
                    }
                }
                Event::End(_) => {
                    let own = open.pop().ok_or("no element is open")?;
                    open.last_mut().ok_or("no element is open")?.members.push(own);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let mut root = open.pop().filter(|_| open.is_empty()).ok_or("it is cut off")?;
        root.members.pop().ok_or_else(|| "it is empty".to_owned())
    }

    /// The first element of this name, anywhere below.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.members
            .iter()
            .find_map(|own| if own.name == name { Some(own) } else { own.find(name) })
    }

    /// The text of a member.
    pub fn text(&self, name: &str) -> Option<&str> {
        let own = self.members.iter().find(|own| own.name == name)?;
        Some(own.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The elements of the list of this name, anywhere below.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Self> {
        let members = self.find(name).map(|list| list.members.as_slice()).unwrap_or_default();
        members.iter().filter(|own| own.name == "member")
    }

    /// Its own text.
    pub fn own_text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_lists_and_entities() {
        let text = "<?xml version='1.0'?><R xmlns=\"x\"><A><Names><member>a &lt; b &#38; c</member><member/>\n</Names></A><B><![CDATA[{\"x\": 1}]]></B></R>";
        let root = Element::read(text).unwrap();
        let names: Vec<&str> = root.list("Names").map(Element::own_text).collect();
        assert_eq!(names, ["a < b & c", ""]);
        assert_eq!(root.text("B"), Some("{\"x\": 1}"));
        assert_eq!(root.find("A").unwrap().text("Nothing"), None);
        for wrong in ["", "<a>", "<a></b>", "no xml", "<a>&what;</a>"] {
            assert!(Element::read(wrong).is_err(), "{wrong}");
        }
    }
}
