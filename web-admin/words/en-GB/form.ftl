form-reason = Why
form-reason-hint = Asked for where a change opens something. It is kept with the change.
form-save = Save
form-cancel = Cancel
form-remove = Remove
