"""Running a graph: keys, plan, executor, events, lock files, the engine."""
