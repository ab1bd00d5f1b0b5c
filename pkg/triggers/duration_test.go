package triggers

import (
	"testing"
	"time"
)

func TestDurationsAsPeopleReadThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 24 * time.Hour: "1d", 375 * time.Millisecond: "375ms",
		22500 * time.Millisecond: "22.5s", 9374999999: "9.37s", 432123456789: "7m12s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
