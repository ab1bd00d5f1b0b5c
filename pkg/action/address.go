package action

import (
	"errors"

	"github.com/irdaemon/irdaemon/internal/guard"
)

// barredError says that a host's address is one that no connector may reach.
type barredError struct{ barred *guard.Barred }

func (e *barredError) Error() string {
	return e.barred.Error() + ": connectors may not reach it"
}

// checkAddress refuses the addresses that no connector may reach. Loopback and private ones are where connectors live.
// It is asked when a connection is made, after the name was resolved, so that a name can't change in between.
func checkAddress(address string, loopbackOnly bool) error {
	err := guard.Check(address)
	var barred *guard.Barred
	switch {
	case errors.As(err, &barred):
		return &barredError{barred}
	case err != nil || !loopbackOnly:
		return err
	}
	ip, err := guard.IP(address)
	if err == nil && !ip.IsLoopback() {
		return &barredError{&guard.Barred{Address: ip, Why: "not this machine, and the connector's url is not https"}}
	}
	return err
}
