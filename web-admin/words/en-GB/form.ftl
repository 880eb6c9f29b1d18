form-collision = { $who } changed this meanwhile, so nothing was changed now. Look at what is there, and save again if it still fits.
form-reason-wanted = Please say why: this opens something, or watches it less closely. Nothing was changed yet.
form-reason = Why
form-reason-hint = Asked for where a change opens something. It is kept with the change.
form-save = Save
form-cancel = Cancel
form-remove = Remove
