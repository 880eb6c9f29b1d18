overview-title = Overview
overview-is-live = This page follows the box as it works.
overview-is-paused = This page stands still.
overview-pause = Pause
overview-go-on = Go on
overview-good = Filtering works.
overview-look = Filtering works. Something needs a look.
overview-trial = Trial: filtering begins by itself { $days ->
    [0] within a minute
    [one] tomorrow
   *[other] in { $days } days, on { $day }
  }.
overview-watching = A profile only watches: there, nothing but locked and security categories is blocked.
overview-bad = Something does not work.
overview-pace = { $number } questions a minute
overview-attention = What needs attention
overview-works = Works
overview-look-at-it = Look at it
overview-broken = Does not work
overview-resolver = Finding sites
overview-resolver-fact = { $resolved } questions looked up this hour, { $failed } without an answer
overview-resolver-idle = Nothing was asked this hour
overview-lists = Lists
overview-lists-fact = { $lists ->
    [one] One list with { $names } names.
   *[other] { $lists } lists with { $names } names.
}
overview-lists-newest = The newest came on { $when }.
overview-log = Query log
overview-log-fact = Last written { $when }
overview-log-idle = Nothing to write since the start
overview-disk = Disk
overview-disk-fact = { $free } of { $size } are free
overview-disk-unknown = The box can't say how full it is
overview-clock = Clock
overview-clock-fact = { $now } ({ $zone })
overview-certificate = Certificate
overview-certificate-fact = Holds until { $day }
overview-certificate-other = Another program in front of the box has it
overview-certificate-none = These pages are served without one
overview-settings = Settings
overview-settings-fact = Version { $revision } of the school's settings is in force
overview-settings-shipped = The settings that ship with the box are in force
overview-day = The last 24 hours
overview-unreadable = The figures can't be read. What happened is in the box's own log; please tell the technician.
overview-empty = Nobody has asked for a name yet. Once devices use this box for DNS, you see here what they ask for and what is blocked.
overview-asked = questions
overview-blocked = of them blocked
overview-share = blocked
overview-chart-questions = Questions an hour
overview-chart-blocked = Blocked an hour
overview-profiles = Questions by profile
overview-profile = Profile
overview-questions = Questions
overview-stopped = Blocked
overview-share-short = Share
overview-numbers = The numbers of each hour
overview-numbers-how = Questions, and how many of them were blocked, by profile; the newest hour stands first.
overview-hour = Hour
overview-no-profile = Not let in
overview-no-category = No category
overview-top-categories = Blocked most: categories
overview-top-names = Blocked most: sites
overview-top-clients = Blocked most: devices
overview-nothing-blocked = Nothing was blocked.
overview-no-hour-yet = Nothing yet. This is counted after each full hour.
