package demo

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrinterAlignsItsColumns(t *testing.T) {
	var out strings.Builder
	printer := NewPrinter(&out)
	printer.Print(storyTime(14, 10, 0), "opened", "sev2  Refusal rate 19% (4%)")
	printer.Print(storyTime(14, 41, 15), "trigger_cleared", "below 8% for 10m")
	printer.Print(storyTime(14, 49, 30), "resolved", "")
	printer.Print(storyTime(14, 50, 0), "note", "first line\nsecond → line")
	want := `14:10:00  opened           sev2  Refusal rate 19% (4%)
14:41:15  trigger_cleared  below 8% for 10m
14:49:30  resolved
14:50:00  note             first line
                           second → line
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPrinterKeepsToAHundredColumns(t *testing.T) {
	var out strings.Builder
	NewPrinter(&out).Print(storyTime(14, 10, 0), "opened", strings.Repeat("nineteen ", 30)+strings.Repeat("x", 200))
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) < 6 {
		t.Fatalf("%d lines, want the text to go on below itself", len(lines))
	}
	for i, line := range lines {
		if utf8.RuneCountInString(line) > 100 {
			t.Errorf("line %d is wider than 100 columns: %q", i, line)
		}
		if i > 0 && !strings.HasPrefix(line, strings.Repeat(" ", textColumn)) {
			t.Errorf("line %d is not below the text: %q", i, line)
		}
	}
	if got := strings.Count(out.String(), "nineteen"); got != 30 {
		t.Errorf("%d of 30 words came through", got)
	}
}

func TestTextsBreakBetweenWords(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"a text that fits stays as it is", "ab  cd ef", []string{"ab  cd ef"}},
		{"a line may be full", "abcd efghi klm", []string{"abcd efghi", "klm"}},
		{"a word that doesn't fit goes to the next line", "abcd efghij k", []string{"abcd", "efghij k"}},
		{"a word longer than a line is cut", "ab cdefghijklmno", []string{"ab", "cdefghijkl", "mno"}},
		{"characters are counted, not bytes", "→→→→ →→→→→ →", []string{"→→→→ →→→→→", "→"}},
		{"nothing is one empty line", "", []string{""}},
	} {
		if got := wrap(test.text, 10); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestOnlyATerminalGetsColours(t *testing.T) {
	var out strings.Builder
	printer := NewPrinter(&out)
	printer.Print(storyTime(14, 10, 0), "opened", "sev2")
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("colour in %q", out.String())
	}
	plain := out.String()
	out.Reset()
	printer.colour = true
	printer.Print(storyTime(14, 10, 0), "opened", "sev2")
	if !strings.Contains(out.String(), "\x1b[1;31mopened\x1b[0m ") {
		t.Errorf("no colour in %q", out.String())
	}
	if got := strings.NewReplacer("\x1b[1;31m", "", "\x1b[0m", "").Replace(out.String()); got != plain {
		t.Errorf("colours move the columns: %q, plain %q", got, plain)
	}
}
