health-lists-lost = The school's lists are not in force; the starter lists filter meanwhile.
health-list-held = { $list }: a new version looks wrong and waits for somebody to accept it. The version of before filters meanwhile.
health-list-missing = { $list }: it could not be fetched yet, so nothing of it is in force.
health-list-stale = { $list }: it can't be fetched. It was last up to date on { $since }, and that version filters meanwhile.
health-list-never = { $list }: it can't be fetched. The version that the box has filters meanwhile.
health-supplier-missing = Nobody is named as supplier of lists of illegal content: { $category }.
health-supplier-overdue = Somebody should verify that the lists of illegal content are supplied: { $category }.
health-log-off = Questions are not recorded.
health-log-failing = The query log can't be written. Filtering goes on.
health-log-lost = { $questions ->
    [one] One question is missing in the query log.
   *[other] { $questions } questions are missing in the query log.
}
health-log-damaged = A damaged file of the query log was set aside, and a new one begun.
health-log-sink = What is logged does not reach the collector at { $to }.
health-log-keeping = Old days of the query log can't be tidied as they should.
health-disk-low = Only { $free } of the disk are free.
health-disk-full = The disk is full: the oldest days of the query log are deleted to make room.
health-clock-not-set = The clock is not set, so schedules and certificates can't be relied on.
health-clock-back = The clock went back.
health-certificate = The certificate of these pages needs somebody to look at it.
health-certificate-ended = The certificate of these pages has ended.
health-settings = The school's settings can't be read, so nothing can be changed. The last published policy filters meanwhile.
health-no-key = The box's secret key can't be read, so lists of illegal content can't be opened and second factors can't be checked.
health-failing = { $percent } % of questions could not be answered lately. Is the line down?
health-contact-unconfirmed = Nobody knows whether messages to the safeguarding lead arrive: send them a code.
health-review-due = It is time to look at who has access: the review of users is due.
health-backup-failed = The last backup was not made, or could not be brought away.
health-drill-due = Nobody has tried for a year whether a backup can be restored: do a restore drill.
