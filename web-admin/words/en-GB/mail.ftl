mail-title = Mail
mail-lead = The box sends messages through a mail server of the school's, or of its provider. It keeps no mail and receives none.
mail-state = Messages go through { $server }, from { $from }.
mail-not-yet = Mail is not set up, so the box sends no messages.
mail-open = Set up mail
mail-see = Look at mail
mail-where = Mail server
mail-server = Server
mail-server-hint = For example smtp.office365.com, or the name that your provider gives for “outgoing mail (SMTP)”.
mail-port = Port
mail-port-wrong = Port: write a number, such as 465 or 587.
mail-encryption = Encryption
mail-encryption-wrong = Encryption: choose one.
mail-tls = TLS
mail-tls-hint = From the start, usually at port 465.
mail-starttls = STARTTLS
mail-starttls-hint = Usually at port 587. Nothing is sent where the server can't encrypt.
mail-none = None
mail-none-hint = Only for a server in the school's own network. Whoever can listen there reads the messages, and no password is sent.
mail-user = User name
mail-user-hint = Leave it empty where the server asks for none.
mail-password = Password
mail-password-kept = One is kept, and is not shown. Leave this empty to keep it.
mail-from = Messages come from
mail-from-hint = An address that the server lets this user send from.
mail-authority-own = The server's certificate is from an authority of the school's own
mail-authority = Certificate of that authority
mail-authority-hint = It is trusted for this mail server only, beside the authorities that browsers trust.
mail-save = Save
mail-test = Does it work?
mail-test-to = Send a test message to
mail-test-hint = This takes up to 20 seconds. If nothing arrives, look in the junk folder too.
mail-test-send = Send
mail-contact = Confirm the safeguarding lead's address
mail-remove = Remove the mail server
mail-remove-ask = Remove the mail server? The box sends no messages any more.
done-mail = Saved. Send a test message to see whether it works.
done-mail-removed = The mail server is removed. The box sends no messages any more.
done-mail-sent = The mail server has taken the message. Look whether it arrives.
mail-school = your school
mail-test-subject = Test message from the web filter of { $school }
mail-test-body =
    This is a test message from Schoolgate, the web filter of { $school }.
    It was sent by { $who }, to see whether messages arrive. There is nothing to do.
mail-code-subject = Please confirm your address for the web filter of { $school }
mail-code-body =
    Dear { $name },

    you are named as the designated safeguarding lead for Schoolgate, the web filter of { $school }. It will write to you at this address.

    Please give this code to whoever looks after the filter, so that they know that its messages reach you:

    { $code }

    The code is good for { $hours } hours. If you are not the safeguarding lead of this school, please tell its office.
