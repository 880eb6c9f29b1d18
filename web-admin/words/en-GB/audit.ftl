audit-title = Audit
audit-lead = Who changed what, when, from where and why. Nobody can change or remove a line of it.
audit-prove = Check that no line was changed
audit-whole = { $lines ->
    [0] There is no line yet.
    [one] Nothing was changed: the one line is as it was written.
   *[other] Nothing was changed: all { $lines } lines are as they were written.
}
audit-broken = The line of { $when } does not follow from the one before it: the audit was changed outside of this box. Tell the head teacher, and keep a copy of the box's disk.
audit-short = { $lines ->
    [one] The last line is missing: the audit was changed outside of this box. Tell the head teacher, and keep a copy of the box's disk.
   *[other] The last { $lines } lines are missing: the audit was changed outside of this box. Tell the head teacher, and keep a copy of the box's disk.
}
audit-last = Whoever keeps this elsewhere can prove later that nothing was changed until now:
audit-text = Words
audit-by = Who
audit-kind = What
audit-from = From
audit-to = Until
audit-any = Everything
audit-search = Search
audit-kind-policy = Settings of the school
audit-kind-lists = Lists
audit-kind-log = Query log
audit-kind-user = Users
audit-kind-sign-in = Signing in and out
audit-kind-session = Sessions
audit-kind-token = API tokens
audit-kind-break-glass = Code in the head's safe
audit-nothing = Nothing of the kind was done in this time.
audit-empty = Nothing has been changed yet.
audit-when = When
audit-who = Who
audit-what = What
audit-why = Why
audit-where = from { $address }
audit-before = Before
audit-after = After
audit-not-set = not set
audit-older = Older
audit-csv = These lines as a spreadsheet (10,000 at most)

audit-action-policy-edit = Settings changed
audit-action-policy-undo = Change taken back
audit-action-policy-import = Settings imported
audit-action-policy-refused = Settings refused
audit-action-lists-add = List added
audit-action-lists-edit = List changed
audit-action-lists-remove = List removed
audit-action-lists-update = Lists updated
audit-action-lists-accept = List accepted
audit-action-lists-rollback = List rolled back
audit-action-lists-held = List held
audit-action-log-export = Evidence taken out
audit-action-log-export-fetch = Evidence fetched
audit-action-log-lines = Lines taken out
audit-action-log-subject = Lines of one device taken out
audit-action-log-reveal = Pseudonym reversed
audit-action-log-hold = Legal hold made
audit-action-log-hold-lifted = Legal hold lifted
audit-action-log-erase = Lines erased
audit-action-log-purge = Old lines removed
audit-action-user-add = User added
audit-action-user-change = User changed
audit-action-user-remove = User removed
audit-action-user-password = Password changed
audit-action-user-password-reset = Password reset
audit-action-user-second-factor = Second factor
audit-action-user-security-key = Security key
audit-action-user-recovery-codes = Recovery codes
audit-action-sign-in = Signed in
audit-action-sign-out = Signed out
audit-action-session-revoke = Session ended
audit-action-token-add = API token made
audit-action-token-revoke = API token revoked
audit-action-break-glass-seal = Code for the safe made
audit-action-break-glass-open = Code from the safe used
audit-action-set-up = Box set up
audit-action-access-review = Access reviewed
audit-action-mail-set = Mail set up
audit-action-mail-remove = Mail server removed
audit-action-mail-test = Test message
audit-action-school-contact-code = Code sent to the safeguarding lead
audit-action-school-contact-confirm = Safeguarding lead's address confirmed
audit-action-school-contact-refuse = Wrong code typed
