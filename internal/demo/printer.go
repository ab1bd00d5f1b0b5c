package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	lineWidth  = 100 // columns
	wordWidth  = 15  // columns of the widest word, trigger_cleared
	textColumn = len("15:04:05") + 2 + wordWidth + 2
)

// wordColours are the terminal colours of words that stand out. A word that isn't here is plain.
var wordColours = map[string]string{
	"harm":         "\x1b[31m",
	"opened":       "\x1b[1;31m",
	"paged":        "\x1b[1;31m",
	"relapsed":     "\x1b[1;31m",
	"reopened":     "\x1b[1;31m",
	"hold_broken":  "\x1b[31m",
	"acknowledged": "\x1b[33m",
	"operator":     "\x1b[36m",
	"effect":       "\x1b[36m",
	"hold_started": "\x1b[32m",
	"resolved":     "\x1b[1;32m",
}

const colourEnd = "\x1b[0m"

// Printer tells the story: a line for each thing that happens, in three columns (the story's clock, a word, a text),
// at most 100 columns wide; a longer text goes on below itself. It may be used from several goroutines. A failing
// writer is ignored: what happens doesn't depend on somebody watching.
type Printer struct {
	mutex  sync.Mutex
	out    io.Writer
	colour bool
}

// NewPrinter gives a printer to out. Words are coloured when out is a terminal.
func NewPrinter(out io.Writer) *Printer {
	return &Printer{out: out, colour: isTerminal(out)}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Print prints one line of the story. A line feed in the text starts a new line below it.
func (p *Printer) Print(at time.Time, word, text string) {
	padding := strings.Repeat(" ", max(0, wordWidth-utf8.RuneCountInString(word)))
	if colour, ok := wordColours[word]; ok && p.colour {
		word = colour + word + colourEnd
	}
	lines := wrap(text, lineWidth-textColumn)
	var block strings.Builder
	head := fmt.Sprintf("%s  %s%s  %s", at.UTC().Format(time.TimeOnly), word, padding, lines[0])
	block.WriteString(strings.TrimRight(head, " ") + "\n")
	for _, line := range lines[1:] {
		block.WriteString(strings.Repeat(" ", textColumn) + line + "\n")
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	_, _ = io.WriteString(p.out, block.String())
}

// wrap breaks a text between words into lines of at most width characters, at least one. A word that is longer than
// a line is cut, for a link that is cut can be put together again and a torn table can't.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.Lines(text) {
		paragraph = strings.TrimRight(paragraph, " \r\n")
		if utf8.RuneCountInString(paragraph) <= width {
			lines = append(lines, paragraph)
			continue
		}
		var line []rune
		for _, word := range strings.Fields(paragraph) {
			runes := []rune(word)
			if len(line) > 0 && len(line)+1+len(runes) > width {
				lines, line = append(lines, string(line)), nil
			}
			if len(line) > 0 {
				line = append(line, ' ')
			}
			line = append(line, runes...)
			for len(line) > width {
				lines, line = append(lines, string(line[:width])), line[width:]
			}
		}
		lines = append(lines, string(line))
	}
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}
