package web

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How much a caller may ask. Reads are generous: a wall of dashboards behind one address is no attack. A person who
// mistypes a password ten times in a minute takes a break; a guesser at this rate is at it for ever.
const (
	readsASecond, readsAtOnce  = 100, 1000
	writesASecond, writesBurst = 10, 50
	failuresAMinute            = 10
)

// mostCallers is how many callers are told apart at a time.
const mostCallers = 10_000

// limits bounds what each caller may do. Its memory is bounded: callers who have not used any of their allowance are
// forgotten first, for a stranger has as much; then whoever comes to hand.
type limits struct {
	every rate.Limit
	burst int

	mutex   sync.Mutex
	callers map[string]*rate.Limiter
}

func newLimits(every rate.Limit, burst int) *limits {
	return &limits{every: every, burst: burst, callers: map[string]*rate.Limiter{}}
}

// take uses one of the caller's allowance. A wait above 0 is how long it takes until there is one; then none was used.
// giveBack undoes it.
func (l *limits) take(caller string, now time.Time) (wait time.Duration, giveBack func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	limiter, known := l.callers[caller]
	if !known {
		if len(l.callers) >= mostCallers {
			l.forget(now)
		}
		limiter = rate.NewLimiter(l.every, l.burst)
		l.callers[caller] = limiter
	}
	one := limiter.ReserveN(now, 1)
	if wait := one.DelayFrom(now); wait > 0 {
		one.CancelAt(now)
		return wait, func() {}
	}
	return 0, func() { one.CancelAt(now) }
}

// forget makes room for a tenth of all callers at least, so that it is seldom needed.
func (l *limits) forget(now time.Time) {
	for caller, limiter := range l.callers {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.callers, caller)
		}
	}
	for caller := range l.callers {
		if len(l.callers) <= mostCallers*9/10 {
			return
		}
		delete(l.callers, caller)
	}
}

// addressKey is the caller behind an address. Of IPv6 it is the network, of which one machine has all addresses.
func addressKey(address netip.Addr) string {
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.String()
		}
	}
	return address.String()
}

// tooMany refuses for a while.
func tooMany(w http.ResponseWriter, what string, wait time.Duration) *Problem {
	seconds := strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
	w.Header().Set("Retry-After", seconds)
	return newProblem(http.StatusTooManyRequests, what, "again in "+seconds+" s")
}
