log-title = Query log
log-lead = Every name that devices asked for, and what became of it. Open a line to see why.
log-lead-pseudonyms = Every name that devices asked for, and what became of it. Devices are shown under a name that changes each day; the safeguarding lead can see which is which.
log-saved = Kept searches
log-forget = Remove
log-forget-one = Remove the search { $name }
log-field-name = Site
log-field-client = Device
log-field-from = From
log-field-to = Until
log-field-action = What happened
log-field-profile = Profile
log-field-category = Category
log-field-reason = What decided
log-field-list = List
log-field-alert = Only what somebody may have to look at
log-field-why = Why
log-field-limit = Lines
log-field-pseudonym = Pseudonym
log-field-day = Day
log-field-role = Your role
log-now = now
log-any = Any
log-more = More filters
log-search = Search
log-clear = Clear
log-times = Times: 2h, today, yesterday 14:30, 2026-11-22 09:00. Sites: bbc.co.uk with all below it, =bbc.co.uk alone, or a word that the name has in it.
log-is-live = New lines come by themselves.
log-count = { $lines ->
    [0] Nothing found
    [one] One line
   *[other] { $lines } lines
}
log-follow = Follow
log-pause = Pause
log-newest = Newest
log-nothing = Nothing of the kind was asked in this time. Try a longer time or fewer filters.
log-so-far = { $lines ->
    [0] Nothing found so far; older lines were not looked at yet.
    [one] One line so far; older lines were not looked at yet.
   *[other] { $lines } lines so far; older lines were not looked at yet.
}
log-empty = The log has no line yet. Once devices use this box for DNS, what they ask for appears here.
log-older = Older
log-search-on = Search on
log-alert = Somebody may have to look at this
log-check = Check this site
log-allow = Allow it
log-block = Block it
log-same-device = All of this device
log-keep-name = Keep this search as
log-keep = Keep
log-keep-name-wrong = a search needs a name of 1 to 60 characters.
log-keep-long = this search is too long.
log-keep-many = you keep 20 searches already. Remove one first.
log-not-kept = “{ $name }” was not kept: { $why }
log-csv = These lines as a spreadsheet (10,000 at most)
log-evidence = Take out as evidence
log-holds = Legal holds
log-person = Requests about a person
log-who = Who was this?
log-place-gone = This page of the log can't be found. Search again.
log-no-profile = no profile

log-action-allowed = Allowed
log-action-blocked = Blocked
log-action-rewritten = Safer version
log-action-refused = Not let in
log-action-limited = Asked too often
log-action-failed = No answer
log-action-would = Would be blocked

log-reason-category = A category
log-reason-locked = A locked category
log-reason-block-rule = A block rule of the school
log-reason-allow-rule = An allow rule of the school
log-reason-exception = An allow rule with an end
log-reason-block-service = A closed service
log-reason-allow-service = An open service
log-reason-schedule = A schedule
log-reason-lesson = A lesson
log-reason-suspended = A suspended device
log-reason-allow-only = Not an approved site
log-reason-approved = An approved site
log-reason-essential = A site that everybody needs
log-reason-uncategorised = On no list
log-reason-newly-seen = New to the school
log-reason-safe-search = SafeSearch
log-reason-canary = Software that would go around the filter
log-reason-alias = Where the name leads
log-reason-address = The address of the site
log-reason-name-server = The servers of the site
log-reason-rebinding = A public name with an address inside
log-reason-default = Nothing spoke against it
log-reason-rate-limit = Asked too often
log-reason-network = A network that is not served
log-reason-overload = Too many questions at once

log-why-unknown = What decided is not known any more.
log-why-would = The profile only watches. Otherwise it would be blocked: { $why }
log-why-category = { $category } is blocked in { $profile } (list: { $list }).
log-why-locked = { $category } is locked for everyone, and nothing opens it.
log-why-block-rule = The school's rule for { $rule } blocks it.
log-why-allow-rule = The school's rule for { $rule } allows it.
log-why-exception = The school's rule for { $rule } allowed it for a time.
log-why-block-service = { $rule } is closed in { $profile }.
log-why-allow-service = { $rule } is open in { $profile }.
log-why-schedule = { $category } is allowed only at certain times in { $profile } ({ $rule }), and this was not one of them.
log-why-lesson = The lesson { $rule } lets this room reach only a few sites, and this is none of them.
log-why-suspended = The device is suspended, so it reaches only what everybody needs.
log-why-allow-only = { $profile } reaches only sites that were approved, and this is none of them.
log-why-approved = { $profile } reaches only sites that were approved, and this is one of them.
log-why-essential = Everybody needs it, so it is always allowed.
log-why-uncategorised = It is on no list, and { $profile } blocks such sites.
log-why-newly-seen = It is new to the school since { $detail }, and { $profile } blocks such sites.
log-why-safe-search = It was answered with the safe version of { $detail }.
log-why-canary = Software asks for this name to learn whether it may go around the filter. It was told no.
log-why-alias = It leads to { $detail }, which is blocked ({ $category }).
log-why-address = Its address { $detail } is on a list ({ $category }).
log-why-locked-address = Its address { $detail } is on a list of a locked category ({ $category }).
log-why-name-server = Its server { $detail } is on a list ({ $category }).
log-why-locked-name-server = Its server { $detail } is on a list of a locked category ({ $category }).
log-why-rebinding = It is a public name that leads to { $detail }, an address inside a network.
log-why-default = Nothing spoke against it in { $profile }.
log-why-open-now = It is open at this time ({ $rule }).
log-why-rate-limit = The device asked too often in a short time.
log-why-network = It came from a network that this box does not serve.
log-why-protocol = The question was not a proper one.
log-why-overload = Too many questions waited at this moment.
log-why-internal-error = Something went wrong inside the box. It is in the box's own log.

log-fact-address = Address
log-fact-mac = MAC address
log-fact-known = Known by
log-fact-category = Category
log-fact-list = List
log-fact-categories = Other categories
log-fact-answer = Answer
log-fact-kind = Kind of question
log-fact-took = Took
log-known-mac = its MAC address
log-known-address = its address
log-known-subnet = its network
log-known-fallback = nothing: the profile for unknown devices
log-sure-high = sure
log-sure-medium = fairly sure
log-sure-low = not sure
log-answer-given = given
log-answer-no-name = there is no such name
log-answer-failed = none could be had
log-answer-refused = refused
log-answer-bogus = , and proven to be forged
log-source-policy = from the filter
log-source-local = from the school's own names
log-source-cache = remembered
log-source-stale = remembered past its time, since the line was down
log-source-upstream = looked up

log-gap-flood = { $questions } questions of a device that asked far too much were counted only, between { $from } and { $until }.
log-gap-queue-full = { $questions } questions are missing between { $from } and { $until }: there were too many at once.
log-gap-disk-full = { $questions } questions are missing between { $from } and { $until }: the disk was full.
log-gap-disk-error = { $questions } questions are missing between { $from } and { $until }: the disk could not be written.
log-gap-other = { $questions } questions between { $from } and { $until } were counted only.
log-gap-day = The log of { $day } can't be read, so nothing of it is shown.

done-search-kept = Kept. It stands at the top of the log.
done-search-removed = Removed.
done-hold = The hold stands. Nothing that it covers is removed.
done-hold-lifted = The hold is lifted.

evidence-title = Take out as evidence
evidence-back = Back to the log
evidence-lead = A signed package of lines of the log, with the settings that were in force and what is known to be missing. Whoever gets it can check that nothing was changed.
evidence-why = One line, as for those who look at it in a year. It is kept in the audit and in the package.
evidence-make = Make the package
evidence-made = The package is made
evidence-rows = It has { $rows } lines.
evidence-whole = Nothing is known to be missing
evidence-gaps = This is known to be missing or different:
evidence-manifest = Write this down: it proves that the package is this one
evidence-key = Signed by this box's key
evidence-fetch = Fetch it
evidence-waits = It waits here for a day. Keep it where only those can read it who must.

holds-title = Legal holds
holds-lead = What may be evidence stays in the log for as long as a hold stands, however long it is kept otherwise.
holds-none = There is no hold: everything leaves the log when its time is over.
holds-number = Hold { $number }
holds-incident = Hold { $number }: { $incident }
holds-made = Made by { $by } on { $when }
holds-lifted = Lifted by { $by } on { $when }
holds-everybody = everybody
holds-who = Who
holds-matter = Hold
holds-end = End
holds-lift = Lift this hold
holds-lift-why = Why it can go
holds-add = A new hold
holds-incident-field = What the school calls the matter
holds-make = Make the hold
holds-past = Holds that were lifted

reveal-title = Who was this?
reveal-lead = A pseudonym in the log stands for one device on one day. While the key of that day is kept, the safeguarding lead can find out which device it was.
reveal-day = The log begins a new day at midnight UTC, which is 1 am in summer.
reveal-why = One line, as for those who look at it in a year. Every try is kept in the audit.
reveal-make = Find out
reveal-another = Another one
reveal-not-yours = Only the safeguarding lead can find out who stands behind a pseudonym. Give them the pseudonym, the day and your reason.
reveal-of = { $pseudonym } on { $day }
reveal-why-not = This can't be found out: { $why }.
reveal-device = Device
reveal-leased = Address given out
reveal-lease = from { $from } to { $to }
reveal-log = What else it asked that day
reveal-device-only = This is a device, not a person: who sat at it is for the school to find out.
reveal-audit = That you asked is in the audit, with your reason.

person-title = Requests about a person
person-lead = Somebody asks what the log has about them, wants it erased, or it has to be kept for longer. The log knows devices: which of them is whose is for the school to say.
person-client = Its name, MAC address or address, or a pseudonym of the log.
person-beginning = the oldest line
person-why = One line, as for those who look at it in a year. It is kept in the audit.
person-package = Take out what is held
person-package-says = A signed package with every line of the device, and what the school wrote down about it. Other people's data is left out.
person-hold = Keep it longer
person-hold-says = A legal hold: nothing that it covers is removed until it is lifted.
person-erase = Erase it
person-erase-says = You see first what would go, and confirm it then. What is under a legal hold stays.
person-holds = All legal holds

erase-nothing = The log has nothing of { $device } in this time
erase-would = { $lines ->
    [one] One line of { $device } would be erased
   *[other] { $lines } lines of { $device } would be erased
}
erase-done = { $lines ->
    [one] One line of { $device } is erased
   *[other] { $lines } lines of { $device } are erased
}
erase-days = Lines by day
erase-counts = { $lines ->
    [one] In the counts, one entry names the device.
   *[other] In the counts, { $lines } entries name the device.
}
erase-held = { $lines ->
    [one] One line stays for legal hold { $number }.
   *[other] { $lines } lines stay for legal hold { $number }.
}
erase-unknowable = On these days some devices were logged under pseudonyms that nobody can reverse any more: { $days }.
erase-failed = This was not done: { $why }
erase-sure = What is erased can't be brought back. Evidence that was taken out before is not changed.
erase-go = Erase these lines
