keys-title = Security keys
keys-lead = A security key is a small device that you plug in or hold to the phone, or this device itself with your finger or face. When you sign in, you touch it instead of typing a code, and no false page can lure it out of you.
keys-none = You have no security key yet.
keys-name = Name of the key
keys-name-hint = To tell it from others, such as “Blue key on my key ring”.
keys-host = Works at
keys-made = Added
keys-used = Last used
keys-never = Never
keys-add = Add a security key
keys-remove-sure = You can't sign in with this key any more, and are signed out everywhere else. Go on?
keys-no-app = A security key only works where the box is opened by its name, so set up an app with codes first: it works everywhere.
keys-fresh-lead = It is a while since you typed your password. Type it again to add or remove a key.
keys-elsewhere = A security key is bound to the name of the box, and this page was opened by another address. To add one, open:
keys-nowhere = Security keys can't be added here: the box has to be opened by its name, with https in front. Codes from your app work here.
keys-full = You have ten security keys, which is the most. Remove one to add another.
keys-no-browser = This browser can't use security keys, or runs no scripts. Codes from your app work here.
keys-failed = The key did not answer, or it is another one. Please try again, or type a code.
keys-use = Use your security key
keys-of-account = Security keys
keys-count = { $count ->
    [0] You have none.
    [one] You have one.
   *[other] You have { $count }.
  }
keys-copied = This key may have been copied, so it was refused. Type a code, then remove the key from your account and tell your technician.
done-key-added = The key is added, and you are signed out everywhere else.
done-key-removed = The key is removed, and you are signed out everywhere else.
failure-key-host = Security keys can't be used here: open the box by its name, with https in front.
