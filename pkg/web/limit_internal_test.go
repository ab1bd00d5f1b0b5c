package web

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestTheMemoryOfCallersIsBounded(t *testing.T) {
	l, now := newLimits(1, 2), time.Unix(0, 0)
	for i := range 3 * mostCallers {
		l.take(strconv.Itoa(i), now)
		if len(l.callers) > mostCallers {
			t.Fatalf("%d callers", len(l.callers))
		}
	}
	l.take("busy", now.Add(time.Hour))
	l.take("busy", now.Add(time.Hour))
	for i := range mostCallers / 2 {
		l.take("n"+strconv.Itoa(i), now.Add(time.Hour))
	}
	if wait, _ := l.take("busy", now.Add(time.Hour)); wait == 0 {
		t.Error("whoever is over the limit was forgotten before those who asked an hour ago")
	}
}

func TestWhatIsGivenBackWasNotUsed(t *testing.T) {
	l, now := newLimits(1, 2), time.Unix(0, 0)
	for range 10 {
		if wait, giveBack := l.take("a", now); wait == 0 {
			giveBack()
		} else {
			t.Fatal("waits")
		}
	}
	for i := range 4 {
		if wait, _ := l.take("a", now); (wait == 0) != (i < 2) {
			t.Errorf("%d: waits %s", i, wait)
		}
	}
}

func TestOneMachineIsOneCaller(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::1": "::/64",
	} {
		if got := addressKey(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
