account-title = Your account
account-lead = You sign in as { $name }.
account-factor = Second factor
account-factor-lead = Photograph the picture with an authenticator app, then type the code that it shows. The app that you used before is of no use afterwards.
account-factor-on = Set up
account-factor-off = Not set up
account-factor-other = Use another phone
account-factor-set-up = Set it up
account-new-codes = New recovery codes
account-codes-left = { $codes ->
    [0] No recovery code is left. Make new ones.
    [one] One recovery code is left.
   *[other] { $codes } recovery codes are left.
  }
account-confirm = Your password, before you change this
account-confirm-button = Go on
account-password = Password
account-current = Password now
account-change = Change the password
account-sessions = Where you are signed in
account-from = From
account-since = Since
account-used = Last used
account-end = Sign out
account-this = This browser
account-end-button = Sign out there
account-end-others = Sign out everywhere else
account-cancel = Leave it as it is
done-password = Your password is changed. Everywhere else you are signed out.
done-session = Signed out there.
