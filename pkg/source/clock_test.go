package source

import (
	"net/http"
	"testing"
	"time"
)

func TestClocksAnHourApartAreNoticed(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"together": 0, "ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			p := prometheusAt(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
				_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
			})
			if _, err := p.Instant(t.Context(), "up", time.Now()); err != nil {
				t.Fatal(err)
			}
			if off := p.ClockAhead() - ahead; off < -2*time.Second || off > 2*time.Second {
				t.Errorf("its clock is told to be %s ahead, want %s", p.ClockAhead(), ahead)
			}
		})
	}
}
