//! Edits of profiles and of their cells.

use super::{
    EditError, NewProfile, ProfileEdit,
    apply::{Known, trimmed, unknown},
};
use crate::{
    category::{Category, LOCKED, NEWLY_SEEN, UNCATEGORISED},
    policy::{BlockResponse, Cell, Mode, PolicyFile, ProfileFile, YouTube},
};

/// The profile of an identifier.
pub(super) fn find<'a>(file: &'a mut PolicyFile, id: &str) -> Result<&'a mut ProfileFile, EditError> {
    match file.profiles.iter().position(|profile| profile.id == id) {
        Some(place) => Ok(&mut file.profiles[place]),
        None => Err(unknown("profile", id, &ids(file))),
    }
}

fn ids(file: &PolicyFile) -> Vec<String> {
    file.profiles.iter().map(|profile| profile.id.clone()).collect()
}

/// Whether the program locks a category for those whom a profile is for.
fn is_locked(category: &str, profile: &ProfileFile) -> bool {
    LOCKED.iter().any(|(id, whom)| *id == category && whom.contains(&profile.audience))
}

/// Keeps, writes anew or (empty) takes out why something is as it is.
fn set_why(profile: &mut ProfileFile, key: &str, why: Option<&str>) {
    let Some(why) = why else { return };
    let why = why.trim();
    if why.is_empty() {
        profile.why.remove(key);
    } else {
        profile.why.insert(key.to_owned(), why.to_owned());
    }
}

/// Gives a category a state; the setting that says the same of names on no list gives way to the cell.
fn set_category(profile: &mut ProfileFile, category: &str, cell: Option<&Cell>) {
    if category == UNCATEGORISED {
        profile.uncategorised = None;
    }
    match cell {
        Some(cell) => drop(profile.categories.insert(category.to_owned(), cell.clone())),
        None => drop(profile.categories.remove(category)),
    }
}

impl Known<'_> {
    /// The shipped categories and the school's own.
    pub(super) fn all<'a>(&'a self, file: &'a PolicyFile) -> impl Iterator<Item = &'a str> {
        let own = file.categories.iter().map(|own| own.id.as_str());
        self.categories.iter().map(|(_, category)| category.id.as_str()).chain(own)
    }

    pub(super) fn set_cell(
        &self,
        file: &mut PolicyFile,
        profile: &str,
        id: &str,
        cell: Option<&Cell>,
        why: Option<&str>,
    ) -> Result<(), EditError> {
        let is_category = self.all(file).any(|known| known == id);
        if !is_category && self.tables.service(id).is_none() {
            let services = self.tables.services.iter().map(|service| service.id.as_str());
            let known: Vec<&str> = self.all(file).chain(services).collect();
            return Err(unknown("category or service", id, &known));
        }
        let profile = find(file, profile)?;
        let before =
            (profile.uncategorised, profile.categories.get(id).cloned(), profile.services.get(id).cloned());
        if is_category {
            set_category(profile, id, cell);
        } else {
            match cell {
                Some(cell) => drop(profile.services.insert(id.to_owned(), cell.clone())),
                None => drop(profile.services.remove(id)),
            }
        }
        let after =
            (profile.uncategorised, profile.categories.get(id).cloned(), profile.services.get(id).cloned());
        // Why it was allowed is not why it is blocked.
        let why = why.or_else(|| if before == after { None } else { Some("") });
        set_why(profile, id, why);
        Ok(())
    }

    pub(super) fn copy_profile(&self, file: &mut PolicyFile, from: &str, to: &str) -> Result<(), EditError> {
        let source = find(file, from)?.clone();
        find(file, to)?;
        let every = file.every_category(self.categories);
        let all: Vec<&Category> = every.iter().map(|(_, category)| category).collect();
        let target = find(file, to)?;
        for category in &all {
            if is_locked(&category.id, target) {
                // Whatever stood there is at least as strict as the lock.
                continue;
            }
            let mut cell = source.cell(category, self.tables);
            if cell == Cell::Locked && is_locked(&category.id, &source) {
                // Locked for others is blocked here, which the school may still open.
                cell = Cell::Block;
            }
            set_category(target, &category.id, Some(&cell));
        }
        let closed = |category: &str, target: &ProfileFile| {
            is_locked(category, target)
                || all.iter().any(|c| c.id == category && target.cell(c, self.tables) == Cell::Locked)
        };
        target.services = source
            .services
            .iter()
            .filter(|(id, cell)| {
                **cell == Cell::Block
                    || self.tables.service(id).is_none_or(|service| !closed(&service.category, target))
            })
            .map(|(id, cell)| (id.clone(), cell.clone()))
            .collect();
        let about = |key: &str| all.iter().any(|c| c.id == key) || self.tables.service(key).is_some();
        target.why.retain(|key, _| !about(key));
        let copied = source.why.iter().filter(|(key, _)| about(key) && !is_locked(key, &source));
        target.why.extend(copied.map(|(key, why)| (key.clone(), why.clone())));
        Ok(())
    }

    pub(super) fn set_profile(&self, file: &mut PolicyFile, new: &ProfileEdit) -> Result<(), EditError> {
        let profile = find(file, &new.profile)?;
        if let Some(name) = &new.name {
            profile.name = name.trim().to_owned();
        }
        if let Some(access) = new.uncategorised {
            profile.categories.remove(UNCATEGORISED);
            profile.uncategorised = Some(access);
        }
        if let Some(cell) = &new.newly_seen {
            profile.categories.insert(NEWLY_SEEN.to_owned(), cell.clone());
        }
        if let Some(bundles) = &new.bundles {
            profile.bundles = trimmed(bundles);
        }
        profile.mode = new.mode.unwrap_or(profile.mode);
        profile.safe_search = new.safe_search.unwrap_or(profile.safe_search);
        profile.youtube = new.youtube.unwrap_or(profile.youtube);
        profile.strip_ech = new.strip_ech.unwrap_or(profile.strip_ech);
        profile.block_with = new.block_with.unwrap_or(profile.block_with);
        profile.log = new.log.or(profile.log);
        profile.canaries = new.canaries.unwrap_or(profile.canaries);
        for (key, why) in &new.why {
            set_why(profile, key, Some(why));
        }
        Ok(())
    }

    pub(super) fn add_profile(&self, file: &mut PolicyFile, new: &NewProfile) -> Result<(), EditError> {
        if file.profiles.iter().any(|profile| profile.id == new.profile) {
            return Err(EditError::Taken { kind: "profile", word: new.profile.clone() });
        }
        file.profiles.push(ProfileFile {
            id: new.profile.clone(),
            name: new.name.trim().to_owned(),
            subnets: trimmed(&new.subnets),
            audience: new.audience,
            mode: Mode::Filter,
            uncategorised: None,
            safe_search: true,
            youtube: YouTube::Strict,
            strip_ech: true,
            block_with: BlockResponse::default(),
            log: None,
            canaries: true,
            bundles: Vec::new(),
            categories: [].into(),
            services: [].into(),
            why: [].into(),
        });
        let Some(like) = &new.like else { return Ok(()) };
        self.copy_profile(file, like, &new.profile)?;
        let model = find(file, like)?.clone();
        let profile = find(file, &new.profile)?;
        profile.mode = model.mode;
        profile.safe_search = model.safe_search;
        profile.youtube = model.youtube;
        profile.strip_ech = model.strip_ech;
        profile.block_with = model.block_with;
        profile.canaries = model.canaries;
        profile.bundles = model.bundles;
        // What is logged of people is a question of who they are.
        profile.log = model.log.filter(|_| model.audience == new.audience);
        Ok(())
    }

    pub(super) fn remove_profile(
        &self,
        file: &mut PolicyFile,
        gone: &str,
        to: Option<&str>,
    ) -> Result<(), EditError> {
        let subnets = find(file, gone)?.subnets.clone();
        if let Some(to) = to {
            if to == gone {
                return Err(unknown("other profile", to, &[""; 0]));
            }
            find(file, to)?.subnets.extend(subnets);
        }
        file.profiles.retain(|profile| profile.id != gone);
        for device in file.devices.iter_mut().filter(|device| device.profile.as_deref() == Some(gone)) {
            device.profile = to.map(str::to_owned);
        }
        if file.fallback_profile.as_deref() == Some(gone) {
            file.fallback_profile = to.map(str::to_owned);
        }
        // A rule that was for this profile alone must go too: without profiles it would be for all.
        for profiles in file.rules.iter_mut().filter_map(|rule| rule.profiles.as_mut()) {
            profiles.retain(|profile| profile != gone);
        }
        file.rules.retain(|rule| rule.profiles.as_ref().is_none_or(|profiles| !profiles.is_empty()));
        Ok(())
    }
}
