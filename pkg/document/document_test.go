package document_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// table is a document with a field of every kind.
type table struct {
	Text     string
	Flag     bool
	Count    int
	Number   float64
	Duration time.Duration
	Share    float64
	Rises    float64
	Day      time.Time
	Word     string
	Texts    []string
	Labels   map[string][]string
	Names    []string
	Address  string
	Tree     any
	Inner    []*table
	Named    map[string]*table
}

func (d *table) read(v document.Value) {
	v.Object(
		document.Field{Key: "text", Required: true, Missing: "text: any", Read: document.Into(&d.Text, document.Value.Text)},
		document.Field{Key: "flag", Read: document.Into(&d.Flag, document.Value.Bool)},
		document.Field{Key: "count", Read: document.Into(&d.Count, document.Value.PositiveInt)},
		document.Field{Key: "number", Read: document.Into(&d.Number, document.Value.Number)},
		document.Field{Key: "duration", Read: document.Into(&d.Duration, document.Value.Duration)},
		document.Field{Key: "share", Read: document.Into(&d.Share, document.Value.Share)},
		document.Field{Key: "rises", Read: document.Into(&d.Rises, document.Value.Multiple)},
		document.Field{Key: "day", Read: document.Into(&d.Day, document.Value.Date)},
		document.Field{Key: "word", Read: document.Into(&d.Word, document.Word("up", "down"))},
		document.Field{Key: "texts", Read: document.Into(&d.Texts, document.Value.SomeTexts)},
		document.Field{Key: "labels", Read: document.Into(&d.Labels, document.Value.Labels)},
		document.Field{Key: "names", Read: document.Into(&d.Names, document.Value.LabelNames)},
		document.Field{Key: "address", Read: document.Into(&d.Address, document.Value.Address)},
		document.Field{Key: "tree", Read: document.Into(&d.Tree, document.Value.Tree)},
		document.Field{Key: "inner", Read: func(v document.Value) {
			v.Items(func(v document.Value) {
				inner := &table{}
				inner.read(v)
				d.Inner = append(d.Inner, inner)
			})
		}},
		document.Field{Key: "named", Read: func(v document.Value) {
			v.Named(func(name string, _ document.Place, v document.Value) {
				if d.Named == nil {
					d.Named = map[string]*table{}
				}
				d.Named[name] = &table{}
				d.Named[name].read(v)
			})
		}},
	)
}

func read(text string, options ...document.Option) (*table, *document.Report) {
	report := &document.Report{}
	d := &table{}
	if v, ok := document.Parse("f.yaml", []byte(text), report, options...); ok {
		d.read(v)
	}
	report.Sort()
	return d, report
}

func TestEveryKindIsRead(t *testing.T) {
	got, report := read(`text: 0500
flag: true
count: 3
number: 1.5e3
duration: 7s500ms
share: 15%
rises: 50%
day: 2027-03-01
word: up
texts: [yes, no]
labels: {tier: paid, language: [en, de], code: 0200}
names: [service]
address: https://example.org
tree: {a: [1, 2.5, true, null, x, 2027-03-01]}
inner:
  - &inner {text: a, share: 0.5, rises: 2x}
  - *inner
  - {<<: *inner, share: 25%}
`)
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	want := &table{
		Text: "0500", Flag: true, Count: 3, Number: 1500, Duration: 7500 * time.Millisecond, Share: 0.15, Rises: 1.5,
		Day: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), Word: "up", Texts: []string{"yes", "no"},
		Labels: map[string][]string{"tier": {"paid"}, "language": {"en", "de"}, "code": {"0200"}}, Names: []string{"service"},
		Address: "https://example.org",
		Tree:    map[string]any{"a": []any{1.0, 2.5, true, nil, "x", "2027-03-01"}},
		Inner:   []*table{{Text: "a", Share: 0.5, Rises: 2}, {Text: "a", Share: 0.5, Rises: 2}, {Text: "a", Share: 0.25, Rises: 2}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAllProblemsAreFoundInOneRunInTheOrderOfTheFile(t *testing.T) {
	_, report := read(`flag: yes
count: 1.5
number: .inf
duration: 10
share: 1.5
rises: 1x
day: tomorrow
word: upp
texts: []
labels: {a-b: c, d: [e, {}]}
names: ["1"]
address: example.org
inner: [{text: }]
`)
	want := []string{
		`f.yaml:1:1: text: is missing; text: any`,
		"f.yaml:1:7: flag: `yes` is neither; true or false",
		"f.yaml:2:8: count: `1.5` is not allowed; a whole number of at least 1",
		"f.yaml:3:9: number: `.inf` is not a number; a number such as 12 or 0.5",
		"f.yaml:4:11: duration: `10` has no unit; a duration such as 30s, 10m, 1h30m, 1d",
		"f.yaml:5:8: share: `1.5` is more than the whole; write 1.5%, or a share from 0 to 1",
		"f.yaml:6:8: rises: `1x` does not rise; a multiple above 1x, such as 2x",
		"f.yaml:7:6: day: `tomorrow` is not a date; a date such as 2027-03-01",
		"f.yaml:8:7: word: unknown word `upp`; did you mean up? allowed are up, down",
		"f.yaml:9:8: texts: the list is empty; at least one item",
		"f.yaml:10:10: labels.a-b: `a-b` is not a label name; letters, digits and _",
		"f.yaml:10:25: labels.d[1]: a map stands here; a text",
		"f.yaml:11:8: names: `1` is not a label name; letters, digits and _",
		"f.yaml:12:10: address: `example.org` is not an http address; an address such as http://prometheus:9090",
		"f.yaml:13:16: inner[0].text: nothing stands here; a text",
	}
	var got []string
	for _, p := range report.Problems {
		got = append(got, p.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheEnvironmentIsExpandedWhenAskedForAndNeverShown(t *testing.T) {
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"WORD": "geheim", "COUNT": "7", "TOKEN": "s3cret"}[name]
		return value, ok
	}
	got, report := read("text: a ${WORD} $${b}\ncount: ${COUNT}\n", document.WithEnvironment(lookup))
	if err := report.Err(document.Error); err != nil || got.Text != "a geheim ${b}" || got.Count != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	_, report = read("text: a\nduration: ${TOKEN}\nnumber: ${TOKEN}\nword: '${TOKEN}'\naddress: ftp://${TOKEN}\n", document.WithEnvironment(lookup))
	if err := report.Err(document.Error); err == nil || len(report.Problems) != 4 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an expanded text is shown: %v", err)
	}
	got, _ = read("text: ${WORD}\n")
	if got.Text != "${WORD}" {
		t.Errorf("%q is expanded without being asked for", got.Text)
	}
}

func TestLargeAndEndlessDocumentsAreRefused(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'n'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 8) + "]\n"
	}
	for name, text := range map[string]string{
		"aliases that multiply":  bomb,
		"a map inside itself":    "inner: &i [{inner: *i}]\n",
		"a hundred levels":       strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"more than a mebibyte":   "text: " + strings.Repeat("x", 1<<20),
		"a long text, many time": "text: &t " + strings.Repeat("x", 1<<19) + "\ntexts: [" + strings.Repeat("*t,", 100) + "]\n",
	} {
		began := time.Now()
		if _, report := read(text); report.Count(document.Error) != 1 {
			t.Errorf("%s: %v", name, report.Problems)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s takes %v", name, took)
		}
	}
}

func TestAPlaceInsideATextIsFound(t *testing.T) {
	for _, test := range []struct {
		text      string
		line, col int
	}{
		{"text: abc-X\n", 1, 11},
		{"text: 'ä-X'\n", 1, 10},
		{"text: \"a\\tX\"\n", 1, 7}, // an escape: the beginning
		{"text: |\n  a\n   bX\n", 3, 5},
		{"text: >\n  a\n  bX\n", 1, 7}, // folded: the beginning
	} {
		var at document.Place
		report := &document.Report{}
		v, _ := document.Parse("f", []byte(test.text), report)
		v.Object(document.Field{Key: "text", Read: func(v document.Value) {
			text, _ := v.Text()
			at = v.At(strings.Index(text, "X"))
		}})
		if at.Line != test.line || at.Col != test.col {
			t.Errorf("%q: %d:%d, want %d:%d", test.text, at.Line, at.Col, test.line, test.col)
		}
	}
}

func TestASyntaxErrorInALongFileIsFoundQuickly(t *testing.T) {
	text := strings.Repeat("key: [a, b]\n", 5000) + "broken: [\n" + strings.Repeat("other: {a: b}\n", 5000)
	began := time.Now()
	_, report := read(text)
	if report.Count(document.Error) != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", report.Problems, time.Since(began))
	}
}

// FuzzRead holds reading to three promises: it never panics, it ends, and every problem has a line.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"text: a\n", "inner: [{text: &a b}, *a]\n", "<<: {text: a}\n", "text: {{ .A }}\n", "? [a]\n: b\n", "a: b: c\n",
		"\tx", "named: {a: {text: |\n  b}}", "tree: !!binary x\n", "--- \n...\n--- b", "text: ${A} $${B} ${\n", "inner: &i [*i]\n", "&a [*a]", "*a", "<<: *a",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		defer time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("%q takes for ever", text)) }).Stop()
		report := &document.Report{}
		v, ok := document.Parse("f", text, report, document.WithEnvironment(func(string) (string, bool) { return "x", true }))
		if ok {
			(&table{}).read(v)
			v.Scalars(func(v document.Value) { v.At(1) })
			v.YAML()
		} else if len(report.Problems) == 0 {
			t.Fatal("refused without a reason")
		}
		for _, p := range report.Problems {
			if p.Place.Line < 1 || p.Place.Col < 1 || p.What == "" {
				t.Fatalf("%#v", p)
			}
		}
	})
}
