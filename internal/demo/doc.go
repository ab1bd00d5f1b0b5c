// Package demo is the story that `irdaemon demo` plays: a simulated support bot whose prompt and retrieval index both
// go bad, the operator who rolls them back, and the incident as it must come out.
//
// Everything here is a function of the story's clock. The bot's counters are the integrals of its rates, without
// noise and without state, so the same story time gives the same numbers, on every machine and at every speed, and
// the day before the story can be written into a database in one go.
//
//   - Scenario is the story as data; WorkedExample is the one that ships.
//   - Clock maps the story's time to real time.
//   - Bot serves the scenario's metrics.
//   - Printer tells what happens, a line at a time.
//   - Expectation is the timeline that the daemon must produce; Check names every difference.
package demo
