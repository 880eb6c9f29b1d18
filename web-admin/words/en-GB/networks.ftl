networks-title = Networks and devices
networks-lead = A device gets the profile of the network that it is in, unless it is known by name here. Of networks within each other, the narrower one counts.
networks-changed = Your last change is in force.
networks-strangers = In no network
networks-strangers-lead = These asked in the last 7 days and are in none of the networks below. They get the profile for unknown devices.
networks-hidden = { $count ->
    [one] 1 more is known by a pseudonym only.
   *[other] { $count } more are known by a pseudonym only.
  }
networks-probably = Probable network
networks-devices = Devices
networks-count = { $count ->
    [one] 1 device
   *[other] { $count } devices
  }
networks-more = and { $count } more
networks-last = Last seen
networks-give = Give it a profile
networks-networks = Networks
networks-network = Network
networks-profile = Profile
networks-note = To know
networks-change = Change
networks-change-of = Change { $name }
networks-remove = Remove
networks-remove-of = Remove { $name }
networks-remove-ask = Remove this device, also from groups and rules?
networks-empty = No network has a profile yet, so every device gets the one for unknown devices. Add the school's networks below.
networks-within = Within { $network } ({ $profile }). This one counts.
networks-within-others = Within { $network }, which is for others ({ $profile }). Is that meant?
networks-add = Add networks
networks-subnets = Networks
networks-subnets-hint = One a line. A network that another profile has moves.
networks-choose = Please choose
networks-why-hint = One line, for the record. Asked for where the network gets a profile that opens more.
networks-add-button = Add
networks-none-written = Please write at least one network.
networks-wrong = These are no networks:
networks-no-profile = Please choose the profile.
networks-fallback = Unknown devices
networks-fallback-hint = What a device gets that is in none of these networks and not known by name.
networks-fallback-title = The profile of unknown devices
networks-strictest = The strictest for pupils
networks-save = Save
networks-no-devices = No device is known by name yet. Name one to give it its own profile, or to suspend it.
networks-name = Name
networks-address = Address
networks-state = State
networks-suspended = Suspended
networks-usual = As usual
networks-suspend = Suspend
networks-lift = Lift
networks-lift-title = Lift a suspension
networks-unlike = Its network has { $profile }.
networks-by-network = { $profile } (its network)
networks-by-fallback = Unknown devices
networks-by-its-network = That of its network
networks-no-network = It is in none of the networks.
networks-add-device = Add a device
networks-new-device = Add a device
networks-device-lead = A device is recognised by its MAC address, or by an address that stays the same.
networks-name-example = Library tablet 3
networks-address-hint = Only where it stays the same.
networks-mac = MAC address
networks-mac-hint = As in the device's settings under network.
networks-suspended-label = Suspended: it reaches only what is essential, such as help lines and exam boards
networks-device-why = One line, for the record. Asked for where something opens.
networks-no-name = Please write a name of at most 80 characters.
networks-taken = There is { $name } already. Choose another name.
networks-remove-device-title = Remove a device
networks-groups = Groups
networks-groups-lead = Some devices and networks for which a category can be open while it is closed for others: “For some”.
networks-no-groups = There are no groups yet.
networks-members = Members
networks-members-hint = Names of devices, addresses, networks or MAC addresses, one a line.
networks-known-devices = Known by name:
networks-uses = Used by
networks-cells = { $count ->
    [0] nothing
    [one] 1 category
   *[other] { $count } categories
  }
networks-add-group = Add a group
networks-new-group = Add a group
networks-group-name-hint = Small letters, digits and hyphens.
networks-remove-group-title = Remove a group
networks-subnet-title = A network
networks-subnet-of = Network { $network }
networks-take-out = None: take it out
networks-take-out-hint = A network that is taken out gets the profile of the network around it, or that of unknown devices.
networks-loopback = The box itself.
