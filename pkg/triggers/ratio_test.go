package triggers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// samples reads "service=a 3; service=b 4".
func samples(t testing.TB, text string) []triggers.Sample {
	var all []triggers.Sample
	for one := range strings.SplitSeq(text, ";") {
		if fields := strings.Fields(one); len(fields) > 0 {
			all = append(all, triggers.Sample{Labels: segment(fields[0]), V: number(t, fields[len(fields)-1])})
		}
	}
	return all
}

func TestShare(t *testing.T) {
	const born, unborn = true, false // whether a missing numerator is 0
	tests := []struct {
		name                   string
		numerator, denominator string
		zeroBorn               bool
		want                   string
	}{
		{"equal label sets meet", "service=a 1; service=b 2", "service=a 10; service=b 20", unborn, `{service="a"} 1/10; {service="b"} 2/20`},
		{"in whatever order they come", "service=b 2; service=a 1; service=c 3", "service=a 10; service=c 30; service=b 20", unborn, `{service="a"} 1/10; {service="b"} 2/20; {service="c"} 3/30`},
		{"no labels at all is a label set", "x 3", "x 10", unborn, `{} 3/10`},
		{"a missing numerator is 0 where its counter may not be born yet", "service=a 1", "service=a 10; service=b 20", born, `{service="a"} 1/10; {service="b"} 0/20`},
		{"all of them may be missing", "", "service=a 10; service=b 20", born, `{service="a"} 0/10; {service="b"} 0/20`},
		{"else it is no data", "service=a 1", "service=a 10; service=b 20", unborn, `{service="a"} 1/10`},
		{"a missing denominator is no data", "service=a 1; service=b 2", "service=a 10", born, `{service="a"} 1/10`},
		{"and takes the zero from nobody else", "service=a 1; service=c 2", "service=a 10; service=b 20", born, `{service="a"} 1/10; {service="b"} 0/20`},
		{"a numerator with more labels meets the denominator of the shared ones", "service=a,version=1 2; service=a,version=2 8; service=b,version=1 5", "service=b 5; service=a 10", unborn, `{service="a", version="1"} 2/10; {service="a", version="2"} 8/10; {service="b", version="1"} 5/5`},
		{"a denominator without labels is everybody's", "version=1 2; version=2 8", "x 10", unborn, `{version="1"} 2/10; {version="2"} 8/10`},
		{"beside numerators with more labels nothing is 0", "service=a,version=1 2", "service=a 10; service=b 20", born, `{service="a", version="1"} 2/10`},
		{"two denominators that would fit are none", "service=a,tier=paid,lang=en 2", "service=a,tier=paid 10; service=a,lang=en 20", unborn, ``},
		{"a numerator with fewer labels than the denominators fits none of them", "service=a 2", "service=a,tier=paid 10; service=a,tier=free 20", unborn, ``},
		{"a value that disagrees is no match", "service=a,version=1 2", "service=b 10", unborn, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range triggers.Share(samples(t, test.numerator), samples(t, test.denominator), test.zeroBorn) {
				got = append(got, fmt.Sprintf("%s %v/%v", p.Labels, p.V, p.Of))
			}
			slices.Sort(got)
			if joined := strings.Join(got, "; "); joined != test.want {
				t.Errorf("%s\nwant %s", joined, test.want)
			}
		})
	}
}
