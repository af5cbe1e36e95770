"""Who is told of what: rules over what was seen, the state of each, and the channels by which people hear of it."""
