"""The history: what became of each occasion. A master keeps it; a run neither needs it nor imports its library."""
