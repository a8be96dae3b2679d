//! Files of containers and of their volumes.

use std::collections::BTreeMap;

use super::{instance::Place, world::World};
use crate::{engine::Result, model::FileSpec};

/// Name and content.
type File = (String, Vec<u8>);

impl World {
    pub fn write(&mut self, name: &str, files: &[FileSpec]) -> Result<()> {
        for file in files {
            let place = self.container(name)?.place(&file.path);
            self.files(name, &place).insert(place.path, file.content.clone());
        }
        Ok(())
    }

    pub fn read(&mut self, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let place = self.container(name)?.place(path);
        Ok(self.files(name, &place).get(&place.path).cloned())
    }

    pub fn read_folder(&mut self, name: &str, path: &str) -> Result<Option<Vec<File>>> {
        let place = self.container(name)?.place(path);
        let start = if place.path.is_empty() { String::new() } else { format!("{}/", place.path) };
        let inside: Vec<_> = self
            .files(name, &place)
            .iter()
            .filter_map(|(path, content)| {
                Some((path.strip_prefix(&start)?.to_owned(), content.clone()))
            })
            .collect();
        let there = !inside.is_empty() || (place.volume.is_some() && place.path.is_empty());
        let right = inside.into_iter().filter(|(name, _)| !name.contains('/')).collect();
        Ok(there.then_some(right))
    }

    fn files(&mut self, name: &str, place: &Place) -> &mut BTreeMap<String, Vec<u8>> {
        match &place.volume {
            Some(volume) => &mut self.volumes.entry(volume.clone()).or_default().files,
            None => &mut self.containers.get_mut(name).expect("it was looked up").files,
        }
    }
}
