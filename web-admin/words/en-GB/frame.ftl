frame-skip = Skip to the page
frame-theme = Light or dark
frame-sign-out = Sign out
frame-navigation = Pages
frame-menu = Menu
frame-see-to-it = See to it

nav-overview = Overview
nav-policy = Categories
nav-sites = Sites
nav-check = Check a site
nav-lists = Lists
nav-networks = Networks
nav-schedules = Schedules
nav-lessons = Lessons
nav-log = Query log
nav-limits = Limits
nav-users = Users
nav-audit = Audit
nav-system = System

role-head = Head
role-safeguarding = Safeguarding lead
role-policy-owner = Policy owner
role-technician = Technician
role-teacher = Teacher
role-governor = Governor
role-auditor = Auditor

banner-set-up = The set-up of this box is not finished.
banner-trial-over = The trial is over, and profiles still only watch: nothing but locked and security categories is blocked.
banner-no-supplier = Nobody is named as supplier of the lists of illegal content.
banner-watch = A profile only watches: nothing but locked and security categories is blocked there.

done-saved = Saved. It is in force now.
done-signed-out = You are signed out.

failure-title = This did not work
failure-home = Back to the first page
failure-not-found = There is no such page.
failure-sign-in = Please sign in first.
failure-not-yours = Your role may not do this. A head teacher or technician can change roles under Users.
failure-limited = Finish setting up your account first: the second factor, or a new password.
failure-foreign = This request did not come from a page of this box, so nothing was done. Open the page again and repeat it.
failure-input = Something in the form is not right, so nothing was changed.
failure-inside = The box could not do this. What happened is in its own log; please tell the technician.
failure-collision = Somebody else changed this meanwhile, so nothing was changed now. Look at the page again.
failure-reason = Please say why: this opens what was closed, so nothing was changed yet.
failure-token = This token is wrong, has ended or was revoked.
failure-form = The form could not be read.
failure-method = This address does not take such a request.
failure-too-large = This is larger than the box takes.
