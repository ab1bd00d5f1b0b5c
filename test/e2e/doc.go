// Package e2e holds the end-to-end tests: the daemon as a process of its own between a real Prometheus, which scrapes
// a simulated bot, and those whom it pages: a real Alertmanager, webhook receivers, an SMTP server, and small servers that
// take and send what the documentation of PagerDuty and Slack says. The tests know the daemon only from outside: files,
// commands, HTTP, signals.
//
// They need the two programs and take minutes, so they are built with the tag e2e alone: `make e2e` runs them, and
// `make test` after the unit tests. A plain `go test ./...` leaves them out and says of this package "no test files".
package e2e
