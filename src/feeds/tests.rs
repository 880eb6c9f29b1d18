use std::fs;

use super::{http::SystemLookup, *};

fn feeds(toml: &str) -> Result<Feeds, ConfigError> {
    let config: Config = toml::from_str(toml).expect("settings");
    Feeds::new(&config, Arc::new(SystemLookup), Clock::system())
}

#[test]
fn a_key_whose_file_is_of_no_use_is_told_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transfer.key");
    let feeds = feeds(&format!("[[key]]\nname = \"transfer\"\nsecret_file = {file:?}\n")).unwrap();
    let told = feeds.key("transfer").unwrap_err().to_string();
    assert!(told.contains("lists.key \"transfer\", /") && told.contains("can't be read (No such"), "{told}");
    fs::write(&file, "c2hvcnQ=").unwrap();
    assert!(feeds.key("transfer").unwrap_err().to_string().contains("5 bytes"));
    assert!(feeds.unusable()[0].to_string().contains("transfer.key"));
    fs::write(&file, "3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA8=\n").unwrap();
    assert_eq!(feeds.key("transfer").unwrap().name(), "transfer.");
    assert!(feeds.unusable().is_empty());
    assert!(feeds.key("other").unwrap_err().to_string().contains("there are transfer"));
}

#[test]
fn keys_that_can_t_be_right_are_refused_without_looking_at_their_files() {
    let key = |name: &str| format!("[[key]]\nname = {name:?}\nsecret_file = \"/nowhere\"\n");
    assert!(feeds(&key("no name")).unwrap_err().to_string().contains("has to be a name"));
    assert!(feeds(&key("a").repeat(2)).unwrap_err().to_string().contains("it is there twice"));
    assert!(feeds("keep = 1").unwrap_err().to_string().starts_with("lists.keep"));
}
