sign-in-title = Sign in
sign-in-name = Name
sign-in-password = Password
sign-in-button = Sign in
sign-in-lost = Lost your password? A head teacher or technician can give you a new one.
sign-in-break-glass = The head teacher can open the sealed code.
sign-in-wrong = The name or the password is wrong.
sign-in-wrong-code = The code is wrong. It changes every 30 seconds, and each can be used once.
sign-in-expired = This took too long. Please sign in again from the start.
sign-in-limited = Too many wrong tries. Please try again in { $minutes ->
    [one] one minute
   *[other] { $minutes } minutes
  }.
sign-in-not-the-same = The two passwords are not the same.
sign-in-code-title = Second factor
sign-in-code-lead = Type the six digits that your authenticator app shows for this box. If you lost the phone, type one of your recovery codes.
sign-in-code = Code
sign-in-password-title = Choose a new password
sign-in-password-lead = Your password was made by somebody else, or is too old. Choose one that only you know.
sign-in-new-password = New password
sign-in-password-hint = At least 12 characters. Three or four words that have nothing to do with each other are good.
sign-in-again = The same again
sign-in-next = Next
sign-in-factor-title = Set up your second factor
sign-in-factor-lead = Your role needs a second factor, so that a stolen password opens nothing. Photograph the picture with an authenticator app, then type the code that it shows.
sign-in-factor-picture = Picture to photograph with an authenticator app
sign-in-factor-type = Or type this into the app:
sign-in-factor-code = Code that the app shows
sign-in-recovery-title = Your recovery codes
sign-in-recovery-lead = Print or write these down, and keep them where only you find them. Each opens your account once if you lose the phone. They are not shown again.
sign-in-recovery-done = I have them

break-glass-title = The sealed code
break-glass-lead = This code lies in the head teacher's safe, for when nobody else can sign in. It opens the box for an hour, once, and everybody sees in the audit that it was used. Make a new one afterwards, under Users.
break-glass-code = Code
break-glass-open = Open the box
break-glass-back = Back to signing in
done-break-glass = The box is open for an hour. The sealed code is used up: make a new one here when you are done.
