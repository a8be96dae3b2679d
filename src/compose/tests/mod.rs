//! Tests of the whole way.

mod corpus;
mod errors;
mod extends;
mod files;
mod limits;
mod properties;
mod read;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{Problems, Project, Source, load};

/// A folder of files that goes with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Loads some of the files as the project `p`.
    fn load(&self, files: &[&str]) -> Result<Project, Problems> {
        self.load_with(files, &[], &[])
    }

    fn load_with(
        &self,
        files: &[&str],
        environment: &[(&str, &str)],
        profiles: &[&str],
    ) -> Result<Project, Problems> {
        let files: Vec<PathBuf> = files.iter().map(|file| self.path().join(file)).collect();
        let profiles: Vec<String> = profiles.iter().map(ToString::to_string).collect();
        load(&Source {
            files: &files,
            project_dir: self.path(),
            project_name: "p",
            environment: &variables(environment),
            profiles: &profiles,
            named: &[],
        })
    }

    /// The problems of one file's text, without the folder's path.
    fn problems_of(text: &str) -> String {
        let folder = Self::new(&[("compose.yaml", text)]);
        let problems = folder.load(&["compose.yaml"]).unwrap_err();
        folder.shorten(&problems)
    }

    fn shorten(&self, problems: &Problems) -> String {
        problems.to_string().replace(&format!("{}/", self.path().display()), "")
    }
}

fn variables(list: &[(&str, &str)]) -> IndexMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
