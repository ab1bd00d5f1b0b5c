package triggers

import (
	"testing"
	"time"
)

func TestEvidenceIsSaidInASentence(t *testing.T) {
	eightOfTwenty := Evidence{Over: 20 * time.Minute, Bad: 8, Of: 20, Limit: 0.08, Harmless: 0.06, Chance: 1.099e-5}
	lost := Evidence{Over: 10 * time.Minute, Bad: 85, Of: 100, Limit: 0.315, Below: true, Harmless: 0.6325, Chance: 1.325e-12}
	for _, test := range []struct {
		name string
		got  string
		want string
	}{
		{"enough", eightOfTwenty.Sentence(), "8 of 20 in 20m (40%), limit 8%; were it 6%, chance would show so many once in 91,000 windows"},
		{"below a limit", lost.Sentence(),
			"15 of 100 in 10m (15%), limit 31.5%; were it 36.8%, chance would show so few less than once in a thousand million windows"},
		{"a query has no counts", Evidence{Limit: 5}.Sentence(), ""},
		{"waiting", waiting(Evidence{Over: 40 * time.Minute, Bad: 3, Of: 11, Limit: 0.08, Harmless: 0.06}),
			"3 of 11 in 40m, limit 8%: not enough to tell; 6 of them would be"},
		{"waiting, though there are enough", waiting(Evidence{Over: 20 * time.Minute, Bad: 8, Of: 20, Limit: 0.08, Harmless: 0.06}),
			"8 of 20 in 20m, limit 8%: not enough to tell, for a single 5m has most of them"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, test.got, test.want)
		}
	}
}

func waiting(e Evidence) string {
	c := &Condition{Comparison: Above, Limit: 0.08, For: 10 * time.Minute, Clears: &Clears{Comparison: Below, Limit: 0.06}}
	h := NewHistory(Grid{Interval: 15 * time.Second}, time.Hour, Shape{Ratio: true, Reads: 5 * time.Minute})
	return Breach{Condition: c, Series: Series{history: h}, Evidence: e}.Waiting()
}
