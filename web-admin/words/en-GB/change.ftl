change-reason-wanted = Please say why: this opens something, or watches it less closely. Nothing was changed yet.
change-collision = { $who } changed the policy meanwhile ({ $when }), so nothing was changed now. This is what changed:
change-in-the-way = This can't be undone by itself any more, since others changed the policy after it:
change-wrong = Nothing was changed, since something is not right:
change-why = Why
change-why-hint = One line, for the record and for whoever reviews this.
change-undo = Undo
change-revision-old = Somebody changed the policy meanwhile. Look at the page again.
done-undone = It is as it was before.

effect-title = What it would have changed in the last 7 days
effect-loading = Looking at the last 7 days…
effect-none = Nothing that anybody asked for in the last 7 days.
effect-blocked = Newly blocked: { $names ->
    [one] 1 name
   *[other] { $names } names
  }, { $questions ->
    [one] 1 question
   *[other] { $questions } questions
  }, { $networks ->
    [one] 1 network
   *[other] { $networks } networks
  }
effect-opened = Newly open: { $names ->
    [one] 1 name
   *[other] { $names } names
  }, { $questions ->
    [one] 1 question
   *[other] { $questions } questions
  }, { $networks ->
    [one] 1 network
   *[other] { $networks } networks
  }
effect-name = Name
effect-questions = Questions
effect-networks = Networks
effect-profiles = Who asked
effect-more = And { $names } more.
effect-cut = A part of the log was looked at, so these numbers are estimates.
effect-preview = Show what it would change
change-leave = Leave it as it is
