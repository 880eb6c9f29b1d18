//! From an edit to a policy: pure, with what is known handed in. What comes out is not checked yet.

use jiff::{Timestamp, civil::Date};
use toml::value::Datetime;

use super::{Days, Edit, EditError, MitigationEdit, SchoolEdit, SupplierEdit};
use crate::{
    category::Categories,
    policy::{DateRange, ListFile, MitigationFile, PolicyFile, SupplierFile, Tables},
    spelling::nearest,
};

/// What edits are understood with.
pub(super) struct Known<'a> {
    /// The shipped categories.
    pub(super) categories: &'a Categories,
    /// What ships with the product.
    pub(super) tables: &'a Tables,
    /// The time.
    pub(super) now: Timestamp,
    /// Why the change is made; may be empty.
    pub(super) reason: &'a str,
}

impl Known<'_> {
    /// Makes one change after the other.
    ///
    /// # Errors
    ///
    /// The first that can't be made; the file is then half changed.
    pub(super) fn apply(&self, file: &mut PolicyFile, edits: &[Edit]) -> Result<(), EditError> {
        edits.iter().try_for_each(|edit| self.one(file, edit))
    }

    fn one(&self, file: &mut PolicyFile, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::SetCell { profile, category, cell, why } => {
                self.set_cell(file, profile, category, cell.as_ref(), why.as_deref())
            }
            Edit::CopyProfile { from, to } => self.copy_profile(file, from, to),
            Edit::SetProfile(settings) => self.set_profile(file, settings),
            Edit::AddProfile(new) => self.add_profile(file, new),
            Edit::RemoveProfile { profile, to } => self.remove_profile(file, profile, to.as_deref()),
            Edit::SetNewlySeen(newly_seen) => {
                file.newly_seen = *newly_seen;
                Ok(())
            }
            Edit::PutRules { rules } => rules.iter().try_for_each(|rule| self.put_rule(file, rule)),
            Edit::RemoveRule(which) => self.remove_rule(file, which),
            Edit::SetSubnets { profile, subnets } => {
                super::profiles::find(file, profile)?.subnets = trimmed(subnets);
                Ok(())
            }
            Edit::PutDevice(device) => {
                put(&mut file.devices, device.clone(), |device| &device.name);
                Ok(())
            }
            Edit::RemoveDevice { name } => {
                remove(&mut file.devices, "device", name, |device| &device.name)?;
                forget_device(file, name);
                Ok(())
            }
            Edit::SuspendDevice { name, suspended } => {
                let known: Vec<String> = file.devices.iter().map(|device| device.name.clone()).collect();
                let device = file.devices.iter_mut().find(|device| device.name == *name);
                device.ok_or_else(|| unknown("device", name, &known))?.suspended = *suspended;
                Ok(())
            }
            Edit::PutGroup(group) => {
                put(&mut file.groups, group.clone(), |group| &group.id);
                Ok(())
            }
            Edit::RemoveGroup { group } => remove(&mut file.groups, "group", group, |group| &group.id),
            Edit::PutSchedule(schedule) => {
                put(&mut file.schedules, schedule.clone(), |schedule| &schedule.id);
                Ok(())
            }
            Edit::RemoveSchedule { schedule } => {
                remove(&mut file.schedules, "schedule", schedule, |schedule| &schedule.id)
            }
            Edit::SetTerms { terms, holidays, day_ends } => {
                file.terms = ranges(terms)?;
                file.holidays = ranges(holidays)?;
                if let Some(ends) = day_ends {
                    file.day_ends = Some(ends.trim().to_owned()).filter(|ends| !ends.is_empty());
                }
                Ok(())
            }
            Edit::StartLesson(lesson) => self.start_lesson(file, lesson),
            Edit::EndLesson { name } => self.end_lesson(file, name),
            Edit::Open(opening) => self.open(file, opening),
            Edit::Close { what, clients, profiles } => self.close(file, what, clients, profiles),
            Edit::RemoveList { list } => remove(&mut file.lists, "list", list, |list| &list.id),
            Edit::WriteList { list, text } => write_list(file, list, text),
            Edit::SetRetention(log) => {
                file.log = log.clone();
                Ok(())
            }
            Edit::SetSchool(school) => {
                set_school(file, school);
                Ok(())
            }
            Edit::SetSupplier(supplier) => set_supplier(file, supplier),
            Edit::SetMitigation(said) => set_mitigation(file, said),
        }
    }
}

fn write_list(file: &mut PolicyFile, id: &str, text: &str) -> Result<(), EditError> {
    let own = |list: &&ListFile| list.text.is_some();
    let known: Vec<String> = file.lists.iter().filter(own).map(|list| list.id.clone()).collect();
    let list = file.lists.iter_mut().find(|list| list.id == id && list.text.is_some());
    list.ok_or_else(|| unknown("list that the school writes", id, &known))?.text = Some(text.to_owned());
    Ok(())
}

fn set_school(file: &mut PolicyFile, school: &SchoolEdit) {
    let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(name) = &school.name {
        file.school = name.trim().to_owned();
    }
    if let Some(timezone) = &school.timezone {
        file.timezone = timezone.trim().to_owned();
    }
    if let Some(fallback) = &school.fallback_profile {
        file.fallback_profile = given(fallback);
    }
    if let Some(contact) = &school.contact {
        file.contact = given(contact);
    }
    if let Some(names) = &school.own_names {
        file.own_names = trimmed(names);
    }
}

fn set_supplier(file: &mut PolicyFile, said: &SupplierEdit) -> Result<(), EditError> {
    let supplier = SupplierFile {
        category: said.category.clone(),
        by: said.by,
        who: said.who.trim().to_owned(),
        verified: said.verified.map(day).transpose()?,
        verified_by: said.verified_by.trim().to_owned(),
        note: said.note.trim().to_owned(),
    };
    put(&mut file.suppliers, supplier, |supplier| &supplier.category);
    Ok(())
}

fn set_mitigation(file: &mut PolicyFile, said: &MitigationEdit) -> Result<(), EditError> {
    let text = said.text.trim().to_owned();
    if text.is_empty() {
        file.mitigations.retain(|mitigation| mitigation.limit != said.limit);
        return Ok(());
    }
    let mitigation = MitigationFile {
        limit: said.limit.clone(),
        text,
        decided: said.decided.map(day).transpose()?,
        by: said.by.trim().to_owned(),
    };
    put(&mut file.mitigations, mitigation, |mitigation| &mitigation.limit);
    Ok(())
}

/// A device that is gone is nowhere any more. A rule that was for it alone must go too: without clients it would be for
/// all.
fn forget_device(file: &mut PolicyFile, name: &str) {
    for group in &mut file.groups {
        group.devices.retain(|word| word.trim() != name);
    }
    for lesson in &mut file.lessons {
        lesson.room.retain(|word| word.trim() != name);
    }
    file.lessons.retain(|lesson| !lesson.room.is_empty());
    for clients in file.rules.iter_mut().filter_map(|rule| rule.clients.as_mut()) {
        clients.retain(|word| word.trim() != name);
    }
    file.rules.retain(|rule| rule.clients.as_ref().is_none_or(|clients| !clients.is_empty()));
}

/// Puts a thing in the place of the one with the same word, or behind the others.
pub(super) fn put<T>(things: &mut Vec<T>, thing: T, word: impl Fn(&T) -> &String) {
    match things.iter().position(|other| word(other) == word(&thing)) {
        Some(place) => things[place] = thing,
        None => things.push(thing),
    }
}

fn remove<T>(
    things: &mut Vec<T>,
    kind: &'static str,
    wanted: &str,
    word: impl Fn(&T) -> &String,
) -> Result<(), EditError> {
    match things.iter().position(|thing| word(thing) == wanted) {
        Some(place) => {
            things.remove(place);
            Ok(())
        }
        None => {
            let known: Vec<String> = things.iter().map(|thing| word(thing).clone()).collect();
            Err(unknown(kind, wanted, &known))
        }
    }
}

/// That a thing is not there, with the one that was probably meant.
pub(super) fn unknown<T: AsRef<str>>(kind: &'static str, word: &str, known: &[T]) -> EditError {
    let near = nearest(word, known.iter().map(AsRef::as_ref));
    let instead = near.map(|near| format!("did you mean {near:?}?")).unwrap_or_default();
    EditError::Unknown { kind, word: word.to_owned(), instead }
}

/// Without spaces around, without empty ones, each once.
pub(super) fn trimmed(words: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(words.len());
    for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        if !all.iter().any(|other| other == word) {
            all.push(word.to_owned());
        }
    }
    all
}

fn ranges(days: &[Days]) -> Result<Vec<DateRange>, EditError> {
    days.iter()
        .map(|range| Ok(DateRange { from: day(range.from)?, to: range.to.map(day).transpose()? }))
        .collect()
}

/// A day as policies write it.
fn day(date: Date) -> Result<Datetime, EditError> {
    let wrong = || EditError::End(date.in_tz("UTC").map_or(Timestamp::MIN, |zoned| zoned.timestamp()));
    date.to_string().parse().map_err(|_| wrong())
}

/// A moment as policies write it, to the second.
pub(super) fn moment(at: Timestamp) -> Result<Datetime, EditError> {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    whole.to_string().parse().map_err(|_| EditError::End(at))
}
