//! Subscribing to a list, which is a change of the policy like any other; and forgetting those that were taken out.

use crate::{
    control::{Control, ControlError, EditAsked, EditReport},
    policy::ListFile,
};

impl Control {
    /// Subscribes to lists; what has to be fetched is fetched behind.
    ///
    /// # Errors
    ///
    /// When there is a list of such a name, or anything about one is wrong; when one opens names, and no reason is given
    /// or whoever asks may open nothing on their own word. Then nothing has changed.
    pub async fn add_lists(
        &self,
        lists: Vec<ListFile>,
        asked: EditAsked,
    ) -> Result<EditReport, ControlError> {
        self.amend_or_refuse("lists.add", &asked, |file| {
            if let Some(list) = lists.iter().find(|list| file.lists.iter().any(|known| known.id == list.id)) {
                return Err(ControlError::Input(format!(
                    "there is a list {} already; to take it out: schoolgate lists remove {}",
                    list.id, list.id
                )));
            }
            let mut file = file.clone();
            file.lists.extend(lists.iter().cloned());
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

    /// Forgets the versions of lists that are in the policy no more.
    pub(in crate::control) async fn forget_lists(&self) {
        let _changing = self.changing.lock().await;
        let lists = self.in_force().0.lists;
        self.library.shelf.forget_all_but(lists.iter().map(|list| list.id.as_str()));
    }
}
