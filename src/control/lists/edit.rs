//! Subscribing to a list, and taking one out: changes of the policy like any other.

use crate::{
    control::{Change, Control, ControlError, ImportReport},
    policy::ListFile,
};

impl Control {
    /// Subscribes to lists; what has to be fetched is fetched behind.
    ///
    /// # Errors
    ///
    /// When there is a list of such a name, or anything about one is wrong; then nothing has changed.
    pub async fn add_lists(
        &self,
        lists: Vec<ListFile>,
        by: &str,
        dry_run: bool,
    ) -> Result<ImportReport, ControlError> {
        let ids: Vec<&str> = lists.iter().map(|list| list.id.as_str()).collect();
        let name = format!("lists {}", ids.join(", "));
        let change = Change { name: &name, by, action: "lists.add", dry_run, ..Change::default() };
        self.change(change, |mut file| {
            if let Some(list) = lists.iter().find(|list| file.lists.iter().any(|known| known.id == list.id)) {
                return Err(ControlError::Input(format!(
                    "there is a list {} already; to take it out: schoolgate lists remove {}",
                    list.id, list.id
                )));
            }
            file.lists.extend(lists.iter().cloned());
            Ok(file)
        })
        .await
    }

    /// Writes a list of the school's own anew.
    ///
    /// # Errors
    ///
    /// When there is no such list or it is not one that the school writes; then nothing has changed.
    pub async fn edit_list(&self, id: &str, text: String, by: &str) -> Result<ImportReport, ControlError> {
        self.edit_list_expecting(id, text, by, None).await
    }

    /// The same, for who has seen the text as it was at a revision of the policy.
    ///
    /// # Errors
    ///
    /// As [`edit_list`](Self::edit_list); also [`ControlError::Collision`] when the policy is another one meanwhile.
    pub async fn edit_list_expecting(
        &self,
        id: &str,
        text: String,
        by: &str,
        expect: Option<i64>,
    ) -> Result<ImportReport, ControlError> {
        self.own_text(id)?;
        let name = format!("list {id}");
        let change = Change { name: &name, by, action: "lists.edit", expect, ..Change::default() };
        self.change(change, |mut file| {
            for list in file.lists.iter_mut().filter(|list| list.id == id) {
                list.text = Some(text.clone());
            }
            Ok(file)
        })
        .await
    }

    /// The text of a list of the school's own, as it was written.
    ///
    /// # Errors
    ///
    /// When there is no such list, or it is not one that the school writes.
    pub fn own_text(&self, id: &str) -> Result<String, ControlError> {
        self.one(id)?.text.ok_or_else(|| {
            ControlError::Input(format!(
                "list {id} is not one that the school writes; it comes from elsewhere"
            ))
        })
    }

    /// Takes a list out, and forgets its versions.
    ///
    /// # Errors
    ///
    /// When there is no such list; then nothing has changed.
    pub async fn remove_list(&self, id: &str, by: &str) -> Result<ImportReport, ControlError> {
        self.one(id)?;
        let name = format!("list {id}");
        let change = Change { name: &name, by, action: "lists.remove", dry_run: false, ..Change::default() };
        let report = self
            .change(change, |mut file| {
                file.lists.retain(|list| list.id != id);
                Ok(file)
            })
            .await?;
        let _changing = self.changing.lock().await;
        let lists = self.in_force().0.lists;
        self.library.shelf.forget_all_but(lists.iter().map(|list| list.id.as_str()));
        Ok(report)
    }
}
